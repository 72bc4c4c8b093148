internal import Messaging

/// Reads configuration files in JSON.
enum JSONConfiguration {
    @Sendable static func read(_ bytes: [UInt8]) -> ConfigurationDocument {
        var document = ConfigurationDocument()
        do {
            let value = try JSONValue(parsing: bytes)
            let lines = self.lines(of: bytes)
            document.add(members: value) { lines[$0] }
        } catch {
            let line = error.offset.map { 1 + bytes.prefix($0).count { $0 == UInt8(ascii: "\n") } }
            document.complain("the file is not JSON: \(error)", line: line)
        }
        return document
    }

    /// The lines in which the members of an object and of the objects within it begin; of a text that is known to be JSON.
    private static func lines(of bytes: [UInt8]) -> [[String]: Int] {
        var lines: [[String]: Int] = [:]
        var (line, depth, outer) = (1, 0, "")
        var string: (text: Range<Int>, line: Int)?
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                let start = index
                index += 1
                while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
                    index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                string = (start..<min(index + 1, bytes.count), line)
            case UInt8(ascii: ":"):
                // Only names are followed by a colon.
                if let found = string, depth <= 2, let name = self.name(bytes[found.text]) {
                    if depth == 1 { outer = name }
                    lines[depth == 1 ? [name] : [outer, name]] = found.line
                }
            default: break
            }
            index += 1
        }
        return lines
    }

    private static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        do {
            return try JSONValue(parsing: bytes).stringValue
        } catch {
            // It has been read before, as part of the whole; without a line it goes as well.
            return nil
        }
    }
}
