/// An option that may stand in a transport URL: one of oslo's group `oslo_messaging_rabbit` (wire contract 1.3, 5.7).
struct TransportOption {
    /// What a value must be.
    enum Kind {
        case flag
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        case text
        case choice([String])
    }

    /// What becomes of the option here.
    enum Support {
        case full
        /// It tunes Python's own machinery, or nothing at all; refusing it would only stop good URLs from working.
        case withoutEffect
        /// It changes what peers can see. Ignoring it would put this side on other queues than theirs.
        case only([String])
    }

    let kind: Kind
    let support: Support

    /// The option for TLS, which ``TransportURL/isTLS`` answers.
    static let tls = "ssl"

    private static let seconds = Kind.integer(0...65535)
    private static let pause = Kind.integer(1...65535)
    private static let count = Kind.integer(0...Int(Int32.max))

    private static let known: [String: TransportOption] = [
        "amqp_auto_delete": .init(kind: .flag, support: .full),
        "amqp_durable_queues": .init(kind: .flag, support: .full),
        "conn_pool_min_size": .init(kind: count, support: .withoutEffect),
        "conn_pool_ttl": .init(kind: count, support: .withoutEffect),
        "direct_mandatory_flag": .init(kind: .flag, support: .full),
        "enable_cancel_on_failover": .init(kind: .flag, support: .full),
        "heartbeat_rate": .init(kind: .integer(1...1000), support: .full),
        "heartbeat_timeout_threshold": .init(kind: seconds, support: .full),
        "hostname": .init(kind: .text, support: .full),
        "kombu_compression": .init(kind: .choice(["gzip", "zlib", "bz2", "bzip2", "bzip"]), support: .full),
        "kombu_failover_strategy": .init(kind: .choice(["round-robin", "shuffle"]), support: .full),
        "kombu_missing_consumer_retry_timeout": .init(kind: count, support: .full),
        "kombu_reconnect_delay": .init(kind: .number(0...4.5), support: .full),
        "kombu_reconnect_splay": .init(kind: .number(0...3600), support: .full),
        "processname": .init(kind: .text, support: .full),
        "rabbit_ha_queues": .init(kind: .flag, support: .full),
        "rabbit_interval_max": .init(kind: pause, support: .full),
        "rabbit_login_method": .init(
            kind: .choice(["PLAIN", "AMQPLAIN", "EXTERNAL", "RABBIT-CR-DEMO"]),
            // The last one is a demonstration of RabbitMQ's, for no real broker.
            support: .only(["PLAIN", "AMQPLAIN", "EXTERNAL"])
        ),
        "rabbit_qos_prefetch_count": .init(kind: .integer(0...65535), support: .full),
        "rabbit_quorum_delivery_limit": .init(kind: count, support: .full),
        "rabbit_quorum_max_memory_bytes": .init(kind: .integer(0...Int.max), support: .full),
        "rabbit_quorum_max_memory_length": .init(kind: count, support: .full),
        "rabbit_quorum_queue": .init(kind: .flag, support: .full),
        "rabbit_retry_backoff": .init(kind: seconds, support: .full),
        "rabbit_retry_interval": .init(kind: pause, support: .full),
        "rabbit_stream_fanout": .init(kind: .flag, support: .full),
        // It travels as milliseconds in 32 bits.
        "rabbit_transient_queues_ttl": .init(kind: .integer(0...2_147_483), support: .full),
        "rabbit_transient_quorum_queue": .init(kind: .flag, support: .full),
        "rpc_conn_pool_size": .init(kind: count, support: .withoutEffect),
        tls: .init(kind: .flag, support: .full),
        "ssl_ca_file": .init(kind: .text, support: .full),
        "ssl_cert_file": .init(kind: .text, support: .full),
        "ssl_enforce_fips_mode": .init(kind: .flag, support: .withoutEffect),
        "ssl_enforce_hostname_verification": .init(kind: .flag, support: .withoutEffect),
        "ssl_key_file": .init(kind: .text, support: .full),
        // Taken as the oldest version that is wanted; nothing older than TLS 1.2 is spoken in any case.
        "ssl_version": .init(
            kind: .choice(["sslv2", "sslv3", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"]),
            support: .only(["sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"])
        ),
        "use_queue_manager": .init(kind: .flag, support: .full),
    ]

    /// The names under which RabbitMQ's URI query parameters know the same things.
    private static let uriNames = [
        "cacertfile": "ssl_ca_file", "certfile": "ssl_cert_file", "keyfile": "ssl_key_file",
        "heartbeat": "heartbeat_timeout_threshold",
    ]

    /// An option's name in oslo's group, for the name that stands in a URL.
    static func name(_ name: String, isURI: Bool) -> String {
        isURI ? self.uriNames[name] ?? name : name
    }

    /// The options of one URL.
    struct Set {
        /// Values in their canonical form.
        private(set) var values: [String: String] = [:]
        /// The names of options that change nothing here.
        private(set) var withoutEffect: [String] = []

        /// Checks an option and takes it in; an empty value leaves it unset.
        mutating func add(_ name: String, _ value: String) throws(TransportURLError) {
            guard let option = TransportOption.known[name] else {
                throw TransportURLError(
                    .unknownOption,
                    "there is no option '\(name.prefix(64))'; known are those of oslo.messaging's RabbitMQ driver"
                )
            }
            guard !value.isEmpty else { return }
            guard let canonical = option.kind.canonical(value) else {
                throw TransportURLError(
                    .invalidOption,
                    "the option \(name) must be \(option.kind), not '\(value.prefix(64))'"
                )
            }
            switch option.support {
            case .full: break
            case .withoutEffect: self.withoutEffect.append(name)
            case .only(let supported):
                guard supported.contains(canonical) else {
                    throw TransportURLError(
                        .unsupportedOption,
                        "\(name)=\(canonical.prefix(64)) is not supported; "
                            + (supported.isEmpty ? "leave it out" : "use \(supported.joined(separator: " or "))")
                    )
                }
            }
            self.values[name] = canonical
        }
    }
}

extension TransportOption.Kind: CustomStringConvertible {
    /// What a value must be, for people.
    var description: String {
        switch self {
        case .flag: "true or false"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range):
            "a number from \(range.lowerBound) to \(range.upperBound)"
        case .text: "a text"
        case .choice(let values): values.joined(separator: " or ")
        }
    }

    /// The value in one form for all ways of writing it, or `nil` where it is none: oslo.config's rules.
    fileprivate func canonical(_ value: String) -> String? {
        switch self {
        case .flag:
            switch value.lowercased() {
            case "true", "1", "on", "yes": "true"
            case "false", "0", "off", "no": "false"
            default: nil
            }
        case .integer(let range):
            Int(value).flatMap { range.contains($0) ? String($0) : nil }
        case .number(let range):
            Double(value).flatMap { range.contains($0) ? String($0) : nil }
        case .text:
            value
        case .choice(let values):
            values.first { $0.lowercased() == value.lowercased() }
        }
    }
}
