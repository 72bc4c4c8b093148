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
        for index in queues.indices { consume(index) }
    }

    /// Everything unacknowledged goes back, and the consumers begin anew.
    func reopen() {
        let consumers = state.withLock { state in
            guard state.isConsuming else { return [UInt64]() }
            state.generation += 1
            defer { state.consumers = [] }
            return state.consumers
        }
        guard !consumers.isEmpty else { return }
        broker.cancel(consumers)
        broker.requeueAll(of: consumers)
        open()
    }

    private func consume(_ index: Int) {
        let (name, route) = queues[index]
        let generation = state.withLock(\.generation)
        broker.declare(name, boundTo: route)
        let consumer = broker.consume(name, prefetch: prefetch) { [onDeliveries] deliveries in
            onDeliveries(deliveries.map { $0.with(generation: generation) })
        } onCancelled: { [weak self] in
            // The queue was deleted under the consumer: declare and consume it again, as after a `basic.cancel`.
            guard let self, self.state.withLock(\.isConsuming) else { return }
            self.consume(index)
        }
        state.withLock { $0.consumers.append(consumer) }
    }

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        let generation = state.withLock(\.generation)
        let current = deliveries.filter { $0.token.generation == generation }
        let settled = broker.acknowledge(current.map(\.token.tag))
        return current.filter { settled.contains($0.token.tag) }
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        broker.settle(deliveries.map(\.token.tag), requeue: requeue)
    }

    func stopConsuming() async {
        let consumers = state.withLock { state in
            state.isConsuming = false
            return state.consumers
        }
        broker.cancel(consumers)
    }

    func close() async {
        await stopConsuming()
        broker.requeueAll(of: state.withLock(\.consumers))
        // A fanout queue belongs to its listener alone (wire contract 1.4); the others wait for the next one.
        broker.deleteQueue(queues[2].name)
    }
}

extension Delivery {
    fileprivate func with(generation: UInt64) -> Delivery {
        Delivery(
            body: body,
            contentType: contentType,
            contentEncoding: contentEncoding,
            compression: compression,
            timeToLive: timeToLive,
            isRedelivered: isRedelivered,
            receivedAt: receivedAt,
            token: Token(tag: token.tag, generation: generation)
        )
    }
}
