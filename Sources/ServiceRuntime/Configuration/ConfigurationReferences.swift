internal import Messaging

/// Replaces `$name`, `${name}` and `${section.name}` in the values of oslo's files by what these options have.
///
/// As in oslo.config, `$$` and `\$` stand for one dollar sign. Unlike there, a name may also be that of an option which
/// only the file knows, and what refers to nothing stays as it is: passwords have dollar signs.
struct ConfigurationReferences {
    /// Why a text cannot be expanded.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What a value may become; whatever refers to itself many times over ends here.
    private static let longest = 64 << 10
    /// How many options may refer to each other in a row.
    private static let deepest = 32

    /// What has been expanded before, so that nothing is done twice.
    private var known: [ServiceOptionName: String] = [:]
    private var path: [ServiceOptionName] = []

    typealias Options = [ServiceOptionName: any ServiceOptionDeclaration]

    /// The text of an option with all references replaced.
    mutating func expand(
        _ text: String,
        in name: ServiceOptionName,
        of layers: [ConfigurationLayer],
        options: Options
    ) throws -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        guard !self.path.contains(name) else {
            let names = (self.path + [name]).map { "$\($0)" }.joined(separator: " -> ")
            throw Failure(description: "it refers to itself: \(names.prefix(400))")
        }
        guard self.path.count < Self.deepest else {
            throw Failure(description: "it refers to options that refer to others, more than \(Self.deepest) in a row")
        }
        self.path.append(name)
        defer { self.path.removeLast() }
        var result = String.UnicodeScalarView()
        // A text counts its characters anew each time it is asked.
        var room = Self.longest
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            if scalar == "\\", rest.first == "$" {
                result.append("$")
                rest.removeFirst()
                continue
            }
            guard scalar == "$" else {
                result.append(scalar)
                continue
            }
            if rest.first == "$" {
                result.append("$")
                rest.removeFirst()
                continue
            }
            guard let (reference, length) = Self.reference(rest) else {
                result.append("$")
                continue
            }
            let value = try self.value(of: reference, for: name.section, layers, options)
            let part = value ?? "$" + String(rest.prefix(length))
            result.append(contentsOf: part.unicodeScalars)
            rest.removeFirst(length)
            room -= part.utf8.count
            guard room >= 0 else {
                throw Failure(description: "it becomes longer than \(Self.longest) bytes")
            }
        }
        return String(result)
    }

    /// The name that follows a dollar sign, and how much of the text it takes.
    private static func reference(_ text: Substring.UnicodeScalarView) -> (name: String, length: Int)? {
        let isBraced = text.first == "{"
        let inner = isBraced ? text.dropFirst() : text
        guard let first = inner.first, first == "_" || first.isLetter else { return nil }
        let name = inner.prefix { $0 == "_" || $0 == "." || $0.isLetter || ("0"..."9").contains($0) }
        guard isBraced else { return (String(name), name.count) }
        guard inner.dropFirst(name.count).first == "}" else { return nil }
        return (String(name), name.count + 2)
    }

    /// What a name stands for in a section: one of the section, else of `DEFAULT`; `nil` where it stands for nothing.
    private mutating func value(
        of reference: String,
        for section: String,
        _ layers: [ConfigurationLayer],
        _ options: Options
    ) throws -> String? {
        var names = [ServiceOptionName(reference, in: section), ServiceOptionName(reference)]
        if let dot = reference.firstIndex(of: ".") {
            let name = String(reference[reference.index(after: dot)...])
            names.insert(ServiceOptionName(name, in: String(reference[..<dot])), at: 0)
        }
        for name in names {
            if let known = self.known[name] { return known }
            var found: String?
            for layer in layers {
                switch try layer.given(name) {
                case .text(let text, refers: false): found = text
                case .text(let text, refers: true):
                    found = try self.expand(text, in: name, of: layers, options: options)
                case .value(let value): found = options[name]?.reader.textFromJSON(value) ?? value.shownText
                case nil: continue
                }
                break
            }
            if let text = found ?? options[name]?.reader.fallback.optionText {
                self.known[name] = text
                return text
            }
        }
        return nil
    }
}

extension Unicode.Scalar {
    fileprivate var isLetter: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
}
