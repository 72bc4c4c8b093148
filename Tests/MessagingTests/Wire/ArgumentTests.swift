import Messaging
import Testing

/// Arguments are noted by their names when a request is read, and read no further until they are asked for.
struct ArgumentTests {
    private func request(_ args: String) throws -> RequestPayload {
        let payload = #"{"method": "m", "_unique_id": "u", "args": \#(args)}"#
        let body = try WireEncoder().encode(["oslo.version": "2.0", "oslo.message": payload])
        return try RequestPayload(decoding: body, contentType: "application/json")
    }

    struct Tag: Codable, Equatable { var key: String, values: [Int] }

    struct Arguments: Codable, Equatable {
        var id: String
        var size: Int?
        var tags: [Tag]
        var parent: [String: Tag]?
    }

    @Test func `arguments are read whatever they hold`() throws {
        let args = try self.request(
            #"""
            { "id" : "a\"b", "size": null, "size": 3, "un\u006bnown": [{"id": "c"}], "pare\u006et": {"x": {"key": "k",
            "values": []}}, "tags": [{"key": "é", "values": [1, 2]}, {"values": [ ], "key": ""}] }
            """#
        ).args
        let expected = Arguments(
            id: "a\"b",
            size: 3,
            tags: [Tag(key: "é", values: [1, 2]), Tag(key: "", values: [])],
            parent: ["x": Tag(key: "k", values: [])]
        )
        #expect(try args.decode(Arguments.self) == expected)
        #expect(try args.decode(Arguments.self) == RawJSON(checking: args.bytes).decode(Arguments.self))
        #expect(try args.decode([String: RawJSON].self).keys.sorted() == ["id", "parent", "size", "tags", "unknown"])
        #expect(try args.decode([String: JSONValue].self)["tags"]?[0]?["values"]?[1] == 2)
        #expect(try args.decode(JSONValue.self)["parent"]?["x"]?["key"] == "k")
        #expect(try args.decode(RawJSON.self).text == args.text)
        struct Passed: Decodable { var tags: RawJSON }
        #expect(try args.decode(Passed.self).tags.text.hasPrefix(#"[{"key":"#))
        #expect(try args.decode(Passed.self).tags.decode([Tag].self) == expected.tags)
    }

    @Test(arguments: [
        (#"{"id": "v", "tags": [{"key": "k", "values": [1, "x"]}]}"#, "tags[0].values[1]", JSONError.Code.type),
        (#"{"id": "v", "tags": [{"key": "k"}]}"#, "tags[0].values", .missing),
        (#"{"id": "v", "tags": {}}"#, "tags", .type), (#"{"id": "v"}"#, "tags", .missing),
        (#"{"id": [], "tags": []}"#, "id", .type), (#"{"id": "v", "tags": [], "size": 1e99}"#, "size", .range),
        (#"{"id": "v", "tags": [], "parent": {"a": null}}"#, "parent.a", .type),
    ])
    func `an error names the place from the arguments on`(text: String, path: String, code: JSONError.Code) throws {
        let args = try self.request(text).args
        let error = #expect(throws: JSONError.self) { try args.decode(Arguments.self) }
        #expect(error?.path == path)
        #expect(error?.code == code)
        let plain = #expect(throws: JSONError.self) { try RawJSON(checking: args.bytes).decode(Arguments.self) }
        #expect(plain?.description == error?.description)
    }

    @Test func `nested containers and kept decoders read on`() throws {
        struct Keeper: Decodable {
            enum Key: String, CodingKey { case list, map, kept }
            struct Kept: Decodable {
                let decoder: any Decoder
                init(from decoder: any Decoder) throws { self.decoder = decoder }
            }

            var list: any UnkeyedDecodingContainer
            let map: KeyedDecodingContainer<JSONKeys>
            let kept: Kept

            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: Key.self)
                self.list = try container.nestedUnkeyedContainer(forKey: .list)
                self.map = try container.nestedContainer(keyedBy: JSONKeys.self, forKey: .map)
                self.kept = try container.decode(Kept.self, forKey: .kept)
            }
        }
        enum JSONKeys: String, CodingKey { case a }
        var keeper = try self.request(
            #"{"list": ["text that is no small string", 2], "map": {"a": "x"}, "kept": {"a": [1, 2]}}"#
        ).args.decode(Keeper.self)
        #expect(try keeper.list.decode(String.self) == "text that is no small string")
        #expect(try keeper.list.decode(Int.self) == 2)
        #expect(try keeper.map.decode(String.self, forKey: .a) == "x")
        #expect(keeper.map.codingPath.map(\.stringValue) == ["map"])
        #expect(try [String: [Int]](from: keeper.kept.decoder) == ["a": [1, 2]])
    }

    @Test(arguments: [0, 1, 255, 256, 511, 512, 513, 3_000])
    func `any number of arguments is read`(count: Int) throws {
        let members = (0..<count).map { #""k\#($0)": [\#($0)]"# }.joined(separator: ", ")
        let args = try self.request("{\(members)}").args
        let read = try args.decode([String: [Int]].self)
        #expect(read.count == count)
        for index in 0..<count { #expect(read["k\(index)"] == [index]) }
    }

    @Test func `raw results and arguments are slices of their message`() throws {
        let args = try self.request(#"{"data": [1, {"a": "b"}]}"#).args
        let data = try #require(try args.decode([String: RawJSON].self)["data"])
        func address(_ raw: RawJSON) -> UnsafeRawPointer? {
            raw.bytes.withUnsafeBytes { $0.baseAddress }
        }
        let distance = try #require(address(data)) - #require(address(args))
        #expect(distance == 9)
    }

    @Test func `ids are of version 4 and differ`() {
        var ids: Set<String> = []
        for _ in 0..<1_000 {
            let id = makeUniqueID()
            let digits = Array(id.utf8)
            #expect(digits.count == 32)
            #expect(digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || 97...102 ~= $0 })
            #expect(digits[12] == UInt8(ascii: "4"))
            #expect(Array("89ab".utf8).contains(digits[16]))
            ids.insert(id)
        }
        #expect(ids.count == 1_000)
    }
}
