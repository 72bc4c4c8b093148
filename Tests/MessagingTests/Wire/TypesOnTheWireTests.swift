import Foundation
import Testing

@testable import Messaging

/// The table of wire contract 3.5, row by row: what Python's values look like to us, and what ours look like to Python.
@Suite("wire contract 3.5: the table of types") struct TypesOnTheWireTests {
    private func arguments(_ name: String) throws -> RawJSON {
        let fixture = try Fixture(name)
        return try RequestPayload(decoding: #require(fixture.body), contentType: "application/json").args
    }

    private func text(_ value: some Encodable) throws -> String {
        String(decoding: try WireEncoder().encode(value), as: UTF8.self)
    }

    struct Numbers: Codable {
        var i64: Int64, big: Int128, neg: Int128, f: Double, exp: Double, small: Double, zero: Double, whole: Double
        var t: Bool, n: String?, nan: Double, inf: Double, ninf: Double
    }

    @Test func `integers are unbounded, floats round-trip, and NaN and Infinity are bare words`() throws {
        let numbers = try self.arguments("cast_numbers").decode(Numbers.self)
        #expect(numbers.i64 == .max)
        #expect(numbers.big == Int128(1) << 80)
        #expect(numbers.neg == -(Int128(1) << 70))
        #expect(numbers.f == 0.1 && numbers.exp == 1e300 && numbers.whole == 1)
        #expect(numbers.small == .leastNonzeroMagnitude)
        #expect(numbers.zero == 0 && numbers.zero.sign == .minus)
        #expect(numbers.nan.isNaN && numbers.inf == .infinity && numbers.ninf == -.infinity)
        // Ours: never an integer as a float, never a float as an integer.
        #expect(try self.text([Int128(1) << 80]) == "[1208925819614629174706176]")
        #expect(try self.text([1.0, -0.0, 1e300, .leastNonzeroMagnitude, 0.1]) == "[1.0,-0.0,1e+300,5e-324,0.1]")
        #expect(try self.text([Double.nan, .infinity, -.infinity]) == "[NaN,Infinity,-Infinity]")
    }

    @Test func `null, true and false are what they are`() throws {
        let numbers = try self.arguments("cast_numbers").decode(Numbers.self)
        #expect(numbers.t && numbers.n == nil)
        #expect(try self.text([true, false, nil] as [Bool?]) == "[true,false,null]")
    }

    @Test func `texts are ASCII on the wire, with surrogate pairs, and any text comes through`() throws {
        let fixture = try Fixture("cast_unicode")
        #expect(try #require(fixture.body).allSatisfy { $0 < 0x80 })
        let arguments = try self.arguments("cast_unicode").value()
        #expect(arguments["s"] == "\u{65E5}\u{672C}\u{8A9E} \u{2603} \u{1F600}")
        #expect(arguments["esc"] == "quote\" back\\slash \n\t\0\u{2028}")
        #expect(arguments["cl\u{E9}"] == 1)
        let ours = try self.text(["\u{1F600}\u{E9}\0"])
        #expect(ours.utf8.allSatisfy { $0 < 0x80 })
        #expect(ours == #"["\ud83d\ude00\u00e9\u0000"]"#)
    }

    struct Times: Codable {
        var naive: String, zeroMicroseconds: String, aware: String, date: String, delta: String

        enum CodingKeys: String, CodingKey {
            case naive, aware, date, delta
            case zeroMicroseconds = "zero_us"
        }
    }

    @Test func `datetimes are texts with six digits and without an offset, dates are texts`() throws {
        let times = try self.arguments("cast_datetimes").decode(Times.self)
        let pattern = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}/
        for time in [times.naive, times.zeroMicroseconds, times.aware] { #expect(time.wholeMatch(of: pattern) != nil) }
        #expect(times.zeroMicroseconds.hasSuffix(".000000"))
        #expect(times.aware == times.naive)
        #expect(times.date == "2026-01-02")
        // As all that has no type of its own.
        #expect(times.delta == "0:00:01")
    }

    struct Rich: Codable {
        var b: String, d: String, u: UUID, s: Set<Int>, fs: Set<String>, e: String, cls: String, gen: [Int]
    }

    @Test func `bytes, UUIDs and decimals are texts, sets are arrays, errors and classes are their words`() throws {
        let rich = try self.arguments("cast_rich_types").decode(Rich.self)
        #expect(rich.b == "abc" && rich.d == "1.50")
        #expect(rich.u.uuidString == "00000000-0000-0000-0000-000000000007")
        #expect(rich.s == [1] && rich.fs == ["x"] && rich.gen == [0, 1])
        #expect(rich.e == "ValueError('v')" && rich.cls == "<class 'dict'>")
        #expect(try self.text(Set([7])) == "[7]")
        #expect(try self.text([rich.u]) == #"["00000000-0000-0000-0000-000000000007"]"#)
    }

    struct Nested: Codable { var t: [Int], ints: [String: String] }

    @Test func `tuples are arrays, and keys that are no texts become texts`() throws {
        let nested = try self.arguments("cast_nested").decode(Nested.self)
        #expect(nested.t == [1, 2])
        #expect(nested.ints == ["1": "one", "null": "none", "false": "no", "1.5": "f"])
        #expect(try self.text([7: "seven"]) == #"{"7":"seven"}"#)
    }

    private struct Unwritable: Codable, Sendable {
        init() {}
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws {
            throw EncodingError.invalidValue(self, .init(codingPath: [], debugDescription: "of no use elsewhere"))
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `anything else is an error at the sender, and an answer where Python gives none`() async throws {
        let transport = InMemoryTransport(InMemoryBroker())
        let sent = RPCMethod<Unwritable, Void>("sent", since: "1.0")
        let returned = RPCMethod<Void, Unwritable>("returned", since: "1.0")
        try await withRPCServer(
            on: transport,
            target: .topic("t", server: "s"),
            endpoints: [RPCEndpoint { returned.handled { _ in Unwritable() } }]
        ) { _ in
            let client = RPCClient(transport, target: .topic("t"))
            let error = await #expect(throws: RPCError.self) { try await client.call(sent, Unwritable()) }
            #expect(error?.code == .invalidArguments)
            let answer = await #expect(throws: RPCError.self) { _ = try await client.call(returned) }
            #expect(answer?.code == .remote)
        }
        await transport.close()
    }
}
