/// A string that never shows in output: printing, logging, interpolating or dumping it gives `***`.
public struct AMQPSecret: Sendable, Hashable, ExpressibleByStringLiteral {
    /// The secret itself, for the one place that sends it.
    package let revealed: String

    /// Hides a string.
    public init(_ secret: String) {
        self.revealed = secret
    }

    /// Hides a literal.
    public init(stringLiteral value: String) {
        self.revealed = value
    }
}

extension AMQPSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `***`.
    public var description: String { "***" }
    /// Always `***`.
    public var debugDescription: String { "***" }
    /// Shows nothing to `dump`.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
