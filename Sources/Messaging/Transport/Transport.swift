/// What the RPC layer needs of a message system: AMQP's queues and guarantees, without its words.
///
/// There are two: the in-memory one of this module, and `RabbitMQTransport`. Both pass the conformance suite of
/// `MessagingTesting`, which states in tests what is said here.
public protocol Transport: Sendable {
    /// The calls that wait for a reply over this transport; shared by all clients on it.
    var replies: ReplyRouter { get }

    /// The time by which everything over this transport waits and gives up; tests may stop it.
    var clock: any MessagingClock { get }

    /// How long servers offer a reply to a reply queue that is not there; `nil` leaves it to their own configuration.
    var replyRetryLimit: Duration? { get }

    /// How long a message may go without its acknowledgement before the broker takes it back; `nil` for ever, or where that is
    /// not known. Servers warn of methods that may take longer.
    var acknowledgementLimit: Duration? { get }
    /// The names under which the broker knows whoever sends over this transport: what receivers find in
    /// ``Delivery/userID``.
    var users: Set<String> { get }

    /// Where tasks are best run that wait for this transport: a server runs its handlers there.
    ///
    /// `nil` for no such place: then they run wherever their tasks do.
    var taskExecutor: (any TaskExecutor)? { get }

    /// Whether messages can come and go at present; `ready` where a transport cannot be in trouble.
    ///
    /// Answered at once, from what is known.
    var readiness: Readiness { get }

    /// What the transport has done so far; nothing, where it does not count.
    ///
    /// Answered at once, from what is known.
    var figures: TransportFigures { get }

    /// An element each time that messages can come and go again after a fault; none, where a transport has no faults.
    ///
    /// Who is slow to take them gets one for several. The stream ends with the task that waits for it.
    func recoveries() -> AsyncStream<Void>

    /// Makes sure that replies can be received, and names the queue to which they must be sent.
    ///
    /// The first call opens the queue; it stays open, under the same name, for the transport's life. What arrives there
    /// is given to ``replies``.
    ///
    /// - Parameter deadline: When to give up; `nil` for never.
    /// - Returns: The queue's name.
    /// - Throws: `unreachable` where the deadline passed before the queue was there; `closed`, and what the broker
    ///   refuses.
    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String

    /// Sends a message and returns when the broker has taken it in.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    /// - Throws: `noSuchServer` where the message is mandatory and no queue takes it; `timeout` or `blocked` where the
    ///   deadline passed before the message was written; `connectionLost` where it was written and not confirmed;
    ///   `rejected`, `tooLarge`, `unreachable`, `closed`.
    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError)

    /// Sends a message without waiting for what becomes of it; nothing is suspended.
    ///
    /// A transport that does not do it itself sends in a task of its own.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    ///   - onWritten: Called when the message is written, if it ever is: whoever goes on only then puts no more into
    ///     memory than the connection takes.
    ///   - completion: Called once, with the error if there was one; it is one of those that ``send(_:to:options:)``
    ///     throws.
    ///
    ///   Both may be called on the transport's thread, or at once, and must return at once.
    /// - Returns: The message on its way.
    @discardableResult
    func post(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void
    ) -> any PendingSend

    /// Starts to listen: on a server's three addresses, or on one queue.
    ///
    /// - Parameters:
    ///   - source: Where the messages come from.
    ///   - prefetch: How many unacknowledged messages each queue may have at the listener.
    ///   - onDeliveries: Called with what has arrived, in order; must return at once.
    /// - Returns: What settles the deliveries and ends the listening; the broker has confirmed all consumers.
    /// - Throws: `invalidTarget`, `noSuchServer` where a named queue does not exist, `unreachable`, `closed`, and what
    ///   the broker refuses.
    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener

    /// Looks at the queue that a destination stands for.
    ///
    /// - Parameters:
    ///   - destination: A topic, a server, a queue or dead letters; a fanout has no queue of its own.
    ///   - deadline: When to give up; `nil` for never.
    /// - Returns: What is in the queue and who consumes it, or `nil` where there is no such queue.
    /// - Throws: `timeout`, `unreachable`, `closed`.
    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus?

    /// Returns when each of the transport's own threads has done something: for those who watch whether they still do.
    ///
    /// Never touches the broker.
    func takeTurn() async

    /// Ends all use of the transport; calls that wait end with `closed`. Bounded in time.
    func close() async
}

