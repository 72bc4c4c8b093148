extension AMQPError {
    /// The kind of an ``AMQPError``.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case invalidArgument, invalidConfiguration
            case connectFailed, tlsFailed, authenticationRefused, connectionLost, connectionClosed, closed
            case timeout, cancelled, blocked
            case unroutable, rejected, messageTooLarge
            case notFound, accessRefused, preconditionFailed, resourceLocked, notAllowed
            case noConsumers, resourceError, internalError, notImplemented, protocolViolation
            case channelClosed, channelReopened, channelsExhausted
        }

        private let kind: Kind

        private init(_ kind: Kind) {
            self.kind = kind
        }

        /// The name of the kind.
        public var description: String { self.kind.rawValue }

        /// An argument cannot be put on the wire: a name longer than 255 bytes, headers that do not fit a frame.
        public static let invalidArgument = Code(.invalidArgument)
        /// A URL or another setting makes no sense.
        public static let invalidConfiguration = Code(.invalidConfiguration)
        /// No host could be reached: name resolution, TCP, or no AMQP on the other side.
        public static let connectFailed = Code(.connectFailed)
        /// The TLS handshake or the verification of the broker's certificate failed.
        public static let tlsFailed = Code(.tlsFailed)
        /// The broker does not accept the credentials, or refuses the mechanism (403 at log-in).
        public static let authenticationRefused = Code(.authenticationRefused)
        /// The connection broke: reset, end of stream, missed heartbeats, or a write that made no progress.
        public static let connectionLost = Code(.connectionLost)
        /// The broker closed the connection (320 and others).
        public static let connectionClosed = Code(.connectionClosed)
        /// The connection or channel was closed by this program.
        public static let closed = Code(.closed)
        /// The deadline passed.
        public static let timeout = Code(.timeout)
        /// The waiting task was cancelled.
        public static let cancelled = Code(.cancelled)
        /// The broker blocks publishers (memory or disk alarm) and the deadline passed.
        public static let blocked = Code(.blocked)
        /// A mandatory message fitted no queue and was returned (312).
        public static let unroutable = Code(.unroutable)
        /// The broker refused a message (`basic.nack` to a publisher, for instance a full queue).
        public static let rejected = Code(.rejected)
        /// A message is larger than ``AMQPConfiguration/maxBodySize`` or than the broker accepts (311).
        public static let messageTooLarge = Code(.messageTooLarge)
        /// An exchange, queue or binding does not exist (404).
        public static let notFound = Code(.notFound)
        /// The user lacks a permission (403).
        public static let accessRefused = Code(.accessRefused)
        /// Something of the same name exists with other arguments, or a condition does not hold (406).
        public static let preconditionFailed = Code(.preconditionFailed)
        /// An exclusive queue belongs to another connection (405).
        public static let resourceLocked = Code(.resourceLocked)
        /// The broker does not allow this: virtual host missing or forbidden, and others (402, 530).
        public static let notAllowed = Code(.notAllowed)
        /// A message could not be handed to a consumer at once (313).
        public static let noConsumers = Code(.noConsumers)
        /// The broker is short of a resource (506).
        public static let resourceError = Code(.resourceError)
        /// The broker failed (541).
        public static let internalError = Code(.internalError)
        /// The broker does not know the operation (540).
        public static let notImplemented = Code(.notImplemented)
        /// One side broke the protocol (501 to 505), or sent what cannot be decoded.
        public static let protocolViolation = Code(.protocolViolation)
        /// The broker closed the channel because of something else, before the outcome was known.
        public static let channelClosed = Code(.channelClosed)
        /// All channel numbers of the connection are in use.
        public static let channelsExhausted = Code(.channelsExhausted)

        /// The operation was not executed because its channel went away; it is repeated on the reopened channel.
        static let channelReopened = Code(.channelReopened)

        var isUsuallyRetriable: Bool {
            switch self.kind {
            case .connectFailed, .connectionLost, .connectionClosed, .timeout, .blocked, .rejected, .resourceLocked,
                .noConsumers, .resourceError, .internalError, .channelClosed, .channelReopened:
                true
            case .invalidArgument, .invalidConfiguration, .tlsFailed, .authenticationRefused, .closed, .cancelled,
                .unroutable, .messageTooLarge, .notFound, .accessRefused, .preconditionFailed, .notAllowed,
                .notImplemented, .protocolViolation, .channelsExhausted:
                false
            }
        }
    }
}
