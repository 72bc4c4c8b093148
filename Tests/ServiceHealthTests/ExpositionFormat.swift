import Foundation

/// Reads Prometheus' exposition format 0.0.4, and allows nothing that it leaves open or forbids.
struct ExpositionFormat {
    struct Sample: Equatable {
        let name: String
        let labels: [String: String]
        let value: Double
    }

    struct Family: Equatable {
        let name: String
        let kind: String
        let help: String
        var samples: [Sample] = []
    }

    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var families: [Family] = []

    /// Reads a text, or says what is wrong with it.
    init(_ text: String) throws(Violation) {
        guard text.hasSuffix("\n") else { throw Violation(description: "the last line has no end") }
        var help: (name: String, text: String)?
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("# HELP ") {
                guard help == nil else { throw Violation(description: "a HELP without a TYPE before: \(line)") }
                let (name, text) = try Self.two(line.dropFirst(7))
                help = (name, text)
            } else if line.hasPrefix("# TYPE ") {
                let (name, kind) = try Self.two(line.dropFirst(7))
                guard let opened = help, opened.name == name else {
                    throw Violation(description: "a TYPE without its HELP: \(line)")
                }
                help = nil
                guard Self.isName(name, colons: true), ["counter", "gauge", "histogram"].contains(kind) else {
                    throw Violation(description: "no name or no type: \(line)")
                }
                guard !self.families.contains(where: { $0.name == name }) else {
                    throw Violation(description: "a family comes twice: \(name)")
                }
                self.families.append(Family(name: name, kind: kind, help: opened.text))
            } else {
                guard help == nil, let family = self.families.last else {
                    throw Violation(description: "a sample without a family: \(line)")
                }
                let sample = try Self.sample(line)
                guard Self.belongs(sample.name, to: family) else {
                    throw Violation(description: "a sample among those of \(family.name): \(line)")
                }
                guard !family.samples.contains(where: { $0.name == sample.name && $0.labels == sample.labels }) else {
                    throw Violation(description: "a sample comes twice: \(line)")
                }
                self.families[self.families.count - 1].samples.append(sample)
            }
        }
        for family in self.families { try Self.check(family) }
    }

    /// All values of a name whose labels include the given ones.
    func values(_ name: String, _ labels: [String: String] = [:]) -> [Double] {
        self.families.flatMap(\.samples)
            .filter { sample in sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value } }
            .map(\.value)
    }

    /// The one value of a name with the given labels, or the sum of several; 0 where there is none.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double { self.values(name, labels).reduce(0, +) }

    // MARK: Lines

    private static func two(_ text: Substring) throws(Violation) -> (String, String) {
        let parts = text.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { throw Violation(description: "half a line: \(text)") }
        return (String(parts[0]), String(parts[1]))
    }

    private static func isName(_ name: some StringProtocol, colons: Bool) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: colons && byte == UInt8(ascii: ":")
            }
        }
    }

    private static func sample(_ line: Substring) throws(Violation) -> Sample {
        let end = line.firstIndex { $0 == "{" || $0 == " " } ?? line.endIndex
        let name = line[..<end]
        guard self.isName(name, colons: true) else { throw Violation(description: "no name: \(line)") }
        var rest = line[end...]
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest.removeFirst()
            while rest.first != "}" {
                if !labels.isEmpty {
                    guard rest.first == "," else { throw Violation(description: "labels in one: \(line)") }
                    rest.removeFirst()
                }
                let (label, value) = try self.label(&rest, line)
                guard labels.updateValue(value, forKey: label) == nil else {
                    throw Violation(description: "a label comes twice: \(line)")
                }
            }
            rest.removeFirst()
        }
        guard rest.first == " " else { throw Violation(description: "no space before the value: \(line)") }
        rest.removeFirst()
        guard let value = self.number(rest) else { throw Violation(description: "no number: \(line)") }
        return Sample(name: String(name), labels: labels, value: value)
    }

    private static func label(_ rest: inout Substring, _ line: Substring) throws(Violation) -> (String, String) {
        guard let end = rest.range(of: "=\"") else { throw Violation(description: "no label: \(line)") }
        let name = rest[..<end.lowerBound]
        guard self.isName(name, colons: false), !name.hasPrefix("__") else {
            throw Violation(description: "no label's name: \(line)")
        }
        rest = rest[end.upperBound...]
        var value = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return (String(name), value)
            case "\\":
                switch rest.popFirst() {
                case "n": value += "\n"
                case "\\": value += "\\"
                case "\"": value += "\""
                default: throw Violation(description: "no such escape: \(line)")
                }
            default: value.append(character)
            }
        }
        throw Violation(description: "a label without an end: \(line)")
    }

    private static func number(_ text: some StringProtocol) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default:
            // Of what Swift reads only what Prometheus reads, too.
            text.utf8.allSatisfy { "0123456789+-.e".utf8.contains($0) } ? Double(String(text)) : nil
        }
    }

    // MARK: Families

    private static func belongs(_ name: String, to family: Family) -> Bool {
        family.kind == "histogram"
            ? ["_bucket", "_sum", "_count"].contains { family.name + $0 == name } : family.name == name
    }

    private static func check(_ family: Family) throws(Violation) {
        if family.kind == "counter" {
            guard family.name.hasSuffix("_total") else {
                throw Violation(description: "a counter without _total: \(family.name)")
            }
            for sample in family.samples where !(sample.value >= 0) {
                throw Violation(description: "a counter below zero: \(sample)")
            }
        }
        guard family.kind == "histogram" else { return }
        var series: [[String: String]: [Sample]] = [:]
        for sample in family.samples {
            series[sample.labels.filter { $0.key != "le" }, default: []].append(sample)
        }
        for (labels, samples) in series {
            let buckets = samples.filter { $0.name == family.name + "_bucket" }
            let bounds = buckets.compactMap { $0.labels["le"].flatMap { self.number($0) } }
            let counts = buckets.map(\.value)
            let rest = samples.dropFirst(buckets.count)
            guard bounds.count == buckets.count, bounds.last == .infinity,
                zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }),
                zip(counts, counts.dropFirst()).allSatisfy({ $0 <= $1 }),
                rest.map(\.name) == [family.name + "_sum", family.name + "_count"],
                rest.allSatisfy({ $0.labels == labels }), rest.last?.value == counts.last
            else { throw Violation(description: "no histogram: \(family.name) \(labels): \(samples)") }
        }
    }
}
