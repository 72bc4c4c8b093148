/// What went wrong with a call, a cast or a server, in one type.
///
/// A failure that the remote method itself reported has the code ``Code/remote`` and carries it in ``failure``. So do a
/// server's refusals, of which those that a caller may have to tell apart have codes of their own.
public struct RPCError: Error, Sendable {
    /// What kind of error it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case timeout, noSuchServer, remote, invalidTarget, invalidVersion, versionCapExceeded
            case noSuchMethod, unsupportedVersion, accessDenied, limitExceeded, misconfigured
            case invalidArguments, invalidReply, unreachable, connectionLost, rejected, blocked, tooLarge, closed
            case nameTaken
        }
        private let kind: Kind

        /// The deadline passed; the message says how far the request got.
        public static let timeout = Code(kind: .timeout)
        /// No queue takes what is sent to the target: nobody serves this topic, or no such host does.
        public static let noSuchServer = Code(kind: .noSuchServer)
        /// The remote method was run and answered with a failure, or the server refused the request for a reason that has
        /// no code of its own; see ``RPCError/failure``.
        public static let remote = Code(kind: .remote)
        /// The server has no such method; ``RPCError/failure`` is what it said.
        public static let noSuchMethod = Code(kind: .noSuchMethod)
        /// The server does not offer the version, or the namespace, that the request asks for; ``RPCError/failure`` is
        /// what it said.
        public static let unsupportedVersion = Code(kind: .unsupportedVersion)
        /// The server does not let this caller call this method; ``RPCError/failure`` is what it said.
        public static let accessDenied = Code(kind: .accessDenied)
        /// The request is larger than the server takes; ``RPCError/failure`` is what it said.
        public static let limitExceeded = Code(kind: .limitExceeded)
        /// The target cannot be used for this: a fanout call, a name that AMQP cannot carry.
        public static let invalidTarget = Code(kind: .invalidTarget)
        /// A version that is not `major.minor`.
        public static let invalidVersion = Code(kind: .invalidVersion)
        /// The method needs a newer version than the client's cap allows.
        public static let versionCapExceeded = Code(kind: .versionCapExceeded)
        /// The arguments or the context cannot be written as JSON.
        public static let invalidArguments = Code(kind: .invalidArguments)
        /// The server's reply does not fit the method's result type.
        public static let invalidReply = Code(kind: .invalidReply)
        /// The transport's configuration asks for something that cannot be.
        public static let misconfigured = Code(kind: .misconfigured)
        /// No broker can be reached, or it refuses the log-in.
        public static let unreachable = Code(kind: .unreachable)
        /// The connection was lost after the message was written and before the broker confirmed it: it may or may not
        /// have been taken.
        public static let connectionLost = Code(kind: .connectionLost)
        /// The broker refused the message or the operation.
        public static let rejected = Code(kind: .rejected)
        /// The broker has stopped taking messages (a memory or disk alarm) and did not resume before the deadline.
        public static let blocked = Code(kind: .blocked)
        /// The message is larger than the transport's limit.
        public static let tooLarge = Code(kind: .tooLarge)
        /// Another process serves the topic under this server's host name.
        public static let nameTaken = Code(kind: .nameTaken)
        /// The transport or the server was closed.
        public static let closed = Code(kind: .closed)

        /// The code's name.
        public var description: String { self.kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code
    /// What was wrong and what can be done, for people.
    public let message: String
    /// The failure that the remote side reported, for ``Code/remote`` and the refusals of a server.
    public let failure: RemoteFailure?
    /// How far a call got that ended without a reply; `nil` where it had one, and for what is no call.
    public let progress: CallProgress?
    /// The error beneath this one, if there is one.
    public let cause: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: What kind of error it is.
    ///   - message: What was wrong and what can be done, for people.
    ///   - failure: The failure that the remote side reported.
    ///   - progress: How far the call got.
    ///   - cause: The error beneath this one.
    public init(
        _ code: Code,
        _ message: String,
        failure: RemoteFailure? = nil,
        progress: CallProgress? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.failure = failure
        self.progress = progress
        self.cause = cause
    }

    /// Whether the same request may succeed when it is sent again, and is certain not to have been executed.
    public var isRetriable: Bool {
        self.code == .unreachable || self.code == .blocked || self.code == .rejected
    }
}

extension RPCError: CustomStringConvertible {
    /// The code and the message.
    public var description: String { "\(self.code): \(self.message)" }
}
