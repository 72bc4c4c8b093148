internal import Messaging
public import ServiceRuntime
internal import Yams

extension ConfigurationFormat {
    /// One YAML mapping of options; sections are mappings within it.
    ///
    /// A module of its own, as the reader brings in Foundation: a program that needs no YAML starts faster without it.
    public static let yaml = ConfigurationFormat("YAML", extensions: ["yaml", "yml"], read: YAMLConfiguration.read)
}

/// Reads configuration files in YAML.
enum YAMLConfiguration {
    /// What the reader of YAML is spared: it calls itself for each level, and an alias may stand for a whole tree.
    private enum Limits {
        static let depth = 32
        static let indentation = 128
        static let aliases = 16
    }

    @Sendable static func read(_ bytes: [UInt8]) -> ConfigurationDocument {
        var document = ConfigurationDocument()
        guard let text = String(validating: bytes, as: UTF8.self) else {
            document.complain("the file is not text in UTF-8", line: nil)
            return document
        }
        if let (line, complaint) = self.excess(in: bytes) {
            document.complain(complaint, line: line)
            return document
        }
        do {
            // A file of comments alone has no root: it says nothing.
            guard let root = try Parser(yaml: text).singleRoot() else { return document }
            if case .scalar(let scalar) = root, self.value(.scalar(scalar), depth: 0) == .null { return document }
            guard case .mapping(let members) = root else {
                document.complain("the file must be a mapping of options", line: root.mark?.line)
                return document
            }
            self.add(members, to: &document)
        } catch let error as YamlError {
            document.complain("the file is not YAML: \(self.reason(error))", line: self.line(error))
        } catch {
            document.complain("the file is not YAML", line: nil)
        }
        return document
    }

    private static func add(_ members: Node.Mapping, to document: inout ConfigurationDocument) {
        for (key, value) in members {
            guard case .scalar(let name) = key else {
                document.complain("a name must be a text", line: key.mark?.line)
                continue
            }
            guard case .mapping(let section) = value else {
                document.add(
                    self.value(value, depth: 0),
                    for: ServiceOptionName(name.string),
                    line: key.mark?.line
                )
                continue
            }
            document.addSection(name.string, line: key.mark?.line)
            for (key, value) in section {
                guard case .scalar(let option) = key else {
                    document.complain("a name must be a text", line: key.mark?.line)
                    continue
                }
                document.add(
                    self.value(value, depth: 0),
                    for: ServiceOptionName(option.string, in: name.string),
                    line: key.mark?.line
                )
            }
        }
    }

    /// A node as JSON has it; what is not text, number, truth or null is a text.
    private static func value(_ node: Node, depth: Int) -> JSONValue {
        guard depth < Limits.depth else { return .null }
        switch node {
        case .scalar(let scalar):
            // Quoted ones are texts, whatever they look like.
            guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
            switch node.tag.description {
            case Tag.Name.null.rawValue: return .null
            case Tag.Name.bool.rawValue: return Bool.construct(from: scalar).map { .bool($0) } ?? .string(scalar.string)
            case Tag.Name.int.rawValue:
                return Int.construct(from: scalar).map { .integer($0) } ?? .string(scalar.string)
            case Tag.Name.float.rawValue:
                return Double.construct(from: scalar).map { .double($0) } ?? .string(scalar.string)
            default: return .string(scalar.string)
            }
        case .sequence(let elements):
            return .array(elements.map { self.value($0, depth: depth + 1) })
        case .mapping, .alias:
            // No option is a mapping: what is in it does not matter.
            return .object([:])
        }
    }

    /// The first line in which a text has more of something than any configuration needs.
    private static func excess(in bytes: [UInt8]) -> (line: Int, complaint: String)? {
        var (line, depth, aliases) = (1, 0, 0)
        var indentation: Int? = 0
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if byte == UInt8(ascii: "\n") { line += 1 }
                indentation = 0
                continue
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
                indentation = indentation.map { $0 + 1 }
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
            case UInt8(ascii: "*"):
                let next = index + 1 < bytes.count ? bytes[index + 1] : 0x20
                if next > 0x20 { aliases += 1 }
            default: break
            }
            if let columns = indentation, columns > Limits.indentation { return (line, "the text is indented too far") }
            if byte != UInt8(ascii: " "), byte != UInt8(ascii: "\t"), byte != UInt8(ascii: "-"),
                byte != UInt8(ascii: "?"), byte != UInt8(ascii: ":")
            {
                indentation = nil
            }
            if depth > Limits.depth { return (line, "there are too many open brackets") }
            if aliases > Limits.aliases { return (line, "there are too many aliases") }
        }
        return nil
    }

    // MARK: Errors

    private static func line(_ error: YamlError) -> Int? {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
        case .duplicatedKeysInMapping(_, let context): context.mark.line
        default: nil
        }
    }

    /// What is wrong, without the text around it: there may be a secret in it.
    private static func reason(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _): problem
        case .duplicatedKeysInMapping: "an option is set twice"
        default: "it cannot be read"
        }
    }
}
