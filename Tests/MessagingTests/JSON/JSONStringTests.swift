import Messaging
import Testing

@Suite("wire contract 3.5: texts") struct JSONStringTests {
    /// Values and the texts that Python's `json.dumps` writes for them.
    static let pythonTexts: [(String, String)] = [
        ("", #""""#),
        ("plain", #""plain""#),
        ("quote\" back\\slash /", #""quote\" back\\slash /""#),
        ("\u{8}\u{9}\u{A}\u{C}\u{D}", #""\b\t\n\f\r""#),
        ("\u{0}\u{1}\u{1F}\u{7F}", #""\u0000\u0001\u001f\u007f""#),
        ("é\u{2028}日本", #""\u00e9\u2028\u65e5\u672c""#),
        ("\u{1F600}\u{10FFFF}", #""\ud83d\ude00\udbff\udfff""#),
        ("\u{80}\u{7FF}\u{800}\u{FFFF}", #""\u0080\u07ff\u0800\uffff""#),
    ]

    @Test(arguments: pythonTexts)
    func `a string is written as Python writes it and read back`(value: String, text: String) throws {
        #expect(String(decoding: JSONValue.string(value).serialized(), as: UTF8.self) == text)
        #expect(try JSONValue(parsing: text) == .string(value))
        #expect(try WireDecoder().decode(String.self, from: text.utf8) == value)
        #expect(try String(decoding: WireEncoder().encode(value), as: UTF8.self) == text)
    }

    @Test(arguments: pythonTexts)
    func `text that is not escaped is read as well`(value: String, text: String) throws {
        let raw = JSONValue.string(value).serialized(asciiOnly: false)
        #expect(try JSONValue(parsing: raw) == .string(value))
        #expect(try JSONValue(parsing: String(decoding: raw, as: UTF8.self)) == .string(value))
    }

    @Test func `every escape of the grammar is read`() throws {
        #expect(try JSONValue(parsing: #""\"\\\/\b\f\n\r\t\u00E9\u00e9""#) == "\"\\/\u{8}\u{C}\n\r\téé")
    }

    @Test(arguments: [
        #""\ud83d""#, #""\ude00""#, #""\ud83dx""#, #""\ud83d\u0041""#, #""\ud83d\ud83d\ude00""#, #""\ude00\ud83d""#,
    ])
    func `half a surrogate pair becomes the replacement character`(text: String) throws {
        let value = try #require(try JSONValue(parsing: text).stringValue)
        #expect(value.unicodeScalars.contains("\u{FFFD}"))
        if text.hasSuffix(#"\u0041""#) { #expect(value == "\u{FFFD}A") }
        if text.hasSuffix(#"\ud83d\ude00""#) { #expect(value == "\u{FFFD}\u{1F600}") }
    }

    @Test(arguments: [
        [0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xE6, 0x97],
    ])
    func `invalid UTF-8 is refused`(bytes: [UInt8]) {
        let text = [UInt8(ascii: "\"")] + Array("12345678".utf8) + bytes + [UInt8(ascii: "\"")]
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        #expect(error?.code == .syntax)
        #expect(error?.offset == 9)
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x7B] + text + Array(":1}".utf8)) }
    }

    @Test func `a special byte is found at every distance from the start`() throws {
        for special in ["\"", "\\", "\n", "\u{7F}", "é", "\u{1F600}", "\u{0}"] {
            for before in 0..<20 {
                for after in [0, 1, 7, 8, 9] {
                    let value = String(repeating: "a", count: before) + special + String(repeating: "z", count: after)
                    for ascii in [true, false] {
                        let text = JSONValue.string(value).serialized(asciiOnly: ascii)
                        #expect(try JSONValue(parsing: text) == .string(value))
                    }
                }
            }
        }
    }
}
