internal import Synchronization

/// A listener's queues at an ``InMemoryBroker``: the three of a server, or one.
final class InMemoryListener: Listener {
    struct Queue: Sendable {
        let name: String
        var route: InMemoryBroker.Route?
        /// Whether it is this listener's alone, and goes with it.
        var isOwn = false
        /// How it is declared.
        var arguments = InMemoryQueue.Arguments()
    }

    private struct State {
        var consumers: [UInt64] = []
        var isConsuming = true
        var isClosed = false
        /// Counts reopenings, as connections do: what came before one cannot be acknowledged after it.
        var generation: UInt64 = 0
    }

    private let broker: InMemoryBroker
    private let queues: [Queue]
    private let prefetch: Int
    private let onDeliveries: @Sendable ([Delivery]) -> Void
    private let state = Mutex(State())

    init(
        _ broker: InMemoryBroker,
        queues: [Queue],
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) {
        self.broker = broker
        self.queues = queues
        self.prefetch = prefetch
        self.onDeliveries = onDeliveries
    }

    var ownFanoutQueue: String? { self.queues.first(where: \.isOwn)?.name }

    func open() {
        for index in self.queues.indices { self.consume(index) }
    }

    /// Everything unacknowledged goes back, and the consumers begin anew.
    func reopen() {
        let consumers = self.state.withLock { state in
            guard state.isConsuming else { return [UInt64]() }
            state.generation += 1
            defer { state.consumers = [] }
            return state.consumers
        }
        guard !consumers.isEmpty else { return }
        self.broker.cancel(consumers)
        self.broker.requeueAll(of: consumers)
        self.open()
    }

    /// The process that listens is gone: what it had not acknowledged goes back, and its queues stay.
    func abandon() {
        let consumers = self.state.withLock { state in
            state.isConsuming = false
            state.isClosed = true
            state.generation += 1
            return state.consumers
        }
        self.broker.cancel(consumers)
        self.broker.requeueAll(of: consumers)
    }

    /// Whether it listens no more, and will not again.
    var isClosed: Bool { self.state.withLock(\.isClosed) }

    private func consume(_ index: Int) {
        let queue = self.queues[index]
        let generation = self.state.withLock(\.generation)
        self.broker.declare(queue.name, boundTo: queue.route, queue.arguments)
        let consumer = self.broker.consume(queue.name, prefetch: self.prefetch) { [onDeliveries] deliveries in
            onDeliveries(deliveries.map { $0.with(generation: generation) })
        } onCancelled: { [weak self] in
            // The queue was deleted under the consumer: declare and consume it again, as after a `basic.cancel`.
            guard let self, self.state.withLock(\.isConsuming) else { return }
            self.consume(index)
        }
        self.state.withLock { $0.consumers.append(consumer) }
    }

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        self.acknowledged(deliveries)
    }

    func acknowledge(_ deliveries: [Delivery], completion: @escaping @Sendable ([Delivery]) -> Void) {
        completion(self.acknowledged(deliveries))
    }

    private func acknowledged(_ deliveries: [Delivery]) -> [Delivery] {
        let generation = self.state.withLock(\.generation)
        let current = deliveries.filter { $0.token.generation == generation }
        let settled = self.broker.acknowledge(current.map(\.token.tag))
        return current.filter { settled.contains($0.token.tag) }
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        self.broker.settle(deliveries.map(\.token.tag), requeue: requeue)
    }

    func stopConsuming() async {
        let consumers = self.state.withLock { state in
            state.isConsuming = false
            return state.consumers
        }
        self.broker.cancel(consumers)
    }

    func close() async {
        await self.stopConsuming()
        let consumers = self.state.withLock { state in
            state.isClosed = true
            return state.consumers
        }
        self.broker.requeueAll(of: consumers)
        // A fanout queue belongs to its listener alone (wire contract 1.4); the others wait for the next one.
        for queue in self.queues where queue.isOwn { self.broker.deleteQueue(queue.name) }
    }
}

extension Delivery {
    fileprivate func with(generation: UInt64) -> Delivery {
        Delivery(
            body: self.body,
            contentType: self.contentType,
            contentEncoding: self.contentEncoding,
            compression: self.compression,
            headers: self.headers,
            userID: self.userID,
            queue: self.queue,
            timeToLive: self.timeToLive,
            isRedelivered: self.isRedelivered,
            receivedAt: self.receivedAt,
            token: Token(tag: self.token.tag, generation: generation)
        )
    }
}

extension InMemoryQueue.Arguments {
    /// Those of a fanout or reply queue, which outlives its process for half an hour (wire contract 1.1).
    static let transient = Self(expiry: .seconds(1_800))
}

extension InMemoryListener.Queue {
    /// The queues of a source.
    static func all(of source: Source, exchange: String) throws(RPCError) -> [InMemoryListener.Queue] {
        switch source {
        case .server(let target): try self.server(target, exchange: exchange, InMemoryQueue.Arguments())
        case .control(let target):
            try self.server(target.control, exchange: exchange, InMemoryQueue.Arguments(isAutoDeleted: true))
        case .queue(let name): [Self(name: name)]
        case .deadLetters(let topic): [Self(name: self.deadLetters(topic))]
        }
    }

    static func deadLetters(_ topic: String) -> String { "\(topic)_dead_letters" }

    private static func server(
        _ target: Target,
        exchange: String,
        _ arguments: InMemoryQueue.Arguments
    ) throws(RPCError) -> [InMemoryListener.Queue] {
        let target = try target.validated()
        guard let server = target.server else {
            throw RPCError(.invalidTarget, "a listener needs a server name beside topic '\(target.topic)'")
        }
        let topic = target.topic
        let exchange = target.exchange ?? exchange
        let host = "\(topic).\(server)"
        return [
            Self(name: topic, route: .init(exchange: exchange, key: topic), arguments: arguments),
            Self(name: host, route: .init(exchange: exchange, key: host), arguments: arguments),
            Self(
                name: "\(topic)_fanout_\(makeUniqueID())",
                route: .init(exchange: "\(topic)_fanout", key: ""),
                isOwn: true,
                arguments: .transient
            ),
        ]
    }
}
