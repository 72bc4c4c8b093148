internal import AMQPClient
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
            connection.tls = tls
        }
        self.init(connection: connection)
        // Quorum overrides durable, as in oslo (wire contract 1.3).
        if url.flag("rabbit_quorum_queue") == true {
            self.queueProfile = .quorum(
                QueueProfile.QuorumLimits(
                    deliveryLimit: url.limit("rabbit_quorum_delivery_limit"),
                    maximumMemoryLength: url.limit("rabbit_quorum_max_memory_length"),
                    maximumMemoryBytes: url.limit("rabbit_quorum_max_memory_bytes")
                )
            )
        } else if url.flag("amqp_durable_queues") == true {
            self.queueProfile = .durable
        }
        self.isAutoDeleted = url.flag("amqp_auto_delete") ?? self.isAutoDeleted
        self.usesQuorumForTransientQueues =
            url.flag("rabbit_transient_quorum_queue") ?? self.usesQuorumForTransientQueues
        if let seconds = url.integer("rabbit_transient_queues_ttl") {
            self.transientQueuesExpireAfter = .seconds(seconds)
        }
        self.prefetch = url.limit("rabbit_qos_prefetch_count")
    }
}

extension TransportURL {
    /// A number of which zero means that there is none.
    fileprivate func limit(_ name: String) -> Int? {
        self.integer(name).flatMap { $0 > 0 ? $0 : nil }
    }
}
