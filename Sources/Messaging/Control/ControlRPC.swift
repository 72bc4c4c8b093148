/// What every server answers about itself, whatever it serves: a contract as any other, on a topic of its own.
///
/// A server of the topic `cinder-volume` at `node-1` is asked at the topic `cinder-volume_control`, server `node-1`
/// (``Target/control``):
///
/// ```swift
/// let control = RPCClient(transport, target: Target.topic("cinder-volume", server: "node-1").control)
/// let ping = try await control.call(ControlRPC.ping, timeout: .seconds(2))
/// ```
///
/// The answers come over a connection and a thread of their own, so that they also come while every handler is busy;
/// they hold no secrets. Any peer can ask, also one that knows nothing of this library: the methods lie in the null
/// namespace.
public enum ControlRPC {
    /// The version of this contract.
    public static let version: RPCVersion = "1.0"

    /// Who the server is, whether it takes requests, and how busy it is.
    public static let ping = RPCMethod<Void, Presence>("ping", since: "1.0")
    /// What the server serves, and within which limits.
    public static let info = RPCMethod<Void, Info>("info", since: "1.0")
    /// What the server has done so far, method by method.
    public static let stats = RPCMethod<Void, Statistics>("stats", since: "1.0")

    /// Cancels the handler of a call whose caller does not wait any more; clients of this library send it by themselves.
    ///
    /// Answers whether the call was running here; if it was not, it is not started should it still come.
    public static let cancel = RPCMethod<Cancellation, Bool>(ControlMethod.cancel, since: "1.0")

    /// The arguments of ``ControlRPC/cancel``.
    public struct Cancellation: Codable, Sendable, Hashable {
        /// The call's message id (`_msg_id`).
        public var id: String

        /// Names a call.
        ///
        /// - Parameter id: The call's message id.
        public init(id: String) { self.id = id }
    }

    /// Whether a server takes requests.
    public struct State: RawRepresentable, Codable, Sendable, Hashable {
        /// The state's name on the wire.
        public let rawValue: String

        /// Takes a name from the wire, also one that is not known yet.
        ///
        /// - Parameter rawValue: The name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The queues are not open yet.
        public static let starting = State(rawValue: "starting")
        /// The server takes requests.
        public static let accepting = State(rawValue: "accepting")
        /// The server takes nothing more and finishes what it has begun.
        public static let draining = State(rawValue: "draining")
    }

    /// A server's answer to ``ControlRPC/ping``.
    public struct Presence: Codable, Sendable, Hashable {
        /// The topic that is served.
        public var topic: String
        /// The name by which the server is addressed.
        public var host: String
        /// A random id of this life of the server: another one after a restart, and of another process of the same name.
        public var incarnation: String
        /// How long the server has run, in seconds.
        public var uptime: Double
        /// Whether it takes requests.
        public var state: State
        /// Whether it has looked for others of its name and stays; absent where it does not say.
        public var keepsName: Bool?
        /// The versions of its interfaces, without repetition, the oldest first.
        public var versions: [RPCVersion]
        /// The version of the software, as the service tells it.
        public var serviceVersion: String?
        /// How many handlers run.
        public var running: Int
        /// How many may run at the same time.
        public var concurrency: Int
        /// How many requests have arrived and wait for a free handler.
        public var waiting: Int

        enum CodingKeys: String, CodingKey {
            case topic, host, incarnation, uptime, state, versions, running, concurrency, waiting
            case serviceVersion = "service_version"
            case keepsName = "keeps_name"
        }
    }
}

extension Duration {
    /// Seconds with a fraction, in whole nanoseconds so that the decimal number stays short.
    var wireSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + (Double(attoseconds) / 1e9).rounded() / 1e9
    }
}
