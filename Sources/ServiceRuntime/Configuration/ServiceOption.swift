public import Messaging

/// An option of a service: declared once, read everywhere by this value.
///
/// ```swift
/// extension ServiceOption where Value == Int {
///     static var copies: Self {
///         Self("copies", default: 3, in: 1...16, help: "how many copies of a volume are kept").mutable()
///     }
/// }
///
/// let copies = configuration[.copies]
/// ```
///
/// On the command line and in configuration files an option goes by its name, in the environment by `STEWARD_` and its
/// name in capitals. What belongs together may have a section of its own, `section: "oslo_messaging_rabbit"`; a name is
/// then `oslo_messaging_rabbit.ssl` on the command line and `STEWARD_OSLO_MESSAGING_RABBIT__SSL` in the environment.
public struct ServiceOption<Value: ServiceOptionValue>: ServiceOptionDeclaration {
    /// The option's name: words in lower case with underscores, as oslo's options.
    public let name: String
    /// Where the option stands in configuration files; `DEFAULT` unless declared otherwise.
    public let section: String
    /// The value where nobody gives one.
    public let defaultValue: Value
    /// What the option is for, in a few words.
    public let help: String
    /// Which values of the type are valid.
    public let limits: ServiceOptionLimits
    /// Earlier names, which are still read and warned of.
    public let deprecatedNames: [ServiceOptionName]
    /// Whether a running program takes a new value over when its configuration is read again; not by default.
    public private(set) var isMutable = false
    /// Whether each backend may have a value of its own; not by default.
    public private(set) var isPerBackend = false
    /// What a sample shows instead of the default; `nil`, the default, for the default.
    public private(set) var sampleText: String?

    private let complaint: @Sendable (Value) -> String?

    /// Declares an option.
    ///
    /// - Parameters:
    ///   - name: Words in lower case with underscores.
    ///   - section: Where the option stands in configuration files; `DEFAULT` unless said otherwise.
    ///   - defaultValue: The value where nobody gives one.
    ///   - choices: The only valid values; any by default. Texts are compared without regard to case.
    ///   - help: What the option is for, in a few words.
    ///   - deprecated: Earlier names, `name` in the same section or `section.name`.
    ///   - complaint: Says of a value what is wrong with it, such as `must be positive`; `nil` where nothing is.
    public init(
        _ name: String,
        section: String = ServiceOptionName.defaultSection,
        default defaultValue: Value,
        choices: [Value] = [],
        help: String,
        deprecated: [String] = [],
        rejecting complaint: @escaping @Sendable (Value) -> String? = { _ in nil }
    ) {
        let limits = ServiceOptionLimits(choices: choices.map(\.optionJSON))
        let texts = choices.map { $0.optionText.lowercased() }
        self.init(
            name: name,
            section: section,
            default: defaultValue,
            limits: limits,
            help: help,
            deprecated: deprecated
        ) { value in
            // An option that may be left open may be so in spite of its choices.
            let isFree = choices.isEmpty || value.optionJSON == .null
            let isChoice = isFree || texts.contains(value.optionText.lowercased())
            return isChoice ? complaint(value) : "must be \(limits)"
        }
    }

