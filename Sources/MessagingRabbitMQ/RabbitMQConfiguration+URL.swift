internal import AMQPClient
internal import Compression
internal import Messaging

extension RabbitMQConfiguration {
    /// Creates a configuration from a transport URL that was read before.
    ///
    /// - Parameter url: The URL; what it leaves out has oslo's defaults.
    public init(_ url: TransportURL) {
        var connection = AMQPConfiguration(
            hosts: url.hosts.map { host in
                AMQPConfiguration.Host(
                    name: host.name,
                    port: host.port,
                    user: host.user,
                    password: AMQPSecret(host.password)
                )
            }
        )
        connection.virtualHost = url.virtualHost
        if let seconds = url.integer("heartbeat_timeout_threshold") { connection.heartbeat = .seconds(seconds) }
        if url.isTLS {
            var tls = AMQPConfiguration.TLS()
            tls.caFile = url.options["ssl_ca_file"]
            tls.certificateFile = url.options["ssl_cert_file"]
            tls.keyFile = url.options["ssl_key_file"]
            if url.options["ssl_version"]?.lowercased() == "tlsv1_3" { tls.minimumVersion = .tls13 }
            connection.tls = tls
        }
        connection.apply(url)
        self.init(connection: connection)
        // Quorum overrides durable, as in oslo (wire contract 1.3).
        let limits = QueueProfile.QuorumLimits(
            deliveryLimit: url.limit("rabbit_quorum_delivery_limit"),
            maximumMemoryLength: url.limit("rabbit_quorum_max_memory_length"),
            maximumMemoryBytes: url.limit("rabbit_quorum_max_memory_bytes")
        )
        self.transientQuorumLimits = limits
        if url.flag("rabbit_quorum_queue") == true {
            self.queueProfile = .quorum(limits)
        } else if url.flag("amqp_durable_queues") == true {
            self.queueProfile = .durable
        } else if url.flag("amqp_durable_queues") == false {
            // Asked for in so many words.
            self.queueProfile = .classic
        }
        self.isAutoDeleted = url.flag("amqp_auto_delete") ?? self.isAutoDeleted
        self.usesQuorumForTransientQueues =
            url.flag("rabbit_transient_quorum_queue") ?? self.usesQuorumForTransientQueues
        if let seconds = url.integer("rabbit_transient_queues_ttl") {
            self.transientQueuesExpireAfter = .seconds(seconds)
        }
        self.prefetch = url.limit("rabbit_qos_prefetch_count")
        self.usesStreamForFanout = url.flag("rabbit_stream_fanout") ?? self.usesStreamForFanout
        self.mirrorsQueues = url.flag("rabbit_ha_queues") ?? self.mirrorsQueues
        self.cancelsOnFailover = url.flag("enable_cancel_on_failover") ?? self.cancelsOnFailover
        self.repliesAreMandatory = url.flag("direct_mandatory_flag") ?? self.repliesAreMandatory
        // Every reply is offered once, and that takes its time as well.
        self.replyRetryLimit = url.integer("kombu_missing_consumer_retry_timeout").map { .seconds(max(1, $0)) }
        self.compression = url.options["kombu_compression"].flatMap { CompressionAlgorithm(named: $0) }
            .map { MessageCompression(algorithm: $0) }
        if url.flag("use_queue_manager") == true {
            self.stableNames = StableNames(host: url.options["hostname"], process: url.options["processname"])
        }
        self.optionsWithoutEffect = url.optionsWithoutEffect
    }
}

extension AMQPConfiguration {
    /// The options of log-in, heartbeats and reconnection (wire contract 2.1, 5.4, 5.5).
    ///
    /// Where a URL says nothing of the pauses between attempts, they stay this library's own: shorter than oslo's, and
    /// spread at random.
    fileprivate mutating func apply(_ url: TransportURL) {
        switch url.options["rabbit_login_method"] {
        case "AMQPLAIN": self.mechanism = .amqplain
        case "EXTERNAL": self.mechanism = .external
        default: break
        }
        self.hostOrder = url.options["kombu_failover_strategy"] == "shuffle" ? .random : .shuffled
        // Once per interval would be on the edge of what the broker takes for dead.
        if let rate = url.integer("heartbeat_rate") { self.heartbeatRate = max(2, rate) }
        let pauses = ["rabbit_retry_interval", "rabbit_retry_backoff", "rabbit_interval_max"].map { url.integer($0) }
        if pauses.contains(where: { $0 != nil }) {
            self.backoff = Backoff(
                initial: .seconds(pauses[0] ?? 1),
                maximum: .seconds(pauses[2] ?? 30),
                multiplier: 1,
                increment: .seconds(pauses[1] ?? 2)
            )
        }
        if let delay = url.number("kombu_reconnect_delay") { self.reconnectDelay = .seconds(delay) }
        if let spread = url.number("kombu_reconnect_splay") { self.reconnectSpread = .seconds(spread) }
    }
}

extension TransportURL {
    /// An option that is a number with a fraction.
    fileprivate func number(_ name: String) -> Double? {
        self.options[name].flatMap { Double($0) }
    }

    /// A number of which zero means that there is none.
    fileprivate func limit(_ name: String) -> Int? {
        self.integer(name).flatMap { $0 > 0 ? $0 : nil }
    }
}
