internal import AMQPClient
internal import Logging
internal import Messaging

/// A listener's queues and the consumers on them, on a channel of its own.
final class RabbitMQListener: Listener {
    private let channel: AMQPChannel
    private let consumerTags: [String]
    private let fanoutQueue: String?
    private let logger: Logger

    /// Declares and consumes; returns when the broker has confirmed all of it.
    init(
        on connection: AMQPConnection,
        queues: [Topology.ConsumedQueue],
        prefetch: Int,
        logger: Logger,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(AMQPError) {
        let channel = try await connection.openChannel()
        do {
            for queue in queues {
                switch queue {
                case .bound(let route): try await channel.declare(route, logger: logger)
                case .declared(let queue): try await channel.declare(queue, logger: logger)
                case .existing: break
                }
            }
            // Per consumer: RabbitMQ's meaning of "not global", and what quorum queues allow.
            try await channel.setPrefetch(count: UInt16(clamping: max(1, prefetch)))
            var tags: [String] = []
            for (index, queue) in queues.enumerated() {
                let name = queue.name
                let tag = try await channel.consume(queue: name, tag: "\(index + 1)") { deliveries in
                    onDeliveries(deliveries.map { Delivery($0, from: name) })
                } onCancelled: { cancellation in
                    logger.info("queue was taken away", metadata: ["queue": "\(name)", "reason": "\(cancellation)"])
                }
                tags.append(tag)
            }
            self.consumerTags = tags
        } catch {
            await channel.close()
            throw error
        }
        self.channel = channel
        self.fanoutQueue = queues.lazy.compactMap(\.fanoutQueue).first
        self.logger = logger
    }

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        guard let generation = deliveries.first?.token.generation else { return [] }
        guard deliveries.allSatisfy({ $0.token.generation == generation }) else {
            // Around a reconnect: what came before it must not decide about what came after it.
            var acknowledged: [Delivery] = []
            for (_, group) in Dictionary(grouping: deliveries, by: \.token.generation) {
                acknowledged += await self.acknowledge(group)
            }
            return acknowledged
        }
        do {
            return try await self.channel.acknowledge(deliveries.map(\.tag)) ? deliveries : []
        } catch {
            self.logger.info("acknowledgement is lost with its connection", metadata: ["error": "\(error)"])
            return []
        }
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        // Where the connection is gone, the broker has taken back what it had handed out.
        await briefly("give back deliveries", logger: self.logger) {
            for delivery in deliveries { try await self.channel.reject(delivery.tag, requeue: requeue) }
        }
    }

    func stopConsuming() async {
        await withDiscardingTaskGroup { group in
            for tag in self.consumerTags {
                group.addTask {
                    await briefly("cancel a consumer", logger: self.logger) {
                        try await self.channel.cancelConsumer(tag)
                    }
                }
            }
        }
    }

    func close() async {
        if let fanoutQueue = self.fanoutQueue {
            // It belongs to this listener alone (wire contract 1.4); its exchange goes with it. It expires otherwise.
            await briefly("delete the fanout queue", logger: self.logger) {
                try await self.channel.deleteQueue(fanoutQueue)
            }
        }
        await self.channel.close()
    }
}

extension Topology.ConsumedQueue {
    fileprivate var name: String {
        switch self {
        case .bound(let route): route.queue.name
        case .declared(let queue): queue.name
        case .existing(let name): name
        }
    }

    fileprivate var fanoutQueue: String? {
        guard case .bound(let route) = self, route.exchange.type == .fanout else { return nil }
        return route.queue.name
    }
}

extension Delivery {
    init(_ delivery: AMQPDelivery, from queue: String) {
        let properties = delivery.message.properties
        self.init(
            body: delivery.message.body,
            contentType: properties.contentType,
            contentEncoding: properties.contentEncoding,
            compression: properties.headers?["compression"]?.string,
            headers: properties.headers?.compactMapValues(\.string) ?? [:],
            userID: properties.userID,
            queue: queue,
            timeToLive: properties.expiration,
            isRedelivered: delivery.redelivered,
            token: Token(tag: delivery.deliveryTag.number, generation: delivery.deliveryTag.epoch)
        )
    }

    fileprivate var tag: AMQPDeliveryTag {
        AMQPDeliveryTag(number: self.token.tag, epoch: self.token.generation)
    }
}
