/// Where a value of the configuration came from.
public struct ConfigurationPlace: Sendable, Hashable, CustomStringConvertible {
    /// What it is called: a file's path, `command line`, `environment variable STEWARD_HOST`.
    public let name: String
    /// The line in a file, from 1; `nil` where there are none.
    public let line: Int?

    init(_ name: String, line: Int? = nil) {
        self.name = name
        self.line = line
    }

    /// The name, and after a colon the line.
    public var description: String { self.line.map { "\(self.name):\($0)" } ?? self.name }
}

/// Something that is wrong, or worth a word, about a configuration.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    /// What kind of problem it is.
    public struct Kind: Sendable, Hashable {
        private enum Value { case invalid, unknown, deprecated, remark }
        private let value: Value

        /// Something that cannot be read, or a value that does not fit.
        public static let invalid = Kind(value: .invalid)
        /// A name that nothing here has.
        public static let unknown = Kind(value: .unknown)
        /// A name that has been replaced.
        public static let deprecated = Kind(value: .deprecated)
        /// Anything else that has no effect, or not the one that might be thought.
        public static let remark = Kind(value: .remark)
    }

    /// What kind of problem it is.
    public let kind: Kind
    /// Whether the configuration cannot be used because of it.
    public let isError: Bool
    /// Where it is.
    public let place: ConfigurationPlace
    /// What is wrong; never a secret.
    public let message: String
    /// The name that was probably meant, of one that is not known.
    public let suggestion: String?

    init(
        _ kind: Kind,
        isError: Bool = true,
        at place: ConfigurationPlace,
        _ message: String,
        suggestion: String? = nil
    ) {
        self.kind = kind
        self.isError = isError
        self.place = place
        self.message = message
        self.suggestion = suggestion
    }

    /// The place and the message.
    public var description: String { "\(self.place): \(self.explanation)" }

    /// The message, and what was probably meant.
    public var explanation: String {
        self.message + (self.suggestion.map { "; did you mean '\($0)'?" } ?? "")
    }
}
