public import Messaging

/// An option of any type, as tables of options hold it; always a ``ServiceOption``.
public protocol ServiceOptionDeclaration: Sendable {
    /// The option's name.
    var name: String { get }
    /// Where the option stands in configuration files.
    var section: String { get }
    /// What the option is for.
    var help: String { get }
    /// What a value of the option's type looks like.
    var kind: String { get }
    /// Which values of the type are valid.
    var limits: ServiceOptionLimits { get }
    /// Earlier names, which are still read and warned of.
    var deprecatedNames: [ServiceOptionName] { get }
    /// Whether the option's values must not be shown.
    var isSecret: Bool { get }
    /// Whether a running program takes a new value over.
    var isMutable: Bool { get }
    /// Whether each backend may have a value of its own.
    var isPerBackend: Bool { get }
    /// The default as it may be shown.
    var shownDefault: JSONValue { get }
    /// What a sample shows instead of the default.
    var sampleText: String? { get }

    /// How values are read.
    var reader: ServiceOptionReader { get }
}

extension ServiceOptionDeclaration {
    /// The option's name and section.
    public var fullName: ServiceOptionName { ServiceOptionName(self.name, in: self.section) }

    /// What a value must be: its type, and its limits where it has some.
    public var wanted: String {
        guard !self.limits.isEmpty else { return self.kind }
        return self.limits.choices.isEmpty ? "\(self.kind) \(self.limits)" : "\(self.limits)"
    }

    /// The option's earlier names where it stands in a section of another name, such as a backend's.
    func deprecatedNames(in section: String) -> [ServiceOptionName] {
        self.deprecatedNames.map { $0.section == self.section ? ServiceOptionName($0.name, in: section) : $0 }
    }
}

/// How the values of an option are read, whatever their type.
public struct ServiceOptionReader: Sendable {
    /// What is wrong with a value; follows the option's name.
    struct Complaint: Error {
        let message: String
    }

    /// The default.
    let fallback: any ServiceOptionValue
    /// The text of a value from a file, or `nil` where it is of the wrong kind.
    let textFromJSON: @Sendable (JSONValue) -> String?
    /// Whether two values of the option are the same; secrets are compared as they are, not as they are shown.
    let areEqual: @Sendable (any ServiceOptionValue, any ServiceOptionValue) -> Bool
    /// Reads a text.
    let read: @Sendable (String) -> Result<any ServiceOptionValue, Complaint>
}