extension Transport {
    /// The continuous clock.
    public var clock: any MessagingClock { ContinuousClock() }

    /// Left to the servers.
    public var replyRetryLimit: Duration? { nil }
    /// For ever.
    public var acknowledgementLimit: Duration? { nil }
    /// None that is known.
    public var users: Set<String> { [] }
    /// None.
    public var taskExecutor: (any TaskExecutor)? { nil }
    /// Never in trouble.
    public var readiness: Readiness { .ready }
    /// Nothing, unless the transport says it.
    public var figures: TransportFigures { TransportFigures() }
    /// Never.
    public func recoveries() -> AsyncStream<Void> { AsyncStream { _ in } }
    /// Has no threads of its own.
    public func takeTurn() async {}
}

/// A server's hold on its queues.
public protocol Listener: Sendable {
    /// The queue by which this listener alone gets its topic's fanout casts; `nil` where there is none.
    var ownFanoutQueue: String? { get }

    /// Acknowledges deliveries.
    ///
    /// - Parameter deliveries: What is done, or about to be.
    /// - Returns: Those whose acknowledgement was written to the broker. The others were lost with their connection and
    ///   will be delivered again, here or at another host: who promised to run them at most once must not start them.
    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery]

    /// Acknowledges deliveries without waiting; nothing is suspended.
    ///
    /// - Parameters:
    ///   - deliveries: What is about to be done.
    ///   - completion: Called once with what ``acknowledge(_:)`` returns; perhaps on the transport's thread, or at once.
    func acknowledge(_ deliveries: [Delivery], completion: @escaping @Sendable ([Delivery]) -> Void)

    /// Does something soon, where it suits the transport: what acknowledges deliveries does it best on the transport's own
    /// thread.
    ///
    /// - Parameter body: What is done; it must return soon.
    func perform(_ body: @escaping @Sendable () -> Void)

    /// Looks which deliveries were lost with their connection and are certain to be delivered again, here or at another
    /// host: what is not started yet is better left to whoever gets it then.
    ///
    /// - Parameter deliveries: What is about to be started.
    /// - Returns: Those that are lost; none where that is not known, as on another thread than that of ``perform(_:)``.
    func lost(among deliveries: [Delivery]) -> [Delivery]

    /// Gives deliveries back.
    ///
    /// - Parameters:
    ///   - deliveries: What will not be run here.
    ///   - requeue: Whether they are to be delivered again, to anyone, or dropped (or dead-lettered) by the broker.
    func reject(_ deliveries: [Delivery], requeue: Bool) async

    /// Stops taking messages: returns when the broker will deliver no more to this listener.
    func stopConsuming() async

    /// Releases the queues; what was not acknowledged goes back to the broker.
    func close() async
}

extension Listener {
    /// None.
    public var ownFanoutQueue: String? { nil }

    /// None is known.
    public func lost(among deliveries: [Delivery]) -> [Delivery] { [] }

    /// Acknowledges in a task of its own.
    public func acknowledge(_ deliveries: [Delivery], completion: @escaping @Sendable ([Delivery]) -> Void) {
        // Not a task group: the transport's thread does not wait. It ends as soon as the transport answers.
        Task(executorPreference: preferredTaskExecutor) { completion(await self.acknowledge(deliveries)) }
    }

    /// Does it in a task of its own.
    public func perform(_ body: @escaping @Sendable () -> Void) {
        // As above.
        Task(executorPreference: preferredTaskExecutor) { body() }
    }
}

/// What a listener listens on.
public enum Source: Sendable, Hashable {
    /// A server's addresses: its topic, its host, and the topic's fanout; the target names topic and server.
    case server(Target)
    /// The same three of a server's control topic (``Target/control``), over a connection of their own, so that a worker
    /// whose work has piled up still answers. They are gone with their server.
    case control(Target)
    /// A queue that exists, by its name.
    case queue(String)
    /// The requests to a topic that were given up.
    case deadLetters(topic: String)
}

