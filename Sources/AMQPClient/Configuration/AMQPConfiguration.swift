/// Where the broker is and how to talk to it.
///
/// Secrets in it never show when it is printed.
public struct AMQPConfiguration: Sendable {
    /// One broker of a cluster, with the credentials for it.
    public struct Host: Sendable, Hashable {
        /// A name or an address; an IPv6 address without brackets.
        public var name: String
        /// The port: 5672, with TLS 5671.
        public var port: Int
        /// The user.
        public var user: String
        /// The password.
        public var password: AMQPSecret

        /// Describes a broker.
        public init(name: String, port: Int = 5672, user: String = "guest", password: AMQPSecret = "guest") {
            self.name = name
            self.port = port
            self.user = user
            self.password = password
        }
    }

    /// How to log in.
    public struct Mechanism: Sendable, Hashable {
        let name: String

        /// User and password; where the broker offers AMQPLAIN and not PLAIN, that.
        public static let plain = Mechanism(name: "PLAIN")
        /// User and password in the form of an AMQP table: RabbitMQ's own mechanism, and the default of Python's clients.
        public static let amqplain = Mechanism(name: "AMQPLAIN")
        /// By the client's TLS certificate, from which the broker learns the user.
        public static let external = Mechanism(name: "EXTERNAL")
    }

    /// In which order several hosts are tried.
    ///
    /// After a loss the host that worked last is tried first, whatever the order, and those that failed last come last: a
    /// connection goes back to another host only when its own fails.
    public struct HostOrder: Sendable, Hashable {
        private enum Kind { case asGiven, shuffled, random }
        private let kind: Kind

        /// The first is tried first; after a failure the next one.
        public static let asGiven = HostOrder(kind: .asGiven)
        /// The same in an order that is drawn once for each connection, so that many clients spread over a cluster.
        public static let shuffled = HostOrder(kind: .shuffled)
        /// After a failure any other one.
        public static let random = HostOrder(kind: .random)
    }

    /// The brokers.
    public var hosts: [Host]
    /// In which order they are tried; ``HostOrder/asGiven`` by default.
    public var hostOrder = HostOrder.asGiven
    /// The virtual host, `/` by default.
    public var virtualHost: String
    /// TLS, or nil for plain TCP; nothing ever falls back from TLS to plain TCP.
    public var tls: TLS?
    /// How to log in; ``Mechanism/plain`` by default.
    public var mechanism: Mechanism
    /// The name that the broker's management shows for the connection.
    ///
    /// Empty: none.
    public var connectionName: String
    /// Silence after which either side takes the other for dead is twice this.
    ///
    /// 60 seconds by default; zero turns heartbeats off. The broker may ask for less.
    public var heartbeat: Duration
    /// How many heartbeats are sent in the time of one ``heartbeat`` when nothing else is; 2 by default, and at least.
    public var heartbeatRate = 2
    /// The time for name resolution, TCP, TLS and log-in at one host; 10 seconds by default.
    public var connectTimeout: Duration
    /// How long a host may say nothing while it is connected to; 2 seconds by default.
    ///
    /// One that swallows everything does not keep the others waiting, and is noticed when it comes back. Every fifth time that
    /// no host was reached the whole ``connectTimeout`` is waited out, for a network or a broker that needs it.
    public var hostTimeout: Duration = .seconds(2)
    /// The time for one operation, waiting for a lost connection included; 30 seconds by default.
    public var operationTimeout: Duration
    /// The time for an orderly close; 5 seconds by default.
    ///
    /// Afterwards the socket is closed without ceremony.
    public var closeTimeout: Duration
    /// The largest frame, 131,072 bytes by default, at least 4,096; more than 524,288 is never agreed to, because each
    /// connection holds buffers of this size.
    ///
    /// The broker may ask for less.
    public var frameMax: Int
    /// The number of channels, 2,047 by default.
    ///
    /// The broker may ask for less.
    public var channelMax: Int
    /// The largest body that is sent, and that is accepted: a larger delivery is rejected to the broker (which may
    /// dead-letter it) without being held in memory.
    ///
    /// 64 MiB by default.
    public var maxBodySize: Int
    /// Whether messages that name no user carry the one that is logged in; no by default.
    ///
    /// The broker checks it against the log-in (AMQP's `user-id`), so that receivers can rely on it. With the mechanism EXTERNAL the broker alone knows the user, and nothing is added.
    public var sendsUserID = false
    /// The pauses between attempts to connect again.
    public var backoff: Backoff
    /// A pause before the first attempt after the loss of an established connection, in addition to ``backoff``; none by
    /// default.
    public var reconnectDelay: Duration = .zero
    /// Up to how much longer than ``reconnectDelay`` that pause is, at random; nothing by default.
    public var reconnectSpread: Duration = .zero
    /// Whether an exchange or queue that is restored after a loss, and exists by then with the other durability, is taken
    /// as it is; no by default: then the connection goes on trying and stays `recovering`.
    public var adoptsDurability = false
    /// How often at most the queues that are consumed, and the exchanges and bindings by which messages reach them, are
    /// looked at; zero, the default, for never.
    ///
    /// A broker does not tell that an exchange was deleted or a binding removed. What is missing is declared again; until it
    /// is there the connection is ``AMQPConnectionState/recovering(_:)``. A binding that was removed alone is made again
    /// without that, since a broker cannot be asked for it. Up to a quarter less, at random.
    public var auditInterval: Duration = .zero
    let health = HostHealth()

