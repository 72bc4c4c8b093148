import Foundation
import Messaging
import Testing

/// What Python's own `json` makes of texts: a process reads them all at once.
enum PythonJSON {
    enum Kind: String { case document = "d", envelope = "e" }

    /// What became of one text.
    struct Reading {
        /// The value in a form that tells all values apart, or `nil` if Python refuses the text.
        let exact: String?
        /// How Python writes the value.
        let written: [UInt8]
    }

    struct Unavailable: Error { let status: Int32, readings: Int }

    /// Reads texts in their order.
    static func read(_ texts: [(kind: Kind, bytes: [UInt8])]) async throws -> [Reading] {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("json-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { _ = Result { try FileManager.default.removeItem(at: directory) } }
        let input = directory.appendingPathComponent("input")
        let output = directory.appendingPathComponent("output")
        var lines: [UInt8] = []
        for text in texts {
            lines += Array(text.kind.rawValue.utf8)
            for byte in text.bytes {
                lines.append(Self.digits[Int(byte >> 4)])
                lines.append(Self.digits[Int(byte & 15)])
            }
            lines.append(UInt8(ascii: "\n"))
        }
        try Data(lines).write(to: input)
        try Data().write(to: output)

        let script = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/read_json.py")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path]
        process.standardInput = try FileHandle(forReadingFrom: input)
        process.standardOutput = try FileHandle(forWritingTo: output)
        let status = try await withCheckedThrowingContinuation { (done: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { done.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        let readings = try Data(contentsOf: output).split(separator: UInt8(ascii: "\n")).map { line in
            let words = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            return Reading(exact: words[0] == "refused" ? nil : words[0], written: Self.bytes(words.dropFirst().first))
        }
        guard status == 0, readings.count == texts.count else {
            throw Unavailable(status: status, readings: readings.count)
        }
        return readings
    }

    /// The form that the script writes.
    static func exact(_ value: JSONValue) -> String {
        switch value {
        case .null: "n"
        case .bool(let value): value ? "t" : "f"
        case .integer(let value): "i\(value)"
        case .bigInteger(let value): "i\(value)"
        case .double(let value): value.isNaN ? "dnan" : "d" + Self.hexadecimal(value.bitPattern)
        case .string(let value): "s" + Self.hexadecimal(value)
        case .array(let elements): "[" + elements.map(Self.exact).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                .map { Self.hexadecimal($0.key) + ":" + Self.exact($0.value) }.joined(separator: ",") + "}"
        }
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func hexadecimal(_ text: String) -> String {
        var digits: [UInt8] = []
        for byte in text.utf8 { digits += [Self.digits[Int(byte >> 4)], Self.digits[Int(byte & 15)]] }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func hexadecimal(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func bytes(_ text: String?) -> [UInt8] {
        let digits = Array((text ?? "").utf8)
        return stride(from: 0, to: digits.count - digits.count % 2, by: 2).map { index in
            UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16) ?? 0
        }
    }
}

/// Texts from a fixed seed that hold what peers may send, well formed and damaged.
struct JSONTextGenerator {
    var random: SeededGenerator

    init(seed: UInt64) { self.random = SeededGenerator(seed: seed) }

    private mutating func pick(_ texts: [String]) -> String { texts.randomElement(using: &self.random) ?? "" }

    private mutating func number(below limit: Int) -> Int { Int.random(in: 0..<limit, using: &self.random) }

    private mutating func space() -> String { self.pick(["", "", "", " ", "\n", "\t \r\n", "  "]) }

    private mutating func digits(_ count: ClosedRange<Int>) -> String {
        String((0..<Int.random(in: count, using: &self.random)).map { _ in Character("\(self.number(below: 10))") })
    }

    mutating func numeral() -> String {
        let sign = self.pick(["", "", "-"])
        let whole = self.pick([
            "0", "\(1 + self.number(below: 9))\(self.digits(0...40))", "\(self.number(below: 1000))",
        ])
        let fraction = self.pick(["", "", "." + self.digits(1...25)])
        let exponent = self.pick(["", "", "\(self.pick(["e", "E", "e+", "e-", "E-"]))\(self.digits(1...3))"])
        return sign + whole + fraction + exponent
    }

    mutating func string() -> String {
        var text = "\""
        for _ in 0..<self.number(below: 40) {
            switch self.number(below: 14) {
            case 0: text += self.pick([#"\""#, #"\\"#, #"\/"#, #"\b"#, #"\f"#, #"\n"#, #"\r"#, #"\t"#])
            case 1: text += self.pick([#"\u00e9"#, #"\uD83D\uDE00"#, #"\u0000"#, #"\u001F"#, #"\uffff"#, #"\u0022"#])
            case 2: text += self.pick([#"\ud83d"#, #"\uDE00"#, #"\ud83d\u0041"#, #"\ud83d\ud83d\ude00"#])
            case 3: text += self.pick(["é", "日本", "😀", "\u{7F}", "\u{80}", "\u{2028}", "\u{FFFF}", "\u{10FFFF}"])
            default: text += self.pick(["a", "key", "0", " ", "{", "]", ":", ",", "long plain text without any mark"])
            }
        }
        return text + "\""
    }

    mutating func value(depth: Int) -> String {
        switch self.number(below: depth > 0 ? 12 : 7) {
        case 0: return self.pick(["null", "true", "false"])
        case 1: return self.pick(["NaN", "Infinity", "-Infinity"])
        case 2, 3: return self.numeral()
        case 4, 5, 6: return self.string()
        case 7, 8, 9:
            let elements = (0..<self.number(below: 6)).map { _ in
                "\(self.space())\(self.value(depth: depth - 1))\(self.space())"
            }
            return "[" + (elements.isEmpty ? self.space() : elements.joined(separator: ",")) + "]"
        default:
            let members = (0..<self.number(below: 6)).map { _ in
                let key = self.pick(["\"a\"", "\"b\"", self.string()])
                return
                    "\(self.space())\(key)\(self.space()):\(self.space())\(self.value(depth: depth - 1))\(self.space())"
            }
            return "{" + (members.isEmpty ? self.space() : members.joined(separator: ",")) + "}"
        }
    }

    /// A well-formed text with white space around it.
    mutating func document(depth: Int = 5) -> [UInt8] {
        Array("\(self.space())\(self.value(depth: depth))\(self.space())".utf8)
    }

    /// The same text with a few bytes changed.
    mutating func damaged(_ text: [UInt8]) -> [UInt8] {
        let marks = Array("\"\\{}[]:,0-.eEuNI \n\u{0}".utf8) + [0x7F, 0x80, 0xC3, 0xED, 0xFF]
        var text = text
        for _ in 0...self.number(below: 3) where !text.isEmpty {
            let position = self.number(below: text.count)
            switch self.number(below: 5) {
            case 0: text.removeSubrange(position...)
            case 1: text.remove(at: position)
            case 2: text.insert(marks[self.number(below: marks.count)], at: position)
            case 3: text[position] = UInt8.random(in: 0...255, using: &self.random)
            default:
                let part = text[position..<min(text.count, position + 1 + self.number(below: 24))]
                text.insert(contentsOf: Array(part), at: self.number(below: text.count))
            }
        }
        return text
    }
}
