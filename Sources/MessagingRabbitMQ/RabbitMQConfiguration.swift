public import AMQPClient

/// How a ``RabbitMQTransport`` uses its broker: oslo's options of the group `oslo_messaging_rabbit`, with oslo's
/// defaults where a peer can notice the difference.
public struct RabbitMQConfiguration: Sendable {
    /// The broker's addresses, credentials, TLS, heartbeats and reconnection.
    public var connection: AMQPConfiguration
    /// The control exchange of targets that name none; `openstack` by default, as oslo's `control_exchange`.
    public var exchange = "openstack"
    /// How durable the queues of topics and hosts are; as oslo makes them, where the broker allows it, by default.
    public var queueProfile = QueueProfile.automatic
    /// Whether control exchange and queues go with their last user (`amqp_auto_delete`); no by default.
    public var isAutoDeleted = false
    /// Whether fanout and reply queues are replicated too (`rabbit_transient_quorum_queue`); no by default.
    public var usesQuorumForTransientQueues = false
    /// The limits of fanout and reply queues that are replicated; `nil`, the default, for those of ``queueProfile``.
    public var transientQuorumLimits: QueueProfile.QuorumLimits?
    /// Whether all servers of a topic read its fanout casts from one stream (`rabbit_stream_fanout`); no by default.
    ///
    /// It needs ``usesQuorumForTransientQueues`` and a ``prefetch``. Peers that write to it see no difference.
    public var usesStreamForFanout = false
    /// Whether queues ask to be mirrored (`rabbit_ha_queues`); no by default.
    ///
    /// A matter of brokers before 4.0, and not to be had together with quorum queues.
    public var mirrorsQueues = false
    /// Whether consumers are told when their mirrored queue moves (`enable_cancel_on_failover`); no by default.
    public var cancelsOnFailover = false
    /// Stable names for fanout and reply queues (`use_queue_manager`); `nil`, the default, for random ones.
    public var stableNames: StableNames?
    /// Whether a reply that finds no queue is an error for its sender, which then tries again; yes by default
    /// (`direct_mandatory_flag`).
    public var repliesAreMandatory = true
    /// How long servers offer a reply to a queue that is not there (`kombu_missing_consumer_retry_timeout`); `nil`, the
    /// default, leaves it to the server.
    public var replyRetryLimit: Duration?
    /// How the bodies that are sent are compressed (`kombu_compression`); `nil`, the default, for not at all.
    ///
    /// Compressed ones are read in any case.
    public var compression: MessageCompression?
    /// Options of the transport URL that change nothing here; the transport names them in its log.
    public var optionsWithoutEffect: [String] = []
    /// When the broker removes fanout and reply queues that nobody uses (`rabbit_transient_queues_ttl`); half an hour
    /// by default, zero for never.
    public var transientQueuesExpireAfter: Duration = .seconds(1800)
    /// How many unacknowledged messages each queue of a listener may have (`rabbit_qos_prefetch_count`); `nil`, the
    /// default, leaves it to the server that listens.
    public var prefetch: Int?
    /// How long a broker that cannot be reached at the first use is waited for; `nil`, the default, for as long as it
    /// takes.
    ///
    /// A refused log-in is not waited out.
    public var startTimeout: Duration?

    /// How often at most a service looks whether messages still find their way to it; 4 seconds by default, zero for never.
    ///
    /// A broker does not tell that an exchange was deleted or a binding removed: so long a service may be deaf then, and
    /// longer where the broker is slow to answer, which is asked less often.
    public var topologyCheckInterval: Duration = .seconds(4)
    /// How long the broker lets a message unacknowledged before it closes the channel (RabbitMQ's `consumer_timeout`); half
    /// an hour by default, as RabbitMQ's, `nil` for ever.
    ///
    /// Nothing is set by it: it must be what the broker is configured with, for servers to warn of methods that may take
    /// longer.
    public var consumerTimeout: Duration? = .seconds(1800)

    /// Creates a configuration with the defaults.
    ///
    /// - Parameter connection: Where the broker is, and who logs in.
    public init(connection: AMQPConfiguration) {
        self.connection = connection
        // What a policy of access may rely on (AMQP's `user-id`); oslo sends none and minds none.
        self.connection.sendsUserID = true
    }

    /// Creates a configuration from a transport URL (wire contract 5.6):
    /// `rabbit://user:password@host:port/vhost?option=value`, with several hosts between commas.
    ///
    /// - Parameters:
    ///   - url: The URL.
    ///   - options: Values for options that the URL does not set, by oslo's names, such as a configuration file's group
    ///     `oslo_messaging_rabbit`; none by default.
    /// - Throws: `TransportURLError` where the URL, or an option, cannot be understood.
    public init(url: String, options: [String: String] = [:]) throws(TransportURLError) {
        self = RabbitMQConfiguration(try TransportURL(parsing: url, defaults: options))
    }
}