/// Where a message goes.
public enum Destination: Sendable, Hashable {
    /// Any server of a topic.
    case topic(String, exchange: String?)
    /// One server of a topic.
    case server(String, topic: String, exchange: String?)
    /// Every server of a topic; the control exchange plays no part (wire contract 1.1).
    case fanout(String)
    /// A queue by its name: where replies go.
    case queue(String)
    /// Where requests to a topic go that were given up: a queue that lasts, and is made when it is first needed.
    case deadLetters(topic: String)
}

/// What a broker says of a queue.
public struct QueueStatus: Sendable, Hashable {
    /// How many consume it.
    public let consumers: Int
    /// How many messages wait in it, those that were handed out not included.
    public let messages: Int

    /// Creates a status; for transports.
    ///
    /// - Parameters:
    ///   - consumers: How many consume the queue.
    ///   - messages: How many messages wait in it.
    public init(consumers: Int, messages: Int) {
        self.consumers = consumers
        self.messages = messages
    }
}

/// Which of a transport's connections carries a message.
public struct Lane: Sendable, Hashable {
    private enum Kind { case work, control }
    private let kind: Kind

    /// The one that carries requests and replies; the default.
    public static let work = Lane(kind: .work)
    /// The one that is kept free for questions about a worker.
    public static let control = Lane(kind: .control)
}

/// A message on its way out.
public struct Message: Sendable {
    /// The body: JSON text in UTF-8.
    public var body: [UInt8]
    /// How long the message may wait in a queue before the broker drops it; `nil` for ever.
    public var timeToLive: Duration?
    /// What travels beside the body; oslo.messaging sends none and reads none but its compression (wire contract 2.2).
    public var headers: [String: String]

    /// Creates a message.
    ///
    /// - Parameters:
    ///   - body: JSON text in UTF-8.
    ///   - timeToLive: How long it may wait in a queue; `nil` (the default) for ever.
    ///   - headers: What travels beside the body; nothing by default.
    public init(body: [UInt8], timeToLive: Duration? = nil, headers: [String: String] = [:]) {
        self.body = body
        self.timeToLive = timeToLive
        self.headers = headers
    }
}

/// How a message is sent.
public struct SendOptions: Sendable {
    /// Whether a message that no queue takes is an error (`noSuchServer`) or silently gone.
    public var isMandatory: Bool
    /// When the sender gives up; `nil` for never.
    public var deadline: ContinuousClock.Instant?
    /// Which connection carries the message.
    public var lane: Lane
    /// How long the broker holds the message before it puts it into the queue; `nil` for not at all.
    ///
    /// Only for a queue by its name. The message outlives its sender and the broker; the queue has to be there when the
    /// time has come.
    public var delay: Duration?
    /// How much the sender wants to know; whether the broker has the message, by default.
    public var confirmation = Confirmation.awaited

    /// Creates options.
    ///
    /// - Parameters:
    ///   - isMandatory: Whether a message that no queue takes is an error; `false` by default.
    ///   - deadline: When the sender gives up; `nil` (the default) for never.
    ///   - lane: Which connection carries the message; the one for work by default.
    ///   - delay: How long the broker holds the message back; `nil` (the default) for not at all.
    public init(
        isMandatory: Bool = false,
        deadline: ContinuousClock.Instant? = nil,
        lane: Lane = .work,
        delay: Duration? = nil
    ) {
        self.isMandatory = isMandatory
        self.deadline = deadline
        self.lane = lane
        self.delay = delay
    }
}

/// A message that arrived.
public struct Delivery: Sendable {
    /// In one place, because deliveries are passed on a dozen times before their handler runs.
    private final class Content: Sendable {
        let body: [UInt8]
        let contentType: String?
        let contentEncoding: String?
        let compression: String?
        let headers: [String: String]
        let userID: String?
        let queue: String
        let timeToLive: Duration?
        let isRedelivered: Bool
        let receivedAt: ContinuousClock.Instant
        /// What the headers say that is asked several times.
        let isCopy: Bool
        let isFromOurClient: Bool
        let isProbe: Bool
        let isTraced: Bool

