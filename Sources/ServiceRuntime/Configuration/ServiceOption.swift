public import Messaging

/// An option of a service: declared once, read everywhere by this value.
///
/// ```swift
/// extension ServiceOption where Value == String {
///     static var volumesDirectory: Self {
///         Self("volumes_directory", default: "/var/lib/volumes", help: "where the volumes are kept")
///     }
/// }
///
/// let directory = configuration[.volumesDirectory]
/// ```
///
/// On the command line and in the configuration file an option goes by its name, in the environment by `STEWARD_` and its
/// name in capitals.
public struct ServiceOption<Value: ServiceOptionValue>: ServiceOptionDeclaration {
    /// The option's name: words in lower case with underscores, as oslo's options.
    public let name: String
    /// The value where nobody gives one.
    public let defaultValue: Value
    /// What the option is for, in a few words.
    public let help: String
    /// Whether a running program takes a new value over when its configuration is read again; not by default.
    public private(set) var isMutable = false

    private let complaint: @Sendable (Value) -> String?

    /// Declares an option.
    ///
    /// - Parameters:
    ///   - name: Words in lower case with underscores.
    ///   - defaultValue: The value where nobody gives one.
    ///   - help: What the option is for, in a few words.
    ///   - complaint: Says of a value what is wrong with it, such as `must be positive`; `nil` where nothing is.
    public init(
        _ name: String,
        default defaultValue: Value,
        help: String,
        rejecting complaint: @escaping @Sendable (Value) -> String? = { _ in nil }
    ) {
        self.name = name
        self.defaultValue = defaultValue
        self.help = help
        self.complaint = complaint
    }

    /// The same option as one whose new value a running program takes over.
    ///
    /// - Returns: A copy for which ``isMutable`` is true.
    public func mutable() -> Self {
        var option = self
        option.isMutable = true
        return option
    }

    /// What a value of the option looks like.
    public var kind: String { Value.optionKind }
    /// Whether the option's values must not be shown.
    public var isSecret: Bool { Value.isSecret }
    /// The default as it may be shown.
    public var shownDefault: JSONValue { self.defaultValue.optionJSON }

    /// How values are read.
    public var reader: ServiceOptionReader {
        ServiceOptionReader(
            fallback: self.defaultValue,
            textFromJSON: Value.optionText(from:),
            areEqual: { $0 as? Value == $1 as? Value },
            read: self.read
        )
    }

    private func read(_ text: String, from source: String) throws(ServiceError) -> any ServiceOptionValue {
        guard let value = Value(optionText: text) else {
            throw ServiceError(
                .invalidConfiguration,
                "option '\(self.name)' from \(source) is \(self.shown(text)); it must be \(self.kind)"
            )
        }
        if let complaint = self.complaint(value) {
            throw ServiceError(
                .invalidConfiguration,
                "option '\(self.name)' from \(source) is \(self.shown(text)); it \(complaint)"
            )
        }
        return value
    }

    private func shown(_ text: String) -> String {
        self.isSecret ? "not valid" : "'\(text.prefix(100))'"
    }
}

/// An option of any type, as tables of options hold it; always a ``ServiceOption``.
public protocol ServiceOptionDeclaration: Sendable {
    /// The option's name.
    var name: String { get }
    /// What the option is for.
    var help: String { get }
    /// What a value of the option looks like.
    var kind: String { get }
    /// Whether the option's values must not be shown.
    var isSecret: Bool { get }
    /// Whether a running program takes a new value over.
    var isMutable: Bool { get }
    /// The default as it may be shown.
    var shownDefault: JSONValue { get }

    /// How values are read.
    var reader: ServiceOptionReader { get }
}

/// How the values of an option are read, whatever their type.
public struct ServiceOptionReader: Sendable {
    /// The default.
    let fallback: any ServiceOptionValue
    /// The text of a value from a file, or `nil` where it is of the wrong kind.
    let textFromJSON: @Sendable (JSONValue) -> String?
    /// Whether two values of the option are the same; secrets are compared as they are, not as they are shown.
    let areEqual: @Sendable (any ServiceOptionValue, any ServiceOptionValue) -> Bool
    /// Reads a text; the second one says where it came from.
    let read: @Sendable (String, String) throws(ServiceError) -> any ServiceOptionValue
}
