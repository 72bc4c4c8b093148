internal import Messaging

/// Reads configuration files as oslo.config does.
///
/// What it has of its own, beside `[section]` and `name = value` or `name: value`: a line that begins with white space goes
/// on with the value above it, also where it looks like a comment; an empty line ends the value; quotes around a whole
/// value do not belong to it; comments begin with `#` or `;`, at the beginning of a line alone.
enum INIConfiguration {
    @Sendable static func read(_ bytes: [UInt8]) -> ConfigurationDocument {
        var document = ConfigurationDocument()
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let valid = String(decoding: bytes, as: UTF8.self).unicodeScalars
            let line = 1 + valid.prefix { $0 != "\u{FFFD}" }.count { $0 == "\n" }
            document.complain("the file is not text in UTF-8", line: line)
            return document
        }
        var reader = INIReader()
        var scalars = text.unicodeScalars[...]
        // An editor's mark of UTF-8 is no part of the first line.
        if scalars.first == "\u{FEFF}" { scalars = scalars.dropFirst() }
        var start = scalars.startIndex
        while start < scalars.endIndex {
            let end = scalars[start...].firstIndex { $0 == "\n" || $0 == "\r" } ?? scalars.endIndex
            reader.take(scalars[start..<end])
            guard end < scalars.endIndex else { break }
            start = scalars.index(after: end)
            if scalars[end] == "\r", start < scalars.endIndex, scalars[start] == "\n" {
                start = scalars.index(after: start)
            }
        }
        return reader.finish()
    }
}

/// Takes a file line by line.
private struct INIReader {
    private var document = ConfigurationDocument()
    private var section: String?
    private var line = 0
    /// The value to which the next line may add.
    private var pending: (name: String, lines: [String], line: Int)?

    mutating func take(_ raw: Substring.UnicodeScalarView) {
        self.line += 1
        let text = Substring(raw).trimmedAtEnd
        guard let first = text.unicodeScalars.first else {
            self.flush()
            return
        }
        if first == " " || first == "\t" {
            if self.pending == nil {
                self.document.complain("a line that begins with white space follows no value", line: self.line)
            } else {
                self.pending?.lines.append(text.trimmedAtStart)
            }
            return
        }
        self.flush()
        switch first {
        case "[": self.begin(section: text)
        case "#", ";": break
        default: self.begin(assignment: text[...].unicodeScalars)
        }
    }

    mutating func finish() -> ConfigurationDocument {
        self.flush()
        return self.document
    }

    private mutating func begin(section text: String) {
        guard text.unicodeScalars.last == "]" else {
            self.document.complain("a section's line must end with ']'", line: self.line)
            return
        }
        guard text.unicodeScalars.count > 2 else {
            self.document.complain("a section has no name", line: self.line)
            return
        }
        let name = String(text.unicodeScalars.dropFirst().dropLast())
        self.section = name
        self.document.addSection(name, line: self.line)
    }

    private mutating func begin(assignment text: Substring.UnicodeScalarView) {
        guard let separator = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
            self.document.complain("there is no '=' or ':' between a name and a value", line: self.line)
            return
        }
        let name = Substring(text[..<separator]).trimmed
        guard !name.isEmpty else {
            self.document.complain("a value has no name", line: self.line)
            return
        }
        var value = Substring(text[text.index(after: separator)...]).trimmed
        let scalars = value.unicodeScalars
        if let first = scalars.first, first == scalars.last, first == "\"" || first == "'" {
            // A lone quote is both, and leaves nothing.
            value = String(scalars.dropFirst().dropLast())
        }
        self.pending = (name, [value], self.line)
    }

    private mutating func flush() {
        guard let pending = self.pending else { return }
        self.pending = nil
        guard let section = self.section else {
            self.document.complain("option '\(pending.name.prefix(100))' stands before any section", line: pending.line)
            return
        }
        self.document.add(
            .text(pending.lines.joined(separator: "\n")),
            for: ServiceOptionName(pending.name, in: section),
            line: pending.line
        )
    }
}
