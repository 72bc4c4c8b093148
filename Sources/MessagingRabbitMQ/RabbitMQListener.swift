internal import AMQPClient
internal import Logging
internal import Messaging

/// A server's three queues and the consumers on them, on a channel of its own.
final class RabbitMQListener: Listener {
    private let channel: AMQPChannel
    private let consumerTags: [String]
    private let fanoutQueue: String?
    private let logger: Logger

    /// Declares and consumes; returns when the broker has confirmed all of it.
    init(
        on connection: AMQPConnection,
        routes: [Topology.Route],
        prefetch: Int,
        logger: Logger,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(AMQPError) {
        let channel = try await connection.openChannel()
        do {
            for route in routes { try await channel.declare(route, logger: logger) }
            // Per consumer: RabbitMQ's meaning of "not global", and what quorum queues allow.
            try await channel.setPrefetch(count: UInt16(clamping: max(1, prefetch)))
            var tags: [String] = []
            for (index, route) in routes.enumerated() {
                let tag = try await channel.consume(queue: route.queue.name, tag: "\(index + 1)") { deliveries in
                    onDeliveries(deliveries.map { Delivery($0) })
                } onCancelled: { cancellation in
                    logger.info(
                        "queue was taken away",
                        metadata: ["queue": "\(route.queue.name)", "reason": "\(cancellation)"]
                    )
                }
                tags.append(tag)
            }
            self.consumerTags = tags
        } catch {
            await channel.close()
            throw error
        }
        self.channel = channel
        self.fanoutQueue = routes.first { $0.exchange.type == .fanout }?.queue.name
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

extension Delivery {
    init(_ delivery: AMQPDelivery) {
        let properties = delivery.message.properties
        self.init(
            body: delivery.message.body,
            contentType: properties.contentType,
            contentEncoding: properties.contentEncoding,
            compression: properties.headers?["compression"]?.string,
            timeToLive: properties.expiration,
            isRedelivered: delivery.redelivered,
            token: Token(tag: delivery.deliveryTag.number, generation: delivery.deliveryTag.epoch)
        )
    }

    fileprivate var tag: AMQPDeliveryTag {
        AMQPDeliveryTag(number: self.token.tag, epoch: self.token.generation)
    }
}
