extension ControlRPC {
    /// A server's answer to ``ControlRPC/info``.
    public struct Info: Codable, Sendable, Hashable {
        /// The topic that is served.
        public var topic: String
        /// The name by which the server is addressed.
        public var host: String
        /// The control exchange, where it is not the transport's own.
        public var exchange: String?
        /// A random id of this life of the server.
        public var incarnation: String
        /// How long the server has run, in seconds.
        public var uptime: Double
        /// Whether it takes requests.
        public var state: State
        /// The version of this library.
        public var libraryVersion: String
        /// The version of the software, as the service tells it.
        public var serviceVersion: String?
        /// The host that the service manages, where it has a name beside the one by which it is addressed.
        public var managedHost: String?
        /// The id of the process on its machine.
        public var processID: Int
        /// What is served, in the order in which it is asked.
        public var endpoints: [ContractDescription]
        /// The bounds within which the server works.
        public var limits: Limits

        enum CodingKeys: String, CodingKey {
            case topic, host, exchange, incarnation, uptime, state, endpoints, limits
            case libraryVersion = "library_version"
            case serviceVersion = "service_version"
            case managedHost = "managed_host"
            case processID = "process_id"
        }
    }

    /// The bounds within which a server works.
    public struct Limits: Codable, Sendable, Hashable {
        /// How many handlers run at the same time.
        public var concurrency: Int
        /// How many messages each queue hands out ahead of their start.
        public var prefetch: Int
        /// How long running handlers may take after a stop, in seconds.
        public var gracePeriod: Double
        /// How many message ids are remembered to recognise a repetition.
        public var duplicatesWindow: Int
        /// The longest body of a request, in bytes.
        public var bodySize: Int
        /// The deepest nesting of arrays and objects in a request.
        public var nesting: Int
        /// How many arguments a request may have.
        public var arguments: Int

        enum CodingKeys: String, CodingKey {
            case concurrency, prefetch, nesting, arguments
            case gracePeriod = "grace_period"
            case duplicatesWindow = "duplicates_window"
            case bodySize = "body_size"
        }
    }
}
