import Messaging
import Testing

/// Strings are read and written in blocks of sixteen bytes: what stands at their edges must be seen as anywhere else.
struct JSONBlockTests {
    /// A piece of a string: its text, and its bytes, or `nil` if no string may hold it.
    static let pieces: [(text: [UInt8], value: [UInt8]?)] = [
        (Array(#"\""#.utf8), Array("\"".utf8)), (Array(#"\\"#.utf8), Array("\\".utf8)),
        (Array(#"\/"#.utf8), Array("/".utf8)), (Array(#"\n"#.utf8), [0x0A]),
        (Array(#"\u00e9"#.utf8), Array("é".utf8)), (Array(#"\ud83d\ude00"#.utf8), Array("😀".utf8)),
        (Array(#"\\\""#.utf8), Array("\\\"".utf8)), (Array(#"\\\\\\"#.utf8), Array(#"\\\"#.utf8)),
        (Array("é".utf8), Array("é".utf8)), (Array("😀".utf8), Array("😀".utf8)), ([0x7F], [0x7F]),
        ([0x1F], nil), ([0x00], nil), ([0xFF], nil), ([0xC3], nil), (Array(#"\x"#.utf8), nil),
        (Array(#"\u00g0"#.utf8), nil), (Array(#"\u00e"#.utf8) + [0x20], nil),
    ]

    @Test func `strings of every length at every alignment are read and written whole`() async throws {
        var random = SeededGenerator(seed: 21)
        for length in 0...70 {
            await Task.yield()  // Others share the thread.
            for alignment in stride(from: length % 4, to: 16, by: 4) {
                let piece = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &random)]
                let other = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &random)]
                let first = Int.random(in: 0...length, using: &random)
                let second = Int.random(in: first...length, using: &random)
                func joined(_ one: [UInt8], _ two: [UInt8]) -> [UInt8] {
                    let letters = (0..<length).map { UInt8(ascii: "a") + UInt8($0 % 26) }
                    return letters[..<first] + one + letters[first..<second] + two + letters[second...]
                }
                let content = joined(piece.text, other.text)
                let value: [UInt8]? =
                    if let one = piece.value, let two = other.value { joined(one, two) } else { nil }
                try self.check(content, value, alignment)
            }
        }
    }

    /// Reads a string by every reader, inside of texts that begin anywhere in memory.
    private func check(_ content: [UInt8], _ value: [UInt8]?, _ alignment: Int) throws {
        let quoted = [UInt8(ascii: "\"")] + content + [UInt8(ascii: "\"")]
        let padded = [UInt8](repeating: 0x20, count: alignment) + quoted
        for text in [padded[alignment...], padded[...]] {
            let shown = Comment(rawValue: String(decoding: text, as: UTF8.self))
            let read = Result { () throws(JSONError) in try JSONValue(parsing: text).stringValue }
            let typed = Result { () throws(JSONError) in try WireDecoder().decode(String.self, from: text) }
            let raw = Result { () throws(JSONError) in try RawJSON(checking: text) }
            let envelope = Result { () throws(WireError) in
                let start = Array(#"{"oslo.version": "2.0", "oslo.message": "#.utf8)
                return try Envelope(
                    decoding: start + text + [UInt8(ascii: "}")],
                    contentType: "application/json"
                ).payload
            }
            guard let value else {
                for isRead in [(try? read.get()) != nil, (try? typed.get()) != nil, (try? raw.get()) != nil] {
                    #expect(!isRead, shown)
                }
                #expect(throws: WireError.self, shown) { try envelope.get() }
                continue
            }
            #expect(try read.get().map { Array($0.utf8) } == value, shown)
            #expect(try Array(typed.get().utf8) == value, shown)
            #expect(try Array(raw.get().bytes) == quoted, shown)
            #expect(try Array(envelope.get()) == value, shown)
        }
        guard let value else { return }
        try self.checkWriting(quoted, value)
    }

    /// Writes the string as a value and as a raw text, in a payload and on its own.
    private func checkWriting(_ quoted: [UInt8], _ value: [UInt8]) throws {
        let string = String(decoding: value, as: UTF8.self)
        let written = JSONValue.string(string).serialized()
        #expect(written == Self.escaped(string))
        #expect(JSONValue.string(string).serialized(asciiOnly: false).count <= written.count)
        #expect(try WireEncoder().encode(string) == written)
        let raw = try RawJSON(checking: quoted)
        for result in [raw, RawJSON(.string(string))] {
            let body = ReplyPayload.result(result).encoded(messageID: "id", uniqueID: "u")
            #expect(body.allSatisfy { 0x20...0x7F ~= $0 })
            let reply = try ReplyPayload(decoding: body, contentType: "application/json")
            #expect(try reply.result?.value() == .string(string))
        }
        // A failure lies two strings deep.
        let failure = RemoteFailure(className: "C", module: "m", message: string)
        let body = ReplyPayload.failure(failure).encoded(messageID: "id")
        #expect(try ReplyPayload(decoding: body, contentType: "application/json").failure == failure)
    }

    /// How Python writes a string, one character at a time.
    private static func escaped(_ string: String) -> [UInt8] {
        var text = "\""
        for unit in string.utf16 {
            switch unit {
            case 0x22: text += #"\""#
            case 0x5C: text += #"\\"#
            case 0x0A: text += #"\n"#
            case 0x20..<0x7F: text += String(UnicodeScalar(UInt8(unit)))
            default:
                let digits = String(unit, radix: 16)
                text += #"\u"# + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return Array((text + "\"").utf8)
    }
}
