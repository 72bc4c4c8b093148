public import Messaging

/// How an option differs between two readings of a configuration.
public struct ServiceOptionChange: Sendable, Hashable {
    /// The option's name.
    public let name: String
    /// The option's section: `DEFAULT`, another that it was declared in, or a backend's.
    public let section: String
    /// The value before, as it may be shown: two secrets may look the same.
    public let old: JSONValue
    /// The value that was read now, as it may be shown.
    public let new: JSONValue
    /// Whether the running program takes the new value over; otherwise it waits for a restart.
    public let isTakenOver: Bool

    /// The change between two values, if there is one.
    init?(
        _ option: any ServiceOptionDeclaration,
        in section: String,
        _ old: any ServiceOptionValue,
        _ new: any ServiceOptionValue
    ) {
        guard !option.reader.areEqual(old, new) else { return nil }
        self.name = option.name
        self.section = section
        self.old = old.optionJSON
        self.new = new.optionJSON
        self.isTakenOver = option.isMutable
    }
}

extension ServiceOptionChange: CustomStringConvertible {
    /// The name, with its section where that is not `DEFAULT`, and the old and the new value.
    public var description: String {
        "\(ServiceOptionName(self.name, in: self.section)): \(self.old) -> \(self.new)"
    }
}
