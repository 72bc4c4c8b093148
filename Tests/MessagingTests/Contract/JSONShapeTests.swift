import Foundation
import Testing

@testable import Messaging

/// The recorder that finds what Codable types look like.
@Suite struct JSONShapeTests {
    private func shape(_ type: (some Decodable).Type) -> String { ShapeSearch.shape(of: type).description }

    struct Tag: Codable { var key: String, value: Int? }
    struct Everything: Codable {
        enum Level: String, Codable { case low, high }
        enum Step: Int, Codable, CaseIterable { case first = 7, second = 9 }
        var flag: Bool
        var small: UInt8
        var huge: Int128
        var part: Float
        var text: String
        var maybe: Double?
        var tags: [Tag]
        var byName: [String: Tag]
        var byNumber: [Int: Bool]
        var names: Set<String>?
        var free: JSONValue
        var step: Step
    }

    @Test func `names, kinds and optionality of a structure are found`() {
        #expect(
            shape(Everything.self)
                == "{byName: {*: {key: string, value: integer?}}, byNumber: {*: boolean}, flag: boolean, free: any, "
                + "huge: integer, maybe: number?, names: [string]?, part: number, small: integer, step: integer, "
                + "tags: [{key: string, value: integer?}], text: string}"
        )
        #expect(shape(Everything.Level.self) == "string")
        #expect(shape([Int?].self) == "[integer?]")
        #expect(shape([[String: Double]].self) == "[{*: number}]")
        #expect(shape(RawJSON.self) == "any")
        #expect(shape(RPCVersion.self) == "string")
        #expect(shape(Date.self) == "number")
        #expect(shape(UUID.self) == "string")
    }

    /// Takes only letters from 1 to 8, as an id may.
    struct Identifier: Codable {
        let text: String
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self.text = try container.decode(String.self)
            guard (1...8).contains(self.text.utf8.count) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an id")
            }
        }
    }
    struct Picky: Codable {
        let text: String
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self.text = try container.decode(String.self)
            guard self.text == "sesame" else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "no")
            }
        }
    }
    struct Guest: Codable { var id: Identifier, age: Int }
    struct Robber: Codable { var count: Int, password: Picky, loot: String }
    struct Cave: Codable { var robbers: [Robber], leader: Robber?, name: String }
    enum Door: String, Codable { case open, shut }
    struct House: Codable { var door: Door, size: Int }

    @Test func `a type that checks what it reads does not hide what stands behind it`() {
        #expect(shape(Guest.self) == "{age: integer, id: string}")
        // Where nothing pleases it, what is known is told, and that it is not all.
        #expect(shape(Robber.self) == "{count: integer, password: string, …}")
        #expect(
            shape(Cave.self) == "{leader: {count: integer, password: string, …}?, name: string, "
                + "robbers: [{count: integer, password: string, …}]}"
        )
        #expect(shape(House.self) == "{door: string, …}")
    }

    struct Example: Codable, ContractExample {
        let text: String
        static let contractExample = Example()
        private init() { self.text = "sesame" }
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self.text = try container.decode(String.self)
            if self.text != "sesame" {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "no")
            }
        }
    }
    struct Helped: Codable { var word: Example, next: Int }

    @Test func `a type may help with an example`() {
        #expect(shape(Helped.self) == "{next: integer, word: string}")
    }

    final class Tree: Codable {
        var name: String
        var children: [Tree]
        var parent: Tree?
        init(name: String) {
            self.name = name
            self.children = []
        }
    }

    @Test func `a type that holds others of itself ends`() {
        #expect(shape(Tree.self) == "{children: [any], name: string, parent: any?}")
    }

    /// Reads in ways that the compiler does not write.
    struct Manual: Decodable {
        enum Keys: String, CodingKey { case first, second, third, nested, list, pair, other }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Keys.self)
            _ = try container.decodeIfPresent(Int.self, forKey: .first) ?? 3
            if container.contains(.second) { _ = try container.decode(String.self, forKey: .second) }
            if try !container.decodeNil(forKey: .third) { _ = try container.decode(Bool.self, forKey: .third) }
            let nested = try container.nestedContainer(keyedBy: Keys.self, forKey: .nested)
            _ = try nested.decode(Double.self, forKey: .first)
            var list = try container.nestedUnkeyedContainer(forKey: .list)
            while !list.isAtEnd { _ = try list.decode(Tag.self) }
            var pair = try container.nestedUnkeyedContainer(forKey: .pair)
            _ = (try pair.decode(Int.self), try pair.decode(String.self))
            if (try? container.decode(Int.self, forKey: .other)) != nil {
                _ = try container.decode(String.self, forKey: .other)
            }
        }
    }

    /// Reads until it is refused.
    struct Endless: Decodable {
        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            while true { _ = try list.decode(Int.self) }
        }
    }

    @Test func `types that read by hand are followed`() {
        #expect(
            shape(Manual.self)
                == "{first: integer?, list: [{key: string, value: integer?}], nested: {first: number}, other: any, "
                + "pair: [any], second: string?, third: boolean?}"
        )
        #expect(shape(Endless.self) == "[integer]")
    }

    @Test func `a shape is written as a schema and read back`() throws {
        let shape = ShapeSearch.shape(of: Tag.self)
        #expect(
            try JSONValue(encoding: shape).description
                == #"{"properties":{"key":{"type":"string"},"value":{"nullable":true,"type":"integer"}},"#
                + #""required":["key"],"type":"object"}"#
        )
        for shape in [
            ShapeSearch.shape(of: Everything.self), ShapeSearch.shape(of: Robber.self), .any, .null, .map(of: .any),
            JSONShape.array(of: .any).optional, .object([:]),
        ] {
            #expect(try JSONValue(encoding: shape).decode(JSONShape.self) == shape)
        }
        // What a later version may say.
        #expect(try JSONValue(parsing: #"{"type": "date", "format": 1}"#).decode(JSONShape.self) == .any)
    }
}
