import Messaging
import Testing

struct JSONValueTests {
    static let texts: [(String, JSONValue)] = [
        ("null", nil), ("true", true), ("false", false), ("0", 0), ("-0", 0), ("12", 12), ("-7", -7), ("\"\"", ""),
        ("\"a\"", "a"), ("[]", []), ("{}", [:]), (" [ 1 , 2 ] ", [1, 2]), ("\t{\"a\"\n:\r1 } ", ["a": 1]), ("1.0", 1.0),
        ("1e2", 100.0), ("1E+2", 100.0), ("5e-324", .double(.leastNonzeroMagnitude)), ("[[],{}]", [[], [:]]),
    ]

    @Test(arguments: texts)
    func `a text gives its value`(text: String, expected: JSONValue) throws {
        #expect(try JSONValue(parsing: text) == expected)
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "tru", "True", "None", "nan", "+1", "01", "-", "-a", "1.", ".5", "1e", "1e+", "0x10",
        "1_0",
        "\"", "\"a", "'a'", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\u{1}\"", "\"\n\"", "[", "[1", "[1,",
        "[1,]",
        "[,1]", "[1 2]", "]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:2}",
        "{\"a\" 1}",
        "{,}", "}", "[}", "{]", "1 2", "[] []", "\u{FEFF}1", "//1", "1//", "Infinit", "-Infinit", "- 1", "--1", "NaNN",
    ])
    func `what is not JSON is refused`(text: String) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        #expect(error?.code == .syntax)
        #expect(error?.offset.map { 0...text.utf8.count ~= $0 } == true)
        #expect(throws: JSONError.self) { try RawJSON(checking: text.utf8) }
        #expect(throws: JSONError.self) { try WireDecoder().decode(JSONValue.self, from: text.utf8) }
    }

    @Test func `an error says what was expected and where`() {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: #"{"a" 1}"#) }
        #expect(error?.description == "expected ':', found '1' (at byte 5)")
        let end = #expect(throws: JSONError.self) { try JSONValue(parsing: "[1,") }
        #expect(end?.description == "expected a value, found the end of the text (at byte 3)")
    }

    @Test func `of repeated keys the last one counts`() throws {
        #expect(try JSONValue(parsing: #"{"a":1,"b":2,"\u0061":3}"#) == ["a": 3, "b": 2])
    }

    @Test func `members and elements are reached by subscripts and typed accessors`() throws {
        let value: JSONValue = ["n": nil, "b": true, "i": 7, "d": 1.5, "s": "x", "a": [1, "two"], "o": ["k": 1]]
        #expect(value["n"]?.isNull == true)
        #expect(value["b"]?.boolValue == true)
        #expect(value["i"]?.intValue == 7)
        #expect(value["i"]?.doubleValue == 7)
        #expect(value["d"]?.doubleValue == 1.5)
        #expect(value["d"]?.intValue == nil)
        #expect(value["s"]?.stringValue == "x")
        #expect(value["a"]?[1]?.stringValue == "two")
        #expect(value["a"]?[2] == nil)
        #expect(value["a"]?[-1] == nil)
        #expect(value["a"]?.arrayValue?.count == 2)
        #expect(value["o"]?.objectValue == ["k": 1])
        #expect(value["missing"] == nil)
        #expect(value[0] == nil)
        #expect(JSONValue.double(3.0).intValue == 3)
        #expect(JSONValue.string("1").intValue == nil)
        #expect(JSONValue.null.boolValue == nil)
        #expect(JSONValue(UInt64.max).intValue == nil)
        #expect(JSONValue(UInt64.max).doubleValue == 0x1p64)
    }

    @Test func `the description is the text with sorted keys`() {
        let value: JSONValue = ["b": [1, 2.0, nil], "a": ["é": true], "c": "line\n"]
        #expect(value.description == #"{"a":{"é":true},"b":[1,2.0,null],"c":"line\n"}"#)
        #expect(String(decoding: value.serialized(sortedKeys: true), as: UTF8.self).contains(#"{"\u00e9":true}"#))
    }

    @Test func `nesting up to the limit is read and one more is an error`() throws {
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(256, "[", "]")) }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(256, "{\"a\":", "}")) }
        for depth in [257, 10_000, 1_000_000] {
            for text in [nested(depth, "[", "]"), nested(depth, "{\"a\":", "}"), String(repeating: "[", count: depth)] {
                #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
                let error = #expect(throws: JSONError.self) { try RawJSON(checking: text.utf8) }
                #expect(error?.code == .depth)
                let typed = #expect(throws: JSONError.self) { try WireDecoder().decode([Int].self, from: text.utf8) }
                #expect(typed?.code == .depth)
            }
        }
        let limits = JSONLimits(maximumDepth: 2)
        #expect(throws: Never.self) { try JSONValue(parsing: "[[1]]", limits: limits) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: "[[[1]]]", limits: limits) }
        #expect(JSONLimits(maximumDepth: 1_000_000).maximumDepth == 512)
    }

    @Test func `a value that a program nests deeply is written`() {
        var value: JSONValue = 1
        for _ in 0..<10_000 { value = .array([value]) }
        #expect(value.serialized().count == 20_001)
    }

    @Test func `a text beyond the size limit is refused`() {
        let error = #expect(throws: JSONError.self) {
            try JSONValue(parsing: "[1,2,3]", limits: JSONLimits(maximumSize: 6))
        }
        #expect(error?.code == .size)
    }

    @Test func `any collection of bytes can be parsed`() throws {
        let bytes = Array("x[1,2]x".utf8)
        #expect(try JSONValue(parsing: bytes[1..<6]) == [1, 2])
        #expect(try JSONValue(parsing: bytes[1..<6].lazy.map { $0 }) == [1, 2])
    }

    @Test func `raw text keeps its bytes and knows its kind`() throws {
        let raw = try RawJSON(checking: Array(" {\"a\" : [1, 1.0]} \n".utf8))
        #expect(raw.text == "{\"a\" : [1, 1.0]}")
        #expect(raw.kind == .object)
        #expect(try raw.value() == ["a": [1, 1.0]])
        #expect(try raw.decode([String: [Double]].self) == ["a": [1, 1]])
        #expect(RawJSON.null.isNull)
        #expect(RawJSON("text").stringValue == "text")
        #expect(RawJSON("a\"\\\u{1F600}\n").stringValue == "a\"\\\u{1F600}\n")
        #expect(RawJSON(5).stringValue == nil)
        for falsy: JSONValue in [nil, false, 0, 0.0, "", [], [:]] { #expect(RawJSON(falsy).isFalsy) }
        for truthy: JSONValue in [true, 1, 0.5, "0", [0], ["a": nil]] { #expect(!RawJSON(truthy).isFalsy) }
    }
}
