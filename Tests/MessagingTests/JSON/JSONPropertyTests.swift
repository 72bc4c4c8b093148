import Foundation
import Messaging
import Testing

/// Documents and damage made up from a fixed seed.
struct JSONPropertyTests {
    @Test func `any value survives writing and reading`() async throws {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<2_000 {
            await Task.yield()  // Others share the thread.
            let value = Self.value(using: &random, depth: 5)
            for ascii in [true, false] {
                let text = value.serialized(asciiOnly: ascii)
                #expect(identical(try JSONValue(parsing: text), value))
                #expect(identical(try WireDecoder().decode(JSONValue.self, from: text), value))
                #expect(identical(try RawJSON(checking: text).value(), value))
            }
            #expect(try WireEncoder().encode([value]).count == value.serialized().count + 2)
        }
    }

    @Test func `any value survives the string in the string`() async throws {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<500 {
            await Task.yield()  // Others share the thread.
            let value = Self.value(using: &random, depth: 4)
            let raw = try RawJSON(checking: JSONValue.array([value]).serialized(asciiOnly: false))
            let body = ReplyPayload.result(raw).encoded(messageID: "id \"\\é")
            #expect(body.allSatisfy { 0x20...0x7E ~= $0 })
            let reply = try ReplyPayload(decoding: body, contentType: "application/json")
            #expect(reply.messageID == "id \"\\é")
            #expect(identical(try #require(reply.result).value(), [value]))
        }
    }

    @Test func `what Foundation writes is read as Foundation reads it`() throws {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            let value = JSONValue.array([Self.value(using: &random, depth: 4, finite: true)])
            let text = value.serialized()
            let object = try JSONSerialization.jsonObject(with: Data(text))
            let again = try JSONSerialization.data(withJSONObject: object)
            #expect(Self.loosely(try JSONValue(parsing: again)) == Self.loosely(value))
        }
    }

    @Test func `damaged documents are refused or read and never more`() async throws {
        var random = SeededGenerator(seed: 4)
        let interesting = Array("\"\\{}[]:,0-.eEuNIntf \n\u{0}".utf8) + [0x7F, 0x80, 0xC3, 0xED, 0xFF]
        var bodies: [[UInt8]] = []
        for name in [
            "call", "cast_numbers", "cast_unicode", "cast_nested", "reply_failure_custom", "cast_oslo_context",
        ] {
            bodies.append(try #require(Fixture(name).body))
        }
        for _ in 0..<10 { bodies.append(Self.value(using: &random, depth: 5).serialized(asciiOnly: false)) }
        var refused = 0
        for round in 0..<20_000 {
            await Task.yield()  // Others share the thread.
            var text = bodies[round % bodies.count]
            for _ in 0..<Int.random(in: 1...4, using: &random) where !text.isEmpty {
                let position = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: text.removeSubrange(position...)
                case 1: text.remove(at: position)
                case 2: text.insert(interesting.randomElement(using: &random) ?? 0, at: position)
                case 3: text[position] = UInt8.random(in: 0...255, using: &random)
                default:
                    let end = min(text.count, position + Int.random(in: 1...16, using: &random))
                    text.insert(contentsOf: text[position..<end], at: Int.random(in: 0...text.count, using: &random))
                }
            }
            // All three readers must agree on what is JSON.
            let value = Result { () throws(JSONError) in try JSONValue(parsing: text) }
            let raw = Result { () throws(JSONError) in try RawJSON(checking: text) }
            let tokens = Result { () throws(JSONError) in try WireDecoder().decode(JSONValue.self, from: text) }
            switch (value, raw, tokens) {
            case (.success(let value), .success(let raw), .success(let typed)):
                #expect(identical(value, typed))
                #expect(identical(value, try raw.value()))
            case (.failure(let value), .failure(let raw), .failure(let typed)):
                #expect(value.offset == raw.offset && raw.offset == typed.offset)
                refused += 1
            default: Issue.record("the readers disagree on \(String(decoding: text, as: UTF8.self))")
            }
            _ = Result { try RequestPayload(decoding: text, contentType: "application/json") }
            _ = Result { try ReplyPayload(decoding: text, contentType: "application/json").failure?.description }
            _ = Result { try RequestPayload(decoding: text[...]).args.decode([String: Int].self) }
            _ = Result { try ReplyPayload(decoding: text[...]) }
        }
        #expect(refused > 1_000)
    }

    // MARK: - Making values

    static func value(using random: inout SeededGenerator, depth: Int, finite: Bool = false) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 10 : 7), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return .integer(Int(truncatingIfNeeded: random.next()) >> Int.random(in: 0..<63, using: &random))
        case 3:
            let digits = (0..<Int.random(in: 20...60, using: &random)).map { _ in Int.random(in: 1...9, using: &random)
            }
            return JSONBigInteger(digits.map(String.init).joined()).map { .bigInteger($0) } ?? .null
        case 4:
            let value = Double(bitPattern: random.next())
            return .double(!finite || value.isFinite ? value : 0.5)
        case 5, 6: return .string(Self.string(using: &random))
        case 7, 8:
            let count = Int.random(in: 0..<6, using: &random)
            return .array((0..<count).map { _ in Self.value(using: &random, depth: depth - 1, finite: finite) })
        default:
            let count = Int.random(in: 0..<6, using: &random)
            var members: [String: JSONValue] = [:]
            for _ in 0..<count {
                members[Self.string(using: &random)] = Self.value(using: &random, depth: depth - 1, finite: finite)
            }
            return .object(members)
        }
    }

    private static func string(using random: inout SeededGenerator) -> String {
        var string = ""
        for _ in 0..<Int.random(in: 0..<24, using: &random) {
            let range: ClosedRange<UInt32> =
                switch Int.random(in: 0..<8, using: &random) {
                case 0: 0...0x1F
                case 1: 0x80...0x7FF
                case 2: 0xE000...0xFFFF
                case 3: 0x1_0000...0x10_FFFF
                default: 0x20...0x7F
                }
            let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) ?? " "
            string.unicodeScalars.append(scalar)
        }
        return string
    }

    /// All numbers as doubles, as Foundation's values do not tell them apart.
    private static func loosely(_ value: JSONValue) -> JSONValue {
        switch value {
        case .integer, .bigInteger: .double(value.doubleValue ?? 0)
        case .array(let elements): .array(elements.map(Self.loosely))
        case .object(let members): .object(members.mapValues(Self.loosely))
        default: value
        }
    }
}
