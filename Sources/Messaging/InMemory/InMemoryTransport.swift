internal import Synchronization

/// A transport over an ``InMemoryBroker``: for fast tests, and for programs of one process.
///
/// ```swift
/// let broker = InMemoryBroker()
/// let transport = InMemoryTransport(broker)
/// ```
public final class InMemoryTransport: Transport {
    /// The calls that wait for a reply over this transport.
    public let replies = ReplyRouter()

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
    private let state = Mutex(State())

    /// Creates a transport.
    ///
    /// - Parameters:
    ///   - broker: The broker that it shares with its peers.
    ///   - exchange: The control exchange; `openstack` by default.
    public init(_ broker: InMemoryBroker, exchange: String = "openstack") {
        self.broker = broker
        self.exchange = exchange
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
            self.broker.declare(name, boundTo: nil)
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
        self.broker.declare(name, boundTo: nil)
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
        if let deadline = options.deadline, deadline <= .now {
            throw RPCError(.timeout, "the deadline had passed before the message was sent")
        }
        do {
            try await self.broker.waitUntilUnblocked(deadline: options.deadline)
        } catch {
            throw RPCError(.blocked, "the broker has stopped all publishers and did not resume in time", cause: error)
        }
        let isRouted =
            switch destination {
            case .topic(let topic, let exchange):
                self.broker.publish(message, exchange: exchange ?? self.exchange, key: topic)
            case .server(let server, let topic, let exchange):
                self.broker.publish(message, exchange: exchange ?? self.exchange, key: "\(topic).\(server)")
            case .fanout(let topic):
                self.broker.publish(message, exchange: "\(topic)_fanout", key: "")
            case .queue(let name):
                self.broker.publish(message, exchange: nil, key: name)
            }
        guard isRouted || !options.isMandatory else {
            throw RPCError(.noSuchServer, "no queue takes what is sent to \(destination)")
        }
    }

    /// Listens on a server's addresses; see ``Transport``.
    ///
    /// - Parameters:
    ///   - target: Topic and server; both are needed.
    ///   - prefetch: How many unacknowledged messages each of the three queues may have here.
    ///   - onDeliveries: Called with what has arrived, in order; must return at once.
    /// - Returns: What settles the deliveries and ends the listening.
    /// - Throws: `RPCError`: `invalidTarget`, `closed`.
    public func listen(
        on target: Target,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        try self.checkOpen()
        let target = try target.validated()
        guard let server = target.server else {
            throw RPCError(.invalidTarget, "a listener needs a server name beside topic '\(target.topic)'")
        }
        let listener = InMemoryListener(
            self.broker,
            topic: target.topic,
            server: server,
            exchange: target.exchange ?? self.exchange,
            prefetch: prefetch,
            onDeliveries: onDeliveries
        )
        listener.open()
        self.state.withLock { $0.listeners.append(listener) }
        return listener
    }

    /// Ends the transport as a crash or a lost connection would: everything unacknowledged goes back to the broker, and
    /// the listeners' consumers are there again at once.
    public func interrupt() {
        for listener in self.state.withLock(\.listeners) { listener.reopen() }
    }

    /// Closes the transport; see ``Transport``.
    public func close() async {
        let (listeners, replyQueue) = self.state.withLock { state in
            state.isClosed = true
            defer { state.listeners = [] }
            return (state.listeners, state.replyQueue)
        }
        for listener in listeners { await listener.close() }
        if case .open(let name, let consumer) = replyQueue {
            self.broker.cancel([consumer])
            self.broker.deleteQueue(name)
        }
        self.replies.close(with: RPCError(.closed, "the transport was closed"))
    }

    private func checkOpen() throws(RPCError) {
        guard !self.state.withLock(\.isClosed) else { throw RPCError(.closed, "the transport was closed") }
    }
}
