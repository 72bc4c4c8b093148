internal import Synchronization

/// A transport over an ``InMemoryBroker``: for fast tests, and for programs of one process.
///
/// ```swift
/// let broker = InMemoryBroker()
/// let transport = InMemoryTransport(broker)
/// ```
public final class InMemoryTransport: Transport {
    /// The calls that wait for a reply over this transport.
    public let replies: ReplyRouter
    /// The broker's clock.
    public var clock: any MessagingClock { self.broker.clock }

    /// The one user of this transport.
    public var users: Set<String> { [self.user] }

    private enum ReplyQueue {
        case none
        case open(name: String, consumer: UInt64)
    }

    private struct State {
        var replyQueue = ReplyQueue.none
        var listeners: [InMemoryListener] = []
        var isClosed = false
    }

    private let broker: InMemoryBroker
    private let exchange: String
    private let user: String
    private let state = Mutex(State())

    /// Creates a transport.
    ///
    /// - Parameters:
    ///   - broker: The broker that it shares with its peers.
    ///   - exchange: The control exchange; `openstack` by default.
    ///   - user: The name that receivers see as that of a verified sender; `guest` by default.
    public init(_ broker: InMemoryBroker, exchange: String = "openstack", user: String = "guest") {
        self.broker = broker
        self.exchange = exchange
        self.user = user
        self.replies = ReplyRouter(clock: broker.clock)
    }

    /// Opens the reply queue at the first call; see ``Transport``.
    ///
    /// - Parameter deadline: Without a meaning here: the queue is there at once.
    /// - Returns: The queue's name.
    /// - Throws: `RPCError` with the code `closed`.
    public func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        try self.checkOpen()
        return self.state.withLock { state in
            if case .open(let name, _) = state.replyQueue { return name }
            let name = "reply_" + makeUniqueID()
            self.broker.declare(name, .transient)
            let consumer = self.consumeReplies(name)
            state.replyQueue = .open(name: name, consumer: consumer)
            return name
        }
    }

    private func consumeReplies(_ name: String) -> UInt64 {
        // Without acknowledgement: a reply means something only to a caller that waits here and now.
        self.broker.consume(name, prefetch: nil) { [replies] deliveries in
            replies.receive(deliveries)
        } onCancelled: { [weak self] in
            self?.restoreReplies(name)
        }
    }

    private func restoreReplies(_ name: String) {
        self.broker.declare(name, .transient)
        let consumer = self.consumeReplies(name)
        self.state.withLock { $0.replyQueue = .open(name: name, consumer: consumer) }
    }

    /// Sends a message; see ``Transport``.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    /// - Throws: `RPCError`: `noSuchServer`, `timeout`, `blocked`, `closed`.
    public func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        try self.checkOpen()
        if let deadline = options.deadline, deadline <= self.clock.now {
            throw RPCError(.timeout, "the deadline had passed before the message was sent")
        }
        do {
            try await self.broker.waitUntilUnblocked(deadline: options.deadline)
        } catch {
            throw RPCError(.blocked, "the broker has stopped all publishers and did not resume in time", cause: error)
        }
        if let delay = options.delay {
            guard case .queue(let name) = destination else {
                throw RPCError(.invalidTarget, "only a message to a queue by its name can be delayed")
            }
            return self.broker.publish(message, from: self.user, queue: name, after: delay)
        }
        let (exchange, key): (String?, String)
        switch destination {
        case .topic(_, let name), .server(_, _, let name):
            exchange = name ?? self.exchange
            key = Self.queue(of: destination) ?? ""
        case .fanout(let topic): (exchange, key) = ("\(topic)_fanout", "")
        case .queue(let name): (exchange, key) = (nil, name)
        case .deadLetters(let topic):
            (exchange, key) = (nil, InMemoryListener.Queue.deadLetters(topic))
            self.broker.declare(key)
        }
        let isRouted = self.broker.publish(message, from: self.user, exchange: exchange, key: key)
        guard isRouted || !options.isMandatory else {
            throw RPCError(.noSuchServer, "no queue takes what is sent to \(destination)")
        }
    }

    /// The queue that a destination stands for, by the names of wire contract 1.1.
    private static func queue(of destination: Destination) -> String? {
        switch destination {
        case .topic(let topic, _): topic
        case .server(let server, let topic, _): "\(topic).\(server)"
        case .queue(let name): name
        case .deadLetters(let topic): InMemoryListener.Queue.deadLetters(topic)
        case .fanout: nil
        }
    }

    /// Looks at a queue; see ``Transport``.
    ///
    /// - Parameters:
    ///   - destination: What the queue stands for.
    ///   - deadline: Without a meaning here: the answer is there at once.
    /// - Returns: What is in the queue, or `nil` where there is none.
    /// - Throws: `RPCError` with the code `closed`.
    public func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        try self.checkOpen()
        return Self.queue(of: destination).flatMap { self.broker.status(of: $0) }
    }

    /// Listens; see ``Transport``.
    ///
    /// - Parameters:
    ///   - source: Where the messages come from.
    ///   - prefetch: How many unacknowledged messages each queue may have here.
    ///   - onDeliveries: Called with what has arrived, in order; must return at once.
    /// - Returns: What settles the deliveries and ends the listening.
    /// - Throws: `RPCError`: `invalidTarget`, `noSuchServer`, `closed`.
    public func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        try self.checkOpen()
        if case .queue(let name) = source, self.broker.status(of: name) == nil {
            throw RPCError(.noSuchServer, "there is no queue '\(name)' to listen on")
        }
        let listener = InMemoryListener(
            self.broker,
            queues: try InMemoryListener.Queue.all(of: source, exchange: self.exchange),
            prefetch: prefetch,
            onDeliveries: onDeliveries
        )
        listener.open()
        self.state.withLock { state in
            state.listeners.removeAll(where: \.isClosed)
            state.listeners.append(listener)
        }
        return listener
    }

    /// Breaks the transport's connections: everything unacknowledged goes back to the broker, and the listeners' consumers
    /// are there again at once.
    public func interrupt() {
        for listener in self.state.withLock(\.listeners) { listener.reopen() }
    }

    /// Ends the transport as the death of its process would: everything unacknowledged goes back to the broker, and the
    /// queues stay, those of the process alone until they expire (wire contract 1.4).
    public func crash() {
        let (listeners, replyQueue) = self.end()
        for listener in listeners { listener.abandon() }
        if case .open(_, let consumer) = replyQueue { self.broker.cancel([consumer]) }
        self.replies.close(with: RPCError(.closed, "the transport's process has died"))
    }

    /// Closes the transport; see ``Transport``.
    public func close() async {
        await self.replies.writeCasts(within: .seconds(1))
        let (listeners, replyQueue) = self.end()
        for listener in listeners { await listener.close() }
        if case .open(let name, let consumer) = replyQueue {
            self.broker.cancel([consumer])
            self.broker.deleteQueue(name)
        }
        self.replies.close(with: RPCError(.closed, "the transport was closed"))
    }

    private func end() -> ([InMemoryListener], ReplyQueue) {
        self.state.withLock { state in
            state.isClosed = true
            defer {
                state.listeners = []
                state.replyQueue = .none
            }
            return (state.listeners, state.replyQueue)
        }
    }

    private func checkOpen() throws(RPCError) {
        guard !self.state.withLock(\.isClosed) else { throw RPCError(.closed, "the transport was closed") }
    }
}
