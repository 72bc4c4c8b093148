import Messaging
import Testing

struct WireDecoderTests {
    struct Volume: Codable, Equatable {
        enum State: String, Codable { case creating, available }

        var id: String
        var size: Int
        var state: State
        var ratio: Double?
        var tags: [String: [Int]]
        var parent: Box?

        final class Box: Codable, Equatable {
            let volume: Volume
            init(_ volume: Volume) { self.volume = volume }
            static func == (one: Box, other: Box) -> Bool { one.volume == other.volume }
        }

        enum CodingKeys: String, CodingKey {
            case id, size, ratio, tags, parent
            case state = "volume_state"
        }
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws(JSONError) -> Value {
        try WireDecoder().decode(type, from: text.utf8)
    }

    private func error<Value: Decodable>(_ type: Value.Type, _ text: String) -> JSONError? {
        #expect(throws: JSONError.self) { try self.decode(type, text) }
    }

    @Test func `a type reads its keys in any order and passes over others`() throws {
        let volume = try self.decode(
            Volume.self,
            """
            {"unknown": [{"id": 1}], "volume_state": "available", "tags": {"a": [1, 2], "b": []}, "size": 10,
             "parent": {"volume": {"id": "p", "size": 1, "volume_state": "creating", "tags": {}, "ratio": 2}},
             "ratio": null, "i\\u0064": "v"}
            """
        )
        let parent = Volume(id: "p", size: 1, state: .creating, ratio: 2, tags: [:], parent: nil)
        let expected = Volume(
            id: "v",
            size: 10,
            state: .available,
            ratio: nil,
            tags: ["a": [1, 2], "b": []],
            parent: .init(parent)
        )
        #expect(volume == expected)
        #expect(try WireDecoder().decode(Volume.self, from: WireEncoder().encode(expected)) == expected)
    }

