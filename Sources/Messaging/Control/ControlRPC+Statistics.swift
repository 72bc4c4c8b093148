extension ControlRPC {
    /// A server's answer to ``ControlRPC/stats``.
    public struct Statistics: Codable, Sendable, Hashable {
        /// The topic that is served.
        public var topic: String
        /// The name by which the server is addressed.
        public var host: String
        /// A random id of this life of the server; all figures belong to it.
        public var incarnation: String
        /// How long the server has run, in seconds.
        public var uptime: Double
        /// How many handlers run.
        public var running: Int
        /// How many may run at the same time.
        public var concurrency: Int
        /// How many requests have arrived and wait for a free handler.
        public var waiting: Int
        /// The methods that are served, sorted by namespace and name.
        public var methods: [MethodStatistics]
        /// What was refused, by kind, without being a request for a method that is served.
        public var refusals: [String: Int]
        /// How many requests for methods that are not served had expired.
        public var expired: Int
    }

    /// What a server has done for one method.
    public struct MethodStatistics: Codable, Sendable, Hashable {
        /// The method's name on the wire.
        public var name: String
        /// The namespace, or `nil` for the null namespace.
        public var namespace: String?
        /// How many requests were started, casts included.
        public var calls: Int
        /// How many of them run now.
        public var inFlight: Int
        /// How many gave a result.
        public var succeeded: Int
        /// How many ended with an error.
        public var errors: Errors
        /// How many were cancelled, by their caller or by the server's end.
        public var cancelled: Int
        /// How many were not started because their caller had given up.
        public var expired: Int
        /// How many were not started because they had been run before.
        public var duplicates: Int
        /// How many were refused, by the kind of refusal.
        public var refusals: [String: Int]
        /// How long requests waited here for a free handler; `nil` where there was none.
        public var queueWait: Latency?
        /// How long handlers ran; `nil` where none has ended.
        public var runTime: Latency?

        enum CodingKeys: String, CodingKey {
            case name, namespace, calls, succeeded, errors, cancelled, expired, duplicates, refusals
            case inFlight = "in_flight"
            case queueWait = "queue_wait"
            case runTime = "run_time"
        }
    }

    /// Errors that handlers ended with.
    public struct Errors: Codable, Sendable, Hashable {
        /// Those that are part of the method's ordinary business; see ``RemoteFailureConvertible/isExpected``.
        public var expected: Int
        /// All others.
        public var unexpected: Int
    }

    /// Durations in seconds, since the server's start; percentiles are off by 1.6 % at most.
    public struct Latency: Codable, Sendable, Hashable {
        /// How many there were.
        public var count: Int
        /// Their average.
        public var mean: Double
        /// What half of them do not exceed.
        public var p50: Double
        /// What nine of ten do not exceed.
        public var p90: Double
        /// What 99 of 100 do not exceed.
        public var p99: Double
        /// The longest.
        public var max: Double
    }
}