    /// Describes how to reach the given hosts, with every other setting at its default.
    public init(hosts: [Host] = [Host(name: "localhost")]) {
        self.hosts = hosts
        self.virtualHost = "/"
        self.tls = nil
        self.mechanism = .plain
        self.connectionName = ""
        self.heartbeat = .seconds(60)
        self.connectTimeout = .seconds(10)
        self.operationTimeout = .seconds(30)
        self.closeTimeout = .seconds(5)
        self.frameMax = 131_072
        self.channelMax = 2_047
        self.maxBodySize = 64 << 20
        self.backoff = Backoff()
    }
}

extension AMQPConfiguration {
    /// What makes a TLS connection.
    ///
    /// Chain and host name are verified unless that is turned off here.
    public struct TLS: Sendable, Hashable {
        /// A PEM file with the authorities to trust; nil: those of the system.
        public var caFile: String?
        /// A PEM file with this client's certificate chain, if the broker asks for one.
        public var certificateFile: String?
        /// A PEM file with the key of that certificate, not encrypted.
        public var keyFile: String?
        /// Whether the broker's certificate must lead to a trusted authority and be in date; true by default.
        public var verifiesPeer: Bool
        /// Whether the broker's certificate must bear the host's name or address; true by default.
        ///
        /// Without ``verifiesPeer`` it must be turned off as well, since a name that nobody vouches for says nothing.
        public var verifiesHostName: Bool
        /// The name that the certificate must bear, where it is not the name that is connected to.
        public var serverName: String?
        /// The oldest version of TLS that is spoken; 1.2 by default.
        public var minimumVersion = Version.tls12

        /// A version of TLS; those before 1.2 are not spoken (RFC 8996).
        public struct Version: Sendable, Hashable {
            let number: Int

            /// TLS 1.2.
            public static let tls12 = Version(number: 0x0303)
            /// TLS 1.3.
            public static let tls13 = Version(number: 0x0304)
        }

        /// Describes TLS with full verification against the system's authorities.
        public init(
            caFile: String? = nil,
            certificateFile: String? = nil,
            keyFile: String? = nil,
            verifiesPeer: Bool = true,
            verifiesHostName: Bool = true,
            serverName: String? = nil
        ) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.verifiesPeer = verifiesPeer
            self.verifiesHostName = verifiesHostName
            self.serverName = serverName
        }
    }
}

extension AMQPConfiguration {
    /// Says what is wrong with the settings, before anything is connected.
    func validate() throws(AMQPError) {
        func refuse(_ message: String) throws(AMQPError) -> Never {
            throw AMQPError(.invalidConfiguration, operation: "configuration", message: message)
        }
        if self.hosts.isEmpty {
            try refuse("no host is given")
        }
        for host in self.hosts {
            if host.name.isEmpty || host.name.utf8.contains(0) {
                try refuse("a host name is empty or holds a zero byte")
            }
            if !(1...65_535).contains(host.port) {
                try refuse("the port \(host.port) of \(host.name) is not between 1 and 65535")
            }
        }
        if !(4_096...(1 << 24)).contains(self.frameMax) {
            try refuse("frameMax is \(self.frameMax); it must be between 4096 and 16777216")
        }
        if !(2...65_535).contains(self.channelMax) {
            try refuse("channelMax is \(self.channelMax); it must be between 2 and 65535")
        }
        if self.maxBodySize < 0 {
            try refuse("maxBodySize is negative")
        }
        if self.heartbeat < .zero || self.heartbeat > .seconds(65_535) {
            try refuse("heartbeat is \(self.heartbeat); it must be between 0 and 65535 seconds")
        }
        if self.hostTimeout <= .zero {
            try refuse("hostTimeout is \(self.hostTimeout); it must be positive")
        }
        if self.heartbeatRate < 2 {
            try refuse("heartbeatRate is \(self.heartbeatRate); it must be 2 or more")
        }
        if self.reconnectDelay < .zero || self.reconnectSpread < .zero {
            try refuse("reconnectDelay and reconnectSpread must not be negative")
        }
        if let tls, !tls.verifiesPeer, tls.verifiesHostName {
            try refuse("verifiesHostName needs verifiesPeer: turn both off, or neither")
        }
        if (self.tls?.certificateFile == nil) != (self.tls?.keyFile == nil) {
            try refuse("a client certificate needs both certificateFile and keyFile")
        }
    }
}