    init(
        name: String,
        section: String,
        default defaultValue: Value,
        limits: ServiceOptionLimits,
        help: String,
        deprecated: [String],
        rejecting complaint: @escaping @Sendable (Value) -> String?
    ) {
        self.name = name
        self.section = ServiceOptionName.normal(section)
        self.defaultValue = defaultValue
        self.help = help
        self.limits = limits
        self.deprecatedNames = deprecated.map { ServiceOptionName(parsing: $0, in: section) }
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

    /// The same option as one that each backend may have a value of its own for, in the section of its name.
    ///
    /// - Returns: A copy for which ``isPerBackend`` is true.
    public func perBackend() -> Self {
        var option = self
        option.isPerBackend = true
        return option
    }

    /// The same option with another text in samples, where the default is a matter of the machine.
    ///
    /// - Parameter text: What is shown, such as `the machine's name`.
    /// - Returns: A copy with that ``sampleText``.
    public func sampled(as text: String) -> Self {
        var option = self
        option.sampleText = text
        return option
    }

    /// What a value of the option's type looks like.
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

    private func read(_ text: String) -> Result<any ServiceOptionValue, ServiceOptionReader.Complaint> {
        guard let value = Value(optionText: text) else {
            return .failure(.init(message: "is \(self.shown(text)); it must be \(self.wanted)"))
        }
        if let complaint = self.complaint(value) {
            return .failure(.init(message: "is \(self.shown(text)); it \(complaint)"))
        }
        return .success(value)
    }

    private func shown(_ text: String) -> String {
        self.isSecret ? "not valid" : "'\(text.prefix(100))'"
    }
}

extension ServiceOption {
    /// Declares an option whose values lie in a range.
    ///
    /// - Parameters:
    ///   - name: Words in lower case with underscores.
    ///   - section: Where the option stands in configuration files; `DEFAULT` unless said otherwise.
    ///   - defaultValue: The value where nobody gives one.
    ///   - range: The valid values.
    ///   - help: What the option is for, in a few words.
    ///   - deprecated: Earlier names, `name` in the same section or `section.name`.
    public init(
        _ name: String,
        section: String = ServiceOptionName.defaultSection,
        default defaultValue: Value,
        in range: ClosedRange<Value>,
        help: String,
        deprecated: [String] = []
    ) where Value: Comparable {
        let limits = ServiceOptionLimits(
            least: range.lowerBound.optionJSON,
            greatest: range.upperBound.optionJSON
        )
        self.init(
            name: name,
            section: section,
            default: defaultValue,
            limits: limits,
            help: help,
            deprecated: deprecated
        ) { range.contains($0) ? nil : "must be \(limits)" }
    }

    /// Declares an option whose values have a lower limit.
    ///
    /// - Parameters:
    ///   - name: Words in lower case with underscores.
    ///   - section: Where the option stands in configuration files; `DEFAULT` unless said otherwise.
    ///   - defaultValue: The value where nobody gives one.
    ///   - range: The valid values.
    ///   - help: What the option is for, in a few words.
    ///   - deprecated: Earlier names, `name` in the same section or `section.name`.
    public init(
        _ name: String,
        section: String = ServiceOptionName.defaultSection,
        default defaultValue: Value,
        in range: PartialRangeFrom<Value>,
        help: String,
        deprecated: [String] = []
    ) where Value: Comparable {
        let limits = ServiceOptionLimits(least: range.lowerBound.optionJSON)
        self.init(
            name: name,
            section: section,
            default: defaultValue,
            limits: limits,
            help: help,
            deprecated: deprecated
        ) { range.contains($0) ? nil : "must be \(limits)" }
    }

    /// Declares an option that may be left open, whose values lie in a range.
    ///
    /// - Parameters:
    ///   - name: Words in lower case with underscores.
    ///   - section: Where the option stands in configuration files; `DEFAULT` unless said otherwise.
    ///   - defaultValue: The value where nobody gives one; mostly `nil`.
    ///   - range: The valid values.
    ///   - help: What the option is for, in a few words.
    ///   - deprecated: Earlier names, `name` in the same section or `section.name`.
    public init<Wrapped: Comparable & ServiceOptionValue>(
        _ name: String,
        section: String = ServiceOptionName.defaultSection,
        default defaultValue: Value,
        in range: ClosedRange<Wrapped>,
        help: String,
        deprecated: [String] = []
    ) where Value == Wrapped? {
        let limits = ServiceOptionLimits(
            least: range.lowerBound.optionJSON,
            greatest: range.upperBound.optionJSON
        )
        self.init(
            name: name,
            section: section,
            default: defaultValue,
            limits: limits,
            help: help,
            deprecated: deprecated
        ) { value in value.map(range.contains) == false ? "must be \(limits)" : nil }
    }
}
