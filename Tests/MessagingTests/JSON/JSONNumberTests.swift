import Messaging
import Testing

@Suite("wire contract 3.5: numbers") struct JSONNumberTests {
    @Test(arguments: [
        "9223372036854775807", "-9223372036854775808", "9223372036854775808", "-9223372036854775809",
        "18446744073709551615", "18446744073709551616", "1208925819614629174706176", "-1180591620717411303424",
        "999999999999999999", "-999999999999999999", "1000000000000000000", "10000000000000000000",
        "340282366920938463463374607431768211455",
    ])
    func `an integer of any size is kept`(text: String) throws {
        let value = try JSONValue(parsing: text)
        #expect(value.description == text)
        #expect(try WireDecoder().decode(JSONValue.self, from: text.utf8).description == text)
        #expect(value.intValue == Int(text))
        #expect(value.doubleValue == Double(text))
        if Int(text) != nil { #expect(value == .integer(Int(text) ?? 0)) }
    }

    @Test func `integers of every width are read up to their bounds`() throws {
        func check<Integer: FixedWidthInteger & Codable>(_ type: Integer.Type) throws {
            for value in [Integer.min, Integer.min + 1, 0, 1, Integer.max - 1, Integer.max] {
                #expect(try WireDecoder().decode(type, from: WireEncoder().encode(value)) == value)
                #expect(try String(decoding: WireEncoder().encode(value), as: UTF8.self) == String(value))
            }
            let above = JSONValue(Int128(truncatingIfNeeded: Integer.max) &+ 1).description
            if Integer.bitWidth < 128 {
                let error = #expect(throws: JSONError.self) { try WireDecoder().decode(type, from: above.utf8) }
                #expect(error?.code == .range)
            }
            #expect(throws: JSONError.self) { try WireDecoder().decode(type, from: "1\(Integer.max)0".utf8) }
            #expect(throws: JSONError.self) { try WireDecoder().decode(type, from: "-1\(Integer.max)0".utf8) }
        }
        try check(Int8.self)
        try check(Int16.self)
        try check(Int32.self)
        try check(Int64.self)
        try check(Int.self)
        try check(Int128.self)
        try check(UInt8.self)
        try check(UInt16.self)
        try check(UInt32.self)
        try check(UInt64.self)
        try check(UInt.self)
        try check(UInt128.self)
    }

    @Test func `integers are written as the standard library writes them`() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<5_000 {
            let value = Int(truncatingIfNeeded: random.next()) >> Int.random(in: 0..<64, using: &random)
            #expect(JSONValue.integer(value).description == String(value))
        }
        var power = 1
        for _ in 0..<18 {
            power *= 10
            for value in [power - 1, power, power + 1] {
                #expect(JSONValue.integer(value).description == "\(value)")
                #expect(JSONValue.integer(-value).description == "\(-value)")
            }
        }
    }

    @Test(arguments: [
        (0.1, "0.1"), (1.0, "1.0"), (-0.0, "-0.0"), (0.0, "0.0"), (1e300, "1e+300"), (.leastNonzeroMagnitude, "5e-324"),
        (1e16, "1e+16"),
        (123456789.125, "123456789.125"), (.nan, "NaN"), (.infinity, "Infinity"), (-.infinity, "-Infinity"),
    ])
    func `a double is written as Python writes it`(value: Double, text: String) throws {
        #expect(JSONValue.double(value).description == text)
        #expect(try String(decoding: WireEncoder().encode(value), as: UTF8.self) == text)
        let back = try WireDecoder().decode(Double.self, from: text.utf8)
        #expect(back == value || back.isNaN && value.isNaN)
        #expect(back.sign == value.sign)
        guard case .double(let dynamic) = try JSONValue(parsing: text) else {
            Issue.record("\(text) is not read as a double")
            return
        }
        #expect(dynamic.bitPattern == value.bitPattern || dynamic.isNaN && value.isNaN)
    }

    @Test func `any double survives writing and reading`() async throws {
        var random = SeededGenerator(seed: 6)
        for round in 0..<20_000 {
            if round % 100 == 0 { await Task.yield() }  // Others share the thread.
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let text = JSONValue.double(value).serialized()
            guard case .double(let back) = try JSONValue(parsing: text) else {
                Issue.record("\(value) is not read as a double")
                return
            }
            #expect(back.bitPattern == value.bitPattern)
        }
    }

    @Test func `decimal texts of every form are read as the standard library reads them`() async throws {
        var random = SeededGenerator(seed: 7)
        func digits(_ count: ClosedRange<Int>) -> String {
            String(
                (0..<Int.random(in: count, using: &random)).map { _ in "0123456789".randomElement(using: &random) ?? "0"
                }
            )
        }
        for round in 0..<20_000 {
            if round % 100 == 0 { await Task.yield() }  // Others share the thread.
            var text = Bool.random(using: &random) ? "-" : ""
            text += Bool.random(using: &random) ? "0" : "\(Int.random(in: 1...9, using: &random))\(digits(0...20))"
            text += "." + digits(1...25)
            if Bool.random(using: &random) {
                text += ["e", "E", "e+", "e-"].randomElement(using: &random) ?? "e"
                text += digits(1...3)
            }
            let value = try #require(try JSONValue(parsing: text).doubleValue)
            #expect(value.bitPattern == Double(text)?.bitPattern, "\(text)")
        }
    }

    @Test(arguments: ["1e400", "-1e400", "1e-400", "1e99999", "1e-99999", "0e99999", "0.0e-5"])
    func `what is beyond a double's range is read as Python reads it`(text: String) throws {
        #expect(try JSONValue(parsing: text).doubleValue == Double(text))
    }

    @Test func `a number reads as integer or double where its value allows`() throws {
        #expect(try WireDecoder().decode(Double.self, from: "3".utf8) == 3)
        #expect(try WireDecoder().decode(Float.self, from: "3".utf8) == 3)
        #expect(try WireDecoder().decode(Int.self, from: "3.0".utf8) == 3)
        #expect(try WireDecoder().decode(Double.self, from: "1208925819614629174706176".utf8) == 0x1p80)
        for (text, code) in [("3.5", JSONError.Code.type), ("NaN", .type), ("1e300", .range)] {
            let error = #expect(throws: JSONError.self) { try WireDecoder().decode(Int.self, from: text.utf8) }
            #expect(error?.code == code)
        }
        #expect(try WireDecoder().decode(Float.self, from: "Infinity".utf8) == .infinity)
        let error = #expect(throws: JSONError.self) { try WireDecoder().decode(Float.self, from: "1e300".utf8) }
        #expect(error?.code == .range)
    }

    @Test func `a big integer takes decimal digits only`() {
        #expect(JSONBigInteger("123")?.description == "123")
        #expect(JSONBigInteger("-5")?.description == "-5")
        #expect(JSONBigInteger("-0")?.description == "0")
        #expect(UInt64(exactly: JSONBigInteger(UInt64.max)) == .max)
        #expect(Int8(exactly: JSONBigInteger(300)) == nil)
        for text in ["", "-", "+1", "01", "1.0", "1e3", " 1", "x", "٣"] { #expect(JSONBigInteger(text) == nil) }
    }
}

/// A generator that gives the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
