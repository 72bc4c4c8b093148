import Messaging
import Testing

struct WireEncoderTests {
    private func encode(_ value: some Encodable) throws(JSONError) -> String {
        String(decoding: try WireEncoder().encode(value), as: UTF8.self)
    }

    @Test func `values are written in the order of their keys' declaration`() throws {
        struct Record: Encodable {
            var name = "é"
            var size = 10
            var ratio = 1.0
            var bits: UInt64 = .max
            var flag = true
            var none: Int?
            var list = [1, 2]
            var table = ["k": [Double.nan]]
        }
        #expect(
            try self.encode(Record())
                == #"{"name":"\u00e9","size":10,"ratio":1.0,"bits":18446744073709551615,"flag":true,"list":[1,2],"table":{"k":[NaN]}}"#
        )
    }

    @Test func `scalars and collections are documents of their own`() throws {
        #expect(try self.encode(1) == "1")
        #expect(try self.encode("a") == #""a""#)
        #expect(try self.encode(Optional<Int>.none) == "null")
        #expect(try self.encode([Int]()) == "[]")
        #expect(try self.encode([String: Int]()) == "{}")
        #expect(try self.encode([nil, 1, nil] as [Int?]) == "[null,1,null]")
        #expect(try self.encode([[[1]], []]) == "[[[1]],[]]")
        #expect(try self.encode([1: "a"]) == #"{"1":"a"}"#)
        #expect(try self.encode(Float(0.1)) == "0.1")
        #expect(try self.encode([Float.infinity]) == "[Infinity]")
        #expect(try self.encode(JSONValue.array([1, nil])) == "[1,null]")
        #expect(try self.encode(["a": RawJSON(.array([1.0]))]) == #"{"a":[1.0]}"#)
    }

    @Test func `enumerations write their raw values and their cases`() throws {
        enum Level: Int, Codable { case low = 1, high }
        enum Shape: Codable, Equatable {
            case circle(radius: Double)
            case pair(Int, String)
            case empty
        }
        #expect(try self.encode([Level.low, .high]) == "[1,2]")
        let shapes: [Shape] = [.circle(radius: 1), .pair(2, "x"), .empty]
        let text = try self.encode(shapes)
        #expect(text == #"[{"circle":{"radius":1.0}},{"pair":{"_0":2,"_1":"x"}},{"empty":{}}]"#)
        #expect(try WireDecoder().decode([Shape].self, from: text.utf8) == shapes)
        struct Holder: Codable, Equatable { var first: Shape, list: [Shape], last: Int }
        let holder = Holder(first: .circle(radius: 0.5), list: shapes, last: 9)
        #expect(try WireDecoder().decode(Holder.self, from: WireEncoder().encode(holder)) == holder)
    }

    @Test func `containers can be filled in any order`() throws {
        struct Interleaved: Encodable {
            enum Key: String, CodingKey { case a, b, c, d }

            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: Key.self)
                try keyed.encode(1, forKey: .a)
                var first = keyed.nestedContainer(keyedBy: Key.self, forKey: .b)
                var second = keyed.nestedUnkeyedContainer(forKey: .c)
                try first.encode("é", forKey: .a)
                try second.encode(1)
                var third = second.nestedUnkeyedContainer()
                try second.encode(3)
                try third.encode(true)
                try first.encode([2], forKey: .b)
                try third.encodeNil()
                try keyed.encode(4, forKey: .d)
                try 5.encode(to: keyed.superEncoder())
                try ["x"].encode(to: second.superEncoder())
                _ = second.nestedContainer(keyedBy: Key.self)
            }
        }
        let expected = #"{"a":1,"b":{"a":"\u00e9","b":[2]},"c":[1,[true,null],3,["x"],{}],"d":4,"super":5}"#
        #expect(try self.encode(Interleaved()) == expected)
        #expect(try self.encode([Interleaved(), Interleaved()]) == "[\(expected),\(expected)]")
        let body = try RequestPayload(method: "m").encoded(arguments: Interleaved())
        let request = try RequestPayload(decoding: body, contentType: "application/json")
        #expect(try request.args.value() == JSONValue(parsing: expected))
        #expect(request.args.text == expected)
    }

    @Test func `containers know their place and are released`() throws {
        struct Probe: Encodable {
            let record: ([String]) -> Void
            func encode(to encoder: any Encoder) throws {
                self.record(encoder.codingPath.map(\.stringValue))
                var single = encoder.singleValueContainer()
                try single.encode(1)
            }
        }
        struct Nesting: Encodable {
            let probe: Probe
            let keep: (EncodedPlace) -> Void
            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: WireEncoderTests.Key.self)
                var nested = keyed.nestedUnkeyedContainer(forKey: .b)
                try nested.encode(0)
                var inner = nested.nestedContainer(keyedBy: WireEncoderTests.Key.self)
                try inner.encode(self.probe, forKey: .a)
                self.keep(EncodedPlace(object: encoder as AnyObject))
            }
        }
        struct EncodedPlace { weak var object: AnyObject? }
        var path: [String] = []
        var place: EncodedPlace?
        let value = Nesting(probe: Probe { path = $0 }, keep: { place = $0 })
        #expect(try self.encode(["k": value]) == #"{"k":{"b":[0,{"a":1}]}}"#)
        #expect(path == ["k", "b", "1", "a"])
        #expect(place != nil)
        #expect(place?.object == nil)
    }

    @Test func `a subclass writes through its superclass`() throws {
        class Base: Codable {
            var base = 1
            init() {}
        }
        final class Derived: Base {
            var derived = 2
            enum Key: CodingKey { case derived }
            override init() { super.init() }
            required init(from decoder: any Decoder) throws {
                let keyed = try decoder.container(keyedBy: Key.self)
                self.derived = try keyed.decode(Int.self, forKey: .derived)
                try super.init(from: keyed.superDecoder())
            }
            override func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: Key.self)
                try super.encode(to: keyed.superEncoder())
                try keyed.encode(self.derived, forKey: .derived)
            }
        }
        let text = try self.encode(Derived())
        #expect(text == #"{"super":{"base":1},"derived":2}"#)
        #expect(try WireDecoder().decode(Derived.self, from: text.utf8).base == 1)
    }

    @Test func `a value that cannot be written leaves nothing behind`() throws {
        struct Refusal: Error {}
        struct Refusing: Encodable {
            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: WireEncoderTests.Key.self)
                try keyed.encode("partial", forKey: .a)
                var nested = keyed.nestedUnkeyedContainer(forKey: .b)
                try nested.encode(1)
                throw Refusal()
            }
        }
        struct Tolerant: Encodable {
            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: WireEncoderTests.Key.self)
                #expect(throws: Refusal.self) { try keyed.encode(Refusing(), forKey: .a) }
                try keyed.encode(1, forKey: .b)
            }
        }
        #expect(try self.encode(Tolerant()) == #"{"b":1}"#)
        let error = #expect(throws: JSONError.self) { try WireEncoder().encode(["k": Refusing()]) }
        #expect(error?.code == .unencodable)
        #expect(error?.cause is Refusal)
    }

    @Test func `misuse of the encoder is an error`() throws {
        struct TwoValues: Encodable {
            func encode(to encoder: any Encoder) throws {
                var single = encoder.singleValueContainer()
                try single.encode(1)
                try single.encode(2)
            }
        }
        struct TwoKinds: Encodable {
            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: WireEncoderTests.Key.self)
                try keyed.encode(1, forKey: .a)
                _ = encoder.unkeyedContainer()
            }
        }
        final class Leaker: Encodable, @unchecked Sendable {
            // Used from one task only.
            var kept: (any UnkeyedEncodingContainer)?
            func encode(to encoder: any Encoder) throws {
                var unkeyed = encoder.unkeyedContainer()
                try unkeyed.encode(1)
                self.kept = unkeyed
            }
        }
        struct UsesLeak: Encodable {
            let leaker = Leaker()
            func encode(to encoder: any Encoder) throws {
                var unkeyed = encoder.unkeyedContainer()
                try unkeyed.encode(self.leaker)
                #expect(throws: EncodingError.self) { try self.leaker.kept?.encode(2) }
            }
        }
        let twice = #expect(throws: JSONError.self) { try WireEncoder().encode(["k": TwoValues()]) }
        #expect(twice?.code == .unencodable)
        #expect(twice?.path == "k")
        #expect(throws: JSONError.self) { try WireEncoder().encode(TwoKinds()) }
        #expect(try self.encode(UsesLeak()) == "[[1]]")
    }

    @Test func `a value nested too deep is an error and not a crash`() {
        struct Deep: Encodable {
            let depth: Int
            func encode(to encoder: any Encoder) throws {
                var unkeyed = encoder.unkeyedContainer()
                if self.depth > 1 { try unkeyed.encode(Deep(depth: self.depth - 1)) }
            }
        }
        struct Wrapper: Encodable {
            let depth: Int
            func encode(to encoder: any Encoder) throws {
                var single = encoder.singleValueContainer()
                try single.encode(Wrapper(depth: self.depth - 1))
            }
        }
        #expect(throws: Never.self) { try WireEncoder().encode(Deep(depth: 256)) }
        for depth in [257, 10_000] {
            let error = #expect(throws: JSONError.self) { try WireEncoder().encode(Deep(depth: depth)) }
            #expect(error?.code == .depth)
        }
        let endless = #expect(throws: JSONError.self) { try WireEncoder().encode(Wrapper(depth: 0)) }
        #expect(endless?.code == .depth)
    }

    enum Key: String, CodingKey { case a, b }
}
