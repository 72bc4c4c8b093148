public import Logging

extension ServiceOption where Value == String {
    /// `host`: the name under which this host is addressed and reports; the machine's name by default.
    public static var host: Self {
        Self("host", default: HostName.current, help: "the name of this host", rejecting: whenEmpty)
            .sampled(as: "the machine's name")
    }

    /// `control_exchange`: the exchange of all topics; `openstack` by default.
    public static var controlExchange: Self {
        Self("control_exchange", default: "openstack", help: "the exchange of all topics", rejecting: whenEmpty)
    }

    /// `topic`: the topic that the program serves; a program gives its own default.
    public static var topic: Self {
        Self("topic", default: "steward", help: "the topic that is served", rejecting: whenEmpty)
    }

    /// `scheduler_topic`: where capabilities are reported to; `cinder-scheduler` by default.
    public static var schedulerTopic: Self {
        Self("scheduler_topic", default: "cinder-scheduler", help: "the schedulers' topic", rejecting: whenEmpty)
    }

    private static var whenEmpty: @Sendable (String) -> String? {
        { $0.isEmpty ? "must not be empty" : nil }
    }
}

extension ServiceOption where Value == Secret {
    /// `transport_url`: the broker, or several, as oslo.messaging writes it; its passwords are never shown.
    public static var transportURL: Self {
        Self(
            "transport_url",
            default: Secret(url: "rabbit://guest:guest@localhost:5672/"),
            help: "the broker: rabbit://user:password@host:port[,…]/vhost"
        )
    }
}

extension ServiceOption where Value == Duration {
    /// `rpc_response_timeout`: how long a call may take; 60 s by default.
    public static var rpcResponseTimeout: Self {
        Self("rpc_response_timeout", default: .seconds(60), in: shortest..., help: "how long a call may take")
    }

    /// `report_interval`: how often a host reports its capabilities; every 60 s by default.
    public static var reportInterval: Self {
        Self(
            "report_interval",
            default: .seconds(60),
            in: shortest...,
            help: "how often capabilities are reported"
        )
    }

    /// `graceful_shutdown_timeout`: how long running work may take at a stop; 60 s by default, 0 for as long as it takes.
    public static var gracefulShutdownTimeout: Self {
        Self(
            "graceful_shutdown_timeout",
            default: .seconds(60),
            in: .zero...,
            help: "how long running work may take at a stop; 0 for as long as it takes"
        )
    }

    /// The least time that a limit or an interval may be: a millisecond.
    static var shortest: Duration { .milliseconds(1) }
}

extension ServiceOption where Value == Int {
    /// `executor_thread_pool_size`: how many requests are served at the same time; 64 by default.
    public static var executorThreadPoolSize: Self {
        Self(
            "executor_thread_pool_size",
            default: 64,
            in: counts,
            help: "how many requests run at once",
            deprecated: ["rpc_thread_pool_size"]
        )
    }

    /// `rpc_prefetch`: how many requests each queue hands out ahead of their start; 64 by default.
    public static var rpcPrefetch: Self {
        Self("rpc_prefetch", default: 64, in: counts, help: "how many requests are taken ahead")
    }

    /// AMQP counts prefetched messages in 16 bits.
    private static var counts: ClosedRange<Int> { 1...65535 }
}

extension ServiceOption where Value == Bool {
    /// `rpc_ping_enabled`: whether `oslo_rpc_server_ping` is answered with `pong`; not by default, as in oslo.
    public static var rpcPingEnabled: Self {
        Self("rpc_ping_enabled", default: false, help: "whether oslo_rpc_server_ping is answered")
    }
}

extension ServiceOption where Value == Bool {
    /// `refuse_same_host`: whether a service does not start where another process serves its topic under its host's name;
    /// by default they share the work, as in oslo.
    public static var refuseSameHost: Self {
        Self("refuse_same_host", default: false, help: "whether a host whose name another process has does not start")
    }
}

extension ServiceOption where Value == Logger.Level {
    /// `log_level`: what is logged; `info` and above by default.
    ///
    /// A running program takes a new value over.
    public static var logLevel: Self {
        Self(
            "log_level",
            default: .info,
            choices: Logger.Level.allCases,
            help: "the least important messages that are logged"
        ).mutable()
    }
}

extension ServiceOption where Value == Bool {
    /// `debug`: whether everything from `debug` on is logged, whatever `log_level` says; not by default.
    ///
    /// A running program takes a new value over.
    public static var debug: Self {
        Self("debug", default: false, help: "whether everything from debug on is logged").mutable()
    }
}

extension ServiceOption where Value == [String] {
    /// `enabled_backends`: the backends that the program runs, each with a section of its name; none by default.
    public static var enabledBackends: Self {
        Self("enabled_backends", default: [], help: "the backends, each with a section of its name")
    }
}

extension ServiceConfiguration {
    /// The least important messages that are logged, from `log_level` and `debug`.
    public var logLevel: Logger.Level {
        self[.debug] ? min(.debug, self[ServiceOption.logLevel]) : self[ServiceOption.logLevel]
    }
}