    @Test func `an error reads well and names the place`() {
        let wrong = self.error(Volume.self, #"{"id": "v", "size": "big", "volume_state": "creating", "tags": {}}"#)
        #expect(wrong?.description(of: "argument") == "argument 'size': expected an integer, found a string")
        #expect(wrong?.code == .type)
        let missing = self.error(Volume.self, #"{"id": "v", "volume_state": "creating", "tags": {}}"#)
        #expect(missing?.description(of: "argument") == "argument 'size' is missing")
        #expect(missing?.code == .missing)
        let deep = self.error(
            Volume.self,
            #"{"id": "v", "size": 1, "volume_state": "creating", "tags": {"a": [0, null]}}"#
        )
        #expect(deep?.description == "key 'tags.a[1]': expected an integer, found null")
        let state = self.error(Volume.self, #"{"id": "v", "size": 1, "volume_state": "gone", "tags": {}}"#)
        #expect(state?.path == "volume_state")
        #expect(state?.code == .invalid)
        #expect(state?.message.contains("gone") == true)
        let whole = self.error(Volume.self, "[]")
        #expect(whole?.description(of: "argument") == "expected an object, found an array")
        let range = self.error([String: UInt8].self, #"{"a": 256}"#)
        #expect(range?.description == "key 'a': 256 is out of range, which is 0 to 255")
        let long = self.error([Int].self, "[1, 1\(String(repeating: "0", count: 100))]")
        #expect(long?.path == "[1]")
        #expect(long?.message.contains("101 digits") == true)
        #expect(long?.code == .range)
    }

    @Test(arguments: [
        ("1", "expected a string, found an integer"), ("1.5", "expected a string, found a number"),
        ("true", "expected a string, found a boolean"), ("null", "expected a string, found null"),
        ("[]", "expected a string, found an array"), ("{}", "expected a string, found an object"),
    ])
    func `an error names the type that was found`(text: String, message: String) {
        #expect(self.error(String.self, text)?.message == message)
        #expect(self.error([String].self, "[\(text)]")?.message == message)
    }

    @Test func `null and absent are nil for an optional`() throws {
        struct Optionals: Codable, Equatable {
            var int: Int?, text: String?, bool: Bool?, list: [Int?]?, value: JSONValue?, raw: Bool??
        }
        #expect(try self.decode(Optionals.self, "{}") == Optionals())
        let nulls = #"{"int": null, "text": null, "bool": null, "list": null, "value": null}"#
        #expect(try self.decode(Optionals.self, nulls) == Optionals())
        let full = try self.decode(
            Optionals.self,
            #"{"int": 1, "text": "", "bool": false, "list": [1, null], "value": 0}"#
        )
        #expect(full == Optionals(int: 1, text: "", bool: false, list: [1, nil], value: 0))
        #expect(try self.decode([Int?].self, "[null, 2]") == [nil, 2])
        #expect(try self.decode(Int?.self, "null") == nil)
    }

    @Test func `an empty struct reads from an empty object`() throws {
        struct Empty: Codable, Equatable {}
        #expect(try self.decode(Empty.self, "{}") == Empty())
        #expect(try self.decode(Empty.self, #"{"extra": 1}"#) == Empty())
        #expect(try String(decoding: WireEncoder().encode(Empty()), as: UTF8.self) == "{}")
    }

    @Test func `dynamic values and raw text pass through typed ones`() throws {
        struct Mixed: Codable { var value: JSONValue, raw: RawJSON, values: [JSONValue], rest: [String: RawJSON] }
        let text =
            #"{"value":{"big":1208925819614629174706176,"n":NaN},"raw":[1.0, "\u00e9"],"values":[null,-0.0],"rest":{"a":"x"}}"#
        let mixed = try self.decode(Mixed.self, text)
        #expect(mixed.value["big"]?.description == "1208925819614629174706176")
        #expect(mixed.raw.text == #"[1.0, "\u00e9"]"#)
        #expect(mixed.values.map(\.description) == ["null", "-0.0"])
        #expect(mixed.rest["a"]?.text == #""x""#)
        let written = try WireEncoder().encode(mixed)
        #expect(identical(try JSONValue(parsing: written), try JSONValue(parsing: text)))
    }

    @Test(arguments: [1, 24, 25, 26, 500])
    func `objects of any number of keys are searched`(count: Int) throws {
        let members = (0..<count).map { #""k\#($0)": 0, "k\#($0)": \#($0)"# }.joined(separator: ",")
        let object = try self.decode([String: Int].self, "{\(members)}")
        #expect(object.count == count)
        for key in 0..<count { #expect(object["k\(key)"] == key) }
        struct Wide: Decodable { var k0: Int, missing: Int? }
        #expect(try self.decode(Wide.self, "{\(members)}").k0 == 0)
    }

    @Test func `containers nest by hand`() throws {
        struct Manual: Decodable {
            enum Key: String, CodingKey { case a, b, list, inner }

            let log: [String]

            init(from decoder: any Decoder) throws {
                var log: [String] = []
                let keyed = try decoder.container(keyedBy: Key.self)
                log.append("\(keyed.allKeys.map(\.rawValue)) \(keyed.contains(.b)) \(try keyed.decodeNil(forKey: .a))")
                let inner = try keyed.nestedContainer(keyedBy: Key.self, forKey: .inner)
                log.append("\(inner.codingPath.map(\.stringValue)) \(try inner.decode(Int.self, forKey: .a))")
                var list = try keyed.nestedUnkeyedContainer(forKey: .list)
                log.append(
                    "\(list.count ?? -1) \(try list.decodeNil()) \(try list.decode(Int.self)) \(list.currentIndex)"
                )
                #expect(try list.decodeNil())
                var nested = try list.nestedUnkeyedContainer()
                log.append("\(try nested.decode(String.self)) \(nested.isAtEnd) \(nested.codingPath.count)")
                let keyedElement = try list.nestedContainer(keyedBy: Key.self)
                log.append("\(try keyedElement.decode(Bool.self, forKey: .a))")
                let element = try list.superDecoder()
                log.append("\(try element.singleValueContainer().decode(Double.self)) \(list.isAtEnd)")
                log.append("\(try Int(from: keyed.superDecoder(forKey: .b)))")
                #expect(throws: DecodingError.self) { try keyed.superDecoder() }
                #expect(throws: DecodingError.self) { try list.decode(Int.self) }
                #expect(throws: DecodingError.self) { try keyed.nestedContainer(keyedBy: Key.self, forKey: .b) }
                #expect(throws: DecodingError.self) { try keyed.nestedUnkeyedContainer(forKey: .b) }
                self.log = log
            }
        }
        let manual = try self.decode(
            Manual.self,
            #"{"b": 7, "other": 0, "a": null, "inner": {"a": 1}, "list": [1, null, ["x"], {"a": true}, 2]}"#
        )
        #expect(
            manual.log == [
                #"["b", "a", "inner", "list"] true true"#, #"["inner"] 1"#, "5 false 1 1", "x true 2", "true",
                "2.0 true", "7",
            ]
        )
    }

    @Test func `a decoder that outlives the call still reads`() throws {
        struct Keeper: Decodable {
            let decoder: any Decoder
            init(from decoder: any Decoder) throws { self.decoder = decoder }
        }
        var text = Array(#"{"a": "kept text that is long"}"#.utf8)
        let keeper = try WireDecoder().decode(Keeper.self, from: text)
        for index in text.indices { text[index] = 0 }
        text = []
        #expect(try [String: String](from: keeper.decoder) == ["a": "kept text that is long"])
    }

    @Test func `an error of the type itself is kept as the cause`() {
        struct Refusal: Error {}
        struct Refusing: Decodable { init(from decoder: any Decoder) throws { throw Refusal() } }
        let error = self.error(Refusing.self, "1")
        #expect(error?.code == .invalid)
        #expect(error?.cause is Refusal)
    }

    @Test func `another coder reads and writes dynamic values too`() throws {
        let value: JSONValue = ["a": [1, 1.5, "x", nil, true], "big": JSONValue(UInt64.max)]
        let data = try FoundationCoders.encode(value)
        #expect(try FoundationCoders.decode(JSONValue.self, data) == value)
        #expect(try FoundationCoders.decode(RawJSON.self, FoundationCoders.encode(RawJSON(value))).value() == value)
    }
}
