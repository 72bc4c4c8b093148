/// Why a request was given up.
public struct DeadLetterReason: Sendable, Hashable, RawRepresentable, CustomStringConvertible {
    /// The reason's name, as it is found among the message's headers.
    public let rawValue: String

    /// Takes a name that was read.
    ///
    /// - Parameter rawValue: The reason's name.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// Its handler failed in each of its attempts.
    public static let failed = DeadLetterReason(rawValue: "failed")
    /// Its worker died, as often as the handler may be started.
    public static let workerDied = DeadLetterReason(rawValue: "worker-died")
    /// Its arguments do not fit the method: further attempts would be in vain.
    public static let invalidArguments = DeadLetterReason(rawValue: "invalid-arguments")
    /// A server did not run the copy that it was given: no such method or version, no access, above the limits.
    public static let refused = DeadLetterReason(rawValue: "refused")

    /// The reason's name.
    public var description: String { self.rawValue }
}
