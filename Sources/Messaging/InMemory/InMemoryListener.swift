internal import Synchronization

/// A server's three queues at an ``InMemoryBroker``.
final class InMemoryListener: Listener {
    private struct State {
        var consumers: [UInt64] = []
        var isConsuming = true
        /// Counts reopenings, as connections do: what came before one cannot be acknowledged after it.
        var generation: UInt64 = 0
    }

    private let broker: InMemoryBroker
    private let queues: [(name: String, route: InMemoryBroker.Route)]
    private let prefetch: Int
    private let onDeliveries: @Sendable ([Delivery]) -> Void
    private let state = Mutex(State())

    init(
        _ broker: InMemoryBroker,
        topic: String,
        server: String,
        exchange: String,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) {
        self.broker = broker
        self.queues = [
            (topic, InMemoryBroker.Route(exchange: exchange, key: topic)),
            ("\(topic).\(server)", InMemoryBroker.Route(exchange: exchange, key: "\(topic).\(server)")),
            ("\(topic)_fanout_\(makeUniqueID())", InMemoryBroker.Route(exchange: "\(topic)_fanout", key: "")),
        ]
        self.prefetch = prefetch
        self.onDeliveries = onDeliveries
    }

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

    private func consume(_ index: Int) {
        let (name, route) = self.queues[index]
        let generation = self.state.withLock(\.generation)
        self.broker.declare(name, boundTo: route)
        let consumer = self.broker.consume(name, prefetch: self.prefetch) { [onDeliveries] deliveries in
            onDeliveries(deliveries.map { $0.with(generation: generation) })
        } onCancelled: { [weak self] in
            // The queue was deleted under the consumer: declare and consume it again, as after a `basic.cancel`.
            guard let self, self.state.withLock(\.isConsuming) else { return }
            self.consume(index)
        }
        self.state.withLock { $0.consumers.append(consumer) }
    }

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
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
        self.broker.requeueAll(of: self.state.withLock(\.consumers))
        // A fanout queue belongs to its listener alone (wire contract 1.4); the others wait for the next one.
        self.broker.deleteQueue(self.queues[2].name)
    }
}

extension Delivery {
    fileprivate func with(generation: UInt64) -> Delivery {
        Delivery(
            body: self.body,
            contentType: self.contentType,
            contentEncoding: self.contentEncoding,
            compression: self.compression,
            timeToLive: self.timeToLive,
            isRedelivered: self.isRedelivered,
            receivedAt: self.receivedAt,
            token: Token(tag: self.token.tag, generation: generation)
        )
    }
}
