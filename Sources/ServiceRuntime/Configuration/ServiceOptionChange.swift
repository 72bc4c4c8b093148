public import Messaging

/// How an option differs between two readings of a configuration.
public struct ServiceOptionChange: Sendable, Hashable {
    /// The option's name.
    public let name: String
    /// The value before, as it may be shown: two secrets may look the same.
    public let old: JSONValue
    /// The value that was read now, as it may be shown.
    public let new: JSONValue
    /// Whether the running program takes the new value over; otherwise it waits for a restart.
    public let isTakenOver: Bool
}

extension ServiceOptionChange: CustomStringConvertible {
    /// The name with the old and the new value.
    public var description: String { "\(self.name): \(self.old) -> \(self.new)" }
}
