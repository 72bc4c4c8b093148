extension TransportOption {
    private static let seconds = Kind.integer(0...65535)
    private static let pause = Kind.integer(1...65535)
    private static let count = Kind.integer(0...Int(Int32.max))

    /// The options by oslo's names.
    package static let known: [String: TransportOption] = [
        "amqp_auto_delete": .init(
            help: "whether exchange and queues go with their last user",
            kind: .flag,
            support: .full
        ),
        "amqp_durable_queues": .init(
            help:
                "whether the queues of topics and hosts outlive a restart of the broker; the broker decides unless set",
            kind: .flag,
            support: .full
        ),
        "conn_pool_min_size": .init(
            help: "no effect here: a process has few connections",
            kind: count,
            support: .withoutEffect
        ),
        "conn_pool_ttl": .init(
            help: "no effect here: a process has few connections",
            kind: count,
            support: .withoutEffect
        ),
        "direct_mandatory_flag": .init(
            help: "whether a reply that finds no queue is offered again",
            kind: .flag,
            support: .full
        ),
        "enable_cancel_on_failover": .init(
            help: "whether consumers are told when their mirrored queue moves",
            kind: .flag,
            support: .full
        ),
        "heartbeat_rate": .init(
            help: "how often within the heartbeat timeout the broker is heard",
            kind: .integer(1...1000),
            support: .full
        ),
        "heartbeat_timeout_threshold": .init(
            help: "after how many silent seconds a connection is given up; 0 for never",
            kind: seconds,
            support: .full
        ),
        "hostname": .init(
            help: "the host's part in the names of queues, with use_queue_manager",
            kind: .text,
            support: .full
        ),
        "kombu_compression": .init(
            help: "how the bodies of messages are compressed; not at all unless set",
            kind: .choice(["gzip", "zlib", "bz2", "bzip2", "bzip"]),
            support: .full
        ),
        "kombu_failover_strategy": .init(
            help: "in which order several brokers are tried",
            kind: .choice(["round-robin", "shuffle"]),
            support: .full
        ),
        "kombu_missing_consumer_retry_timeout": .init(
            help: "for how many seconds a reply that finds no queue is offered again",
            kind: count,
            support: .full
        ),
        "kombu_reconnect_delay": .init(
            help: "how many seconds a consumer waits after the broker has cancelled it",
            kind: .number(0...4.5),
            support: .full
        ),
        "kombu_reconnect_splay": .init(
            help: "up to how many seconds more, at random, it waits",
            kind: .number(0...3600),
            support: .full
        ),
        "processname": .init(
            help: "the program's part in the names of queues, with use_queue_manager",
            kind: .text,
            support: .full
        ),
        "rabbit_ha_queues": .init(
            help: "whether queues ask to be mirrored; for brokers before 4.0",
            kind: .flag,
            support: .full
        ),
        "rabbit_interval_max": .init(
            help: "the longest pause between attempts to connect, in seconds",
            kind: pause,
            support: .full
        ),
        "rabbit_login_method": .init(
            help: "how to log in; PLAIN unless set",
            kind: .choice(["PLAIN", "AMQPLAIN", "EXTERNAL", "RABBIT-CR-DEMO"]),
            // The last one is a demonstration of RabbitMQ's, for no real broker.
            support: .only(["PLAIN", "AMQPLAIN", "EXTERNAL"])
        ),
        "rabbit_qos_prefetch_count": .init(
            help: "how many unacknowledged messages a queue hands out; rpc_prefetch unless set",
            kind: .integer(0...65535),
            support: .full
        ),
        "rabbit_quorum_delivery_limit": .init(
            help: "how often a replicated queue delivers a message; 0 for no limit",
            kind: count,
            support: .full
        ),
        "rabbit_quorum_max_memory_bytes": .init(
            help: "how many bytes a replicated queue keeps in memory; 0 for no limit",
            kind: .integer(0...Int.max),
            support: .full
        ),
        "rabbit_quorum_max_memory_length": .init(
            help: "how many messages a replicated queue keeps in memory; 0 for no limit",
            kind: count,
            support: .full
        ),
        "rabbit_quorum_queue": .init(
            help: "whether the queues of topics and hosts are replicated",
            kind: .flag,
            support: .full
        ),
        "rabbit_retry_backoff": .init(
            help: "by how many seconds the pauses between attempts to connect grow",
            kind: seconds,
            support: .full
        ),
        "rabbit_retry_interval": .init(
            help: "the first pause between attempts to connect, in seconds",
            kind: pause,
            support: .full
        ),
        "rabbit_stream_fanout": .init(
            help: "whether all servers of a topic read its fanout casts from one stream",
            kind: .flag,
            support: .full
        ),
        // It travels as milliseconds in 32 bits.
        "rabbit_transient_queues_ttl": .init(
            help: "after how many unused seconds fanout and reply queues are removed; 0 for never",
            kind: .integer(0...2_147_483),
            support: .full
        ),
        "rabbit_transient_quorum_queue": .init(
            help: "whether fanout and reply queues are replicated",
            kind: .flag,
            support: .full
        ),
        "rpc_conn_pool_size": .init(
            help: "no effect here: a process has few connections",
            kind: count,
            support: .withoutEffect
        ),
        tls: .init(help: "whether the connection is encrypted", kind: .flag, support: .full),
        "ssl_ca_file": .init(
            help: "the file of the authorities that sign brokers' certificates; the system's unless set",
            kind: .text,
            support: .full
        ),
        "ssl_cert_file": .init(help: "the file of the certificate that the program shows", kind: .text, support: .full),
        "ssl_enforce_fips_mode": .init(
            help: "no effect here: the system's library decides",
            kind: .flag,
            support: .withoutEffect
        ),
        "ssl_enforce_hostname_verification": .init(
            help: "no effect here: the broker's name is always verified",
            kind: .flag,
            support: .withoutEffect
        ),
        "ssl_key_file": .init(help: "the file of the certificate's key", kind: .text, support: .full),
        // Taken as the oldest version that is wanted; nothing older than TLS 1.2 is spoken in any case.
        "ssl_version": .init(
            help: "the oldest version of TLS; nothing older than 1.2 is spoken in any case",
            kind: .choice(["sslv2", "sslv3", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"]),
            support: .only(["sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"])
        ),
        "use_queue_manager": .init(
            help: "whether fanout and reply queues have the same names after each start",
            kind: .flag,
            support: .full
        ),
    ]

    /// Names that older files have for options.
    package static let formerNames: [String: String] = [
        "amqp_durable_queues": "rabbit_durable_queues",
        "kombu_missing_consumer_retry_timeout": "kombu_reconnect_timeout",
        "rabbit_quorum_max_memory_bytes": "rabbit_quroum_max_memory_bytes",
        "rabbit_quorum_max_memory_length": "rabbit_quroum_max_memory_length",
        "ssl": "rabbit_use_ssl",
        "ssl_ca_file": "kombu_ssl_ca_certs",
        "ssl_cert_file": "kombu_ssl_certfile",
        "ssl_key_file": "kombu_ssl_keyfile",
        "ssl_version": "kombu_ssl_version",
    ]
}
