/// How durable the queues of topics and hosts are: oslo's options of the same names (wire contract 1.3).
///
/// Peers on one broker must agree. Where a queue or exchange of another durability exists already, the transport takes
/// it as it is and says so in the log.
public struct QueueProfile: Sendable, Hashable {
    /// The limits of quorum queues; each is left to the broker where it is `nil`.
    public struct QuorumLimits: Sendable, Hashable {
        /// How often a message is delivered before the broker drops it (`x-delivery-limit`).
        public var deliveryLimit: Int?
        /// How many messages are kept in memory (`x-max-in-memory-length`).
        public var maximumMemoryLength: Int?
        /// How many bytes are kept in memory (`x-max-in-memory-bytes`).
        public var maximumMemoryBytes: Int?

        /// Creates limits; all are the broker's by default.
        ///
        /// - Parameters:
        ///   - deliveryLimit: How often a message is delivered before the broker drops it.
        ///   - maximumMemoryLength: How many messages are kept in memory.
        ///   - maximumMemoryBytes: How many bytes are kept in memory.
        public init(deliveryLimit: Int? = nil, maximumMemoryLength: Int? = nil, maximumMemoryBytes: Int? = nil) {
            self.deliveryLimit = deliveryLimit
            self.maximumMemoryLength = maximumMemoryLength
            self.maximumMemoryBytes = maximumMemoryBytes
        }
    }

    enum Kind: Sendable, Hashable {
        case automatic
        case classic
        case durable
        case quorum(QuorumLimits)
    }

    let kind: Kind

    /// As oslo does by default, ``classic``; with a broker that refuses such queues, RabbitMQ 4.3 and later, ``quorum``, for
    /// fanout and reply queues too.
    ///
    /// The broker's version counts that is found at the first connection.
    public static let automatic = QueueProfile(kind: .automatic)
    /// Queues that end with the broker, as oslo makes them by default; RabbitMQ 4.3 and later refuse them.
    public static let classic = QueueProfile(kind: .classic)
    /// Queues that outlive a restart of the broker (`amqp_durable_queues`).
    public static let durable = QueueProfile(kind: .durable)
    /// Replicated queues (`rabbit_quorum_queue`), with the broker's limits.
    public static let quorum = QueueProfile.quorum(QuorumLimits())

    /// Replicated queues (`rabbit_quorum_queue`).
    ///
    /// - Parameter limits: What they hold, and how often they deliver.
    /// - Returns: The profile.
    public static func quorum(_ limits: QuorumLimits) -> QueueProfile {
        QueueProfile(kind: .quorum(limits))
    }
}