        init(
            body: [UInt8],
            contentType: String?,
            contentEncoding: String?,
            compression: String?,
            headers: [String: String],
            userID: String?,
            queue: String,
            timeToLive: Duration?,
            isRedelivered: Bool,
            receivedAt: ContinuousClock.Instant
        ) {
            self.body = body
            self.contentType = contentType
            self.contentEncoding = contentEncoding
            self.compression = compression
            self.headers = headers
            self.userID = userID
            self.queue = queue
            self.timeToLive = timeToLive
            self.isRedelivered = isRedelivered
            self.receivedAt = receivedAt
            var isCopy = false
            var isFromOurClient = false
            var isProbe = false
            var isTraced = false
            for name in headers.keys {
                isCopy = isCopy || RequestTrail.isMark(name)
                isFromOurClient = isFromOurClient || name == MessageHeader.caller
                isProbe = isProbe || name == MessageHeader.probe
                isTraced = isTraced || name == TraceParent.Header.parent
            }
            self.isCopy = isCopy
            self.isFromOurClient = isFromOurClient
            self.isProbe = isProbe
            self.isTraced = isTraced
        }
    }

    private let content: Content
    /// The body as it came.
    public var body: [UInt8] { self.content.body }
    /// AMQP's content type, if the sender gave one; wire contract 3.1 wants `application/json`.
    public var contentType: String? { self.content.contentType }
    /// AMQP's content encoding, if the sender gave one.
    public var contentEncoding: String? { self.content.contentEncoding }
    /// The `compression` header, if there is one that the transport did not deal with (wire contract 2.2).
    public var compression: String? { self.content.compression }
    /// The headers whose values are text.
    public var headers: [String: String] { self.content.headers }
    /// Who sent the message, as the broker has verified it; `nil` where the sender does not say.
    public var userID: String? { self.content.userID }
    /// The queue that handed the message out.
    public var queue: String { self.content.queue }
    /// The time to live with which the message was sent, if any: an upper bound of what is left of it.
    public var timeToLive: Duration? { self.content.timeToLive }
    /// Whether the broker handed the message out before.
    public var isRedelivered: Bool { self.content.isRedelivered }
    /// When it arrived here.
    public var receivedAt: ContinuousClock.Instant { self.content.receivedAt }
    /// Whether it is the copy of another message.
    var isCopy: Bool { self.content.isCopy }
    /// Whether its sender understands what oslo's clients do not.
    var isFromOurClient: Bool { self.content.isFromOurClient }
    /// Whether a server sent it to itself.
    var isProbe: Bool { self.content.isProbe }
    /// Whether it says which trace it belongs to, be it well or badly.
    var isTraced: Bool { self.content.isTraced }
    /// What the transport needs to settle the message.
    public let token: Token

    /// A transport's own handle of a delivery.
    public struct Token: Sendable, Hashable {
        /// The number of the delivery.
        public let tag: UInt64
        /// Which connection it came over; a number from before a reconnect means nothing after it.
        public let generation: UInt64

        /// Creates a token.
        ///
        /// - Parameters:
        ///   - tag: The number of the delivery.
        ///   - generation: Which connection it came over.
        public init(tag: UInt64, generation: UInt64 = 0) {
            self.tag = tag
            self.generation = generation
        }
    }

    /// Creates a delivery; for transports.
    ///
    /// - Parameters:
    ///   - body: The body as it came.
    ///   - contentType: AMQP's content type.
    ///   - contentEncoding: AMQP's content encoding.
    ///   - compression: The `compression` header.
    ///   - headers: The headers whose values are text.
    ///   - userID: Who sent the message, as the broker has verified it.
    ///   - queue: The queue that handed the message out.
    ///   - timeToLive: The time to live with which the message was sent.
    ///   - isRedelivered: Whether the broker handed the message out before.
    ///   - receivedAt: When it arrived; now, by default.
    ///   - token: What the transport needs to settle it.
    public init(
        body: [UInt8],
        contentType: String? = "application/json",
        contentEncoding: String? = "utf-8",
        compression: String? = nil,
        headers: [String: String] = [:],
        userID: String? = nil,
        queue: String = "",
        timeToLive: Duration? = nil,
        isRedelivered: Bool = false,
        receivedAt: ContinuousClock.Instant = .now,
        token: Token
    ) {
        self.content = Content(
            body: body,
            contentType: contentType,
            contentEncoding: contentEncoding,
            compression: compression,
            headers: headers,
            userID: userID,
            queue: queue,
            timeToLive: timeToLive,
            isRedelivered: isRedelivered,
            receivedAt: receivedAt
        )
        self.token = token
    }
}
