/// What went wrong with a service, its configuration or its periodic tasks.
public struct ServiceError: Error, Sendable {
    /// What kind of error it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case invalidConfiguration, invalidPeriodicTask, startFailed, stopped, timeLimitExceeded
        }
        private let kind: Kind

        /// An option has no valid value, is not known, or its file cannot be read.
        public static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// A periodic task that cannot be scheduled: no positive spacing, a negative limit, a name that is used twice.
        public static let invalidPeriodicTask = Code(kind: .invalidPeriodicTask)
        /// The manager could not make itself ready to serve; the cause says why.
        public static let startFailed = Code(kind: .startFailed)
        /// The service ended while somebody waited for it.
        public static let stopped = Code(kind: .stopped)
        /// A periodic task ran longer than its time limit.
        public static let timeLimitExceeded = Code(kind: .timeLimitExceeded)

        /// The code's name.
        public var description: String { self.kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code
    /// What was wrong and what can be done, for people; never a secret.
    public let message: String
    /// The error beneath this one, if there is one.
    public let cause: (any Error)?

    /// Creates an error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension ServiceError: CustomStringConvertible {
    /// The code and the message, and the cause where there is one.
    public var description: String {
        guard let cause = self.cause else { return "\(self.code): \(self.message)" }
        return "\(self.code): \(self.message) (\(cause))"
    }
}
