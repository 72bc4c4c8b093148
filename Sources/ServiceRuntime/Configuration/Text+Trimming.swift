extension StringProtocol {
    /// The text without white space at both ends, as Python's `strip` takes it away.
    var trimmed: String { self.trimmedAtEnd.trimmedAtStart }

    /// The text without white space at its end.
    var trimmedAtEnd: String {
        let scalars = self.unicodeScalars
        let end = scalars.lastIndex { !$0.isPythonSpace }.map { scalars.index(after: $0) } ?? scalars.startIndex
        return String(String.UnicodeScalarView(scalars[..<end]))
    }

    /// The text without white space at its start.
    var trimmedAtStart: String {
        let scalars = self.unicodeScalars
        return String(String.UnicodeScalarView(scalars.drop { $0.isPythonSpace }))
    }
}

extension Unicode.Scalar {
    /// Whether Python's `isspace` is true: Unicode's white space, and four separators of ASCII.
    fileprivate var isPythonSpace: Bool {
        (0x1C...0x1F).contains(self.value) || self.properties.isWhitespace
    }
}
