@testable import Messaging

/// JSON, by all the ways in which it is read.
enum ValueTargets {
    @Sendable static func json(_ bytes: [UInt8]) {
        _ = try? JSONValue(parsing: bytes, limits: JSONLimits(maximumDepth: 4, maximumSize: 256))
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            _ = error.description
            claim((try? RawJSON(checking: bytes)) == nil, "the checker takes what the parser refuses: \(error)")
            return
        }
        do {
            for asciiOnly in [false, true] {
                let text = value.serialized(sortedKeys: true, asciiOnly: asciiOnly)
                let again = try JSONValue(parsing: text)
                claim(identical(again, value), "a value has changed on its way")
                claim(again.serialized(sortedKeys: true, asciiOnly: asciiOnly) == text, "a text has changed")
            }
            let raw = try RawJSON(checking: bytes)
            claim(identical(try raw.value(), value), "the checked text reads otherwise")
            claim(identical(try raw.decode(JSONValue.self), value), "the decoder reads otherwise")
            claim(
                identical(try WireDecoder().decode(JSONValue.self, from: bytes), value),
                "the decoder reads otherwise"
            )
            claim(try WireEncoder().encode(value).count > 0, "nothing was written")
            claim(raw.stringValue == value.stringValue, "a string reads otherwise")
            _ = raw.isFalsy
            _ = value.hashValue
            _ = (value.intValue, value.doubleValue, value.description)
        } catch {
            fatalError("a value that was read cannot be passed on: \(error)")
        }
    }

    @Sendable static func typed(_ bytes: [UInt8]) {
        self.check(Everything.self, bytes)
        self.check([String: [Everything]].self, bytes)
        self.check([UInt16].self, bytes)
        self.check([Float].self, bytes)
        self.check([String?].self, bytes)
        self.check([Int: String].self, bytes)
    }

    @Sendable static func control(_ bytes: [UInt8]) {
        self.check(ControlRPC.Presence.self, bytes)
        self.check(ControlRPC.Info.self, bytes)
        self.check(ControlRPC.Statistics.self, bytes)
        self.check(ControlRPC.Cancellation.self, bytes)
        self.check(ContractDescription.self, bytes)
    }

    /// What a type takes it has to give back.
    private static func check<Value: Codable & Hashable>(_ type: Value.Type, _ bytes: [UInt8]) {
        let value: Value
        do {
            value = try WireDecoder().decode(type, from: bytes)
        } catch {
            _ = error.description(of: "argument")
            return
        }
        do {
            let text = try WireEncoder().encode(value)
            let again = try WireDecoder().decode(type, from: text)
            // By their texts, since NaN differs from itself. The order of a dictionary's keys is by chance.
            claim(
                identical(try JSONValue(parsing: text), try JSONValue(parsing: WireEncoder().encode(again))),
                "a value of \(type) has changed"
            )
        } catch {
            fatalError("a value of \(type) that was read cannot be passed on: \(error)")
        }
    }
}

/// One member of each kind that a contract may have.
struct Everything: Codable, Hashable {
    enum Color: String, Codable { case red, green }

    indirect enum Nested: Codable, Hashable {
        case leaf(Int)
        case branch(Everything)
    }

    var flag: Bool?
    var small: Int8?
    var medium: UInt32?
    var large: UInt64?
    var whole: Int?
    var huge: Int128?
    var ratio: Double?
    var single: Float?
    var text: String?
    var list: [Int]?
    var lists: [[String]]?
    var table: [String: Double]?
    var color: Color?
    var nested: Nested?
    var value: JSONValue?
    var range: Range<Int>?
}
