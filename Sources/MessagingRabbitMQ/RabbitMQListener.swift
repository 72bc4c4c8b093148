internal import AMQPClient
internal import Logging
internal import Messaging

/// A listener's queues and the consumers on them, on a channel of its own.
final class RabbitMQListener: Listener {
    private let channel: AMQPChannel
    private let consumerTags: [String]
    private let fanoutQueue: String?
    private let lease: QueueNumbers.Lease?
    private let stream: StreamPosition?
    private let lastingQueues: Set<String>
    private let unpacker: Unpacker
    private let logger: Logger

    /// Declares and consumes; returns when the broker has confirmed all of it.
    init(
        on connection: AMQPConnection,
        queues: [Topology.ConsumedQueue],
        arguments: AMQPTable = [:],
        lease: QueueNumbers.Lease? = nil,
        prefetch: Int,
        logger: Logger,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(AMQPError) {
        // Who looks at one queue takes all that he wants to see before he settles any of it.
        let unpacker = Unpacker(awaitsSettling: queues.count > 1, onDeliveries)
        let stream = queues.contains(where: \.isStream) ? StreamPosition() : nil
        let channel = try await connection.openChannel()
        do {
            _ = try await together(queues) { (queue) throws(AMQPError) in
                switch queue {
                case .bound(let route): try await channel.declare(route, logger: logger)
                case .declared(let queue): try await channel.declare(queue, logger: logger)
                case .existing: break
                }
            }.get()
            // Per consumer: RabbitMQ's meaning of "not global", and what quorum queues allow.
            try await channel.setPrefetch(count: UInt16(clamping: max(1, prefetch)))
            self.consumerTags = try await together(queues.enumerated()) { (index, queue) throws(AMQPError) in
                let name = queue.name
                let position = queue.isStream ? stream : nil
                return try await channel.consume(
                    queue: name,
                    tag: "\(index + 1)",
                    exclusive: queue.isExclusive,
                    currentArguments: { position?.arguments ?? arguments },
                    onDelivery: { deliveries in
                        let new = position.map { Self.unseen(deliveries, $0, channel, logger) } ?? deliveries
                        unpacker.receive(new.map { Delivery($0, from: name) })
                    },
                    onCancelled: { cancellation in
                        position?.reset()
                        let metadata: Logger.Metadata = ["queue": "\(name)", "reason": "\(cancellation)"]
                        logger.info("queue was taken away", metadata: metadata)
                    }
                )
            }.get()
        } catch {
            await channel.close()
            // The next listener may have other ones.
            for queue in queues { await channel.forgetQueue(queue.name) }
            await unpacker.close()
            throw error
        }
        self.channel = channel
        self.fanoutQueue = queues.lazy.compactMap(\.fanoutQueue).first
        self.lastingQueues = Set(queues.filter(\.isLasting).map(\.name))
        self.lease = lease
        self.stream = stream
        self.unpacker = unpacker
        self.logger = logger
    }

    /// The messages of a stream that were not handed up and settled before.
    private static func unseen(
        _ deliveries: [AMQPDelivery],
        _ position: StreamPosition,
        _ channel: AMQPChannel,
        _ logger: Logger
    ) -> [AMQPDelivery] {
        var unseen: [AMQPDelivery] = []
        var seen: [AMQPDeliveryTag] = []
        for delivery in deliveries {
            let offset = delivery.message.properties.headers?["x-stream-offset"]?.integer.map { UInt64(clamping: $0) }
            if let offset, !position.arrived(offset, Delivery.Token(delivery.deliveryTag)) {
                seen.append(delivery.deliveryTag)
            } else {
                unseen.append(delivery)
            }
        }
        if !seen.isEmpty {
            // A stream sends on only as messages are acknowledged. Not a task group: this is the connection's own
            // thread, which must not wait; the task ends with the acknowledgement or its connection.
            Task { [seen] in
                do {
                    try await channel.acknowledge(seen)
                } catch {
                    logger.debug("acknowledgement is lost with its connection", metadata: ["error": "\(error)"])
                }
            }
        }
        return unseen
    }

    /// None where the fanout is a stream: that is everybody's.
    var ownFanoutQueue: String? { self.stream == nil ? self.fanoutQueue : nil }

    func lost(among deliveries: [Delivery]) -> [Delivery] {
        guard let epoch = self.channel.epoch, deliveries.contains(where: { $0.token.generation != epoch }) else {
            return []
        }
        // Another queue may have gone, with what it had, for good.
        return deliveries.filter { $0.token.generation != epoch && self.lastingQueues.contains($0.queue) }
    }

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        defer { self.unpacker.settled(deliveries) }
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
            guard try await self.channel.acknowledge(deliveries.map(\.tag)) else { return [] }
            self.stream?.settled(deliveries.lazy.map(\.token))
            return deliveries
        } catch {
            self.logger.info("acknowledgement is lost with its connection", metadata: ["error": "\(error)"])
            return []
        }
    }

    func acknowledge(_ deliveries: [Delivery], completion: @escaping @Sendable ([Delivery]) -> Void) {
        guard let generation = deliveries.first?.token.generation,
            deliveries.allSatisfy({ $0.token.generation == generation })
        else {
            // Around a reconnect; not a task group, since the connection's thread does not wait.
            Task { completion(await self.acknowledge(deliveries)) }
            return
        }
        self.channel.acknowledge(deliveries.map(\.tag)) { isWritten in
            self.unpacker.settled(deliveries)
            if isWritten { self.stream?.settled(deliveries.lazy.map(\.token)) }
            completion(isWritten ? deliveries : [])
        }
    }

    func perform(_ body: @escaping @Sendable () -> Void) {
        self.channel.perform(body)
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        defer { self.unpacker.settled(deliveries) }
        // Where the connection is gone, the broker has taken back what it had handed out.
        await briefly("give back deliveries", logger: self.logger) {
            for delivery in deliveries where try await self.channel.reject(delivery.tag, requeue: requeue) {
                self.stream?.settled([delivery.token])
            }
        }
    }

    func stopConsuming() async {
        // What is still packed goes back to the broker with the channel.
        await self.unpacker.close()
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
        await self.unpacker.close()
        await self.channel.close()
        self.lease?.release()
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
        guard case .bound(let route) = self, route.exchange.type == .fanout, !route.queue.isKept else { return nil }
        return route.queue.name
    }

    /// Whether it is certain to survive the loss of a connection, and of the broker, with what it has.
    fileprivate var isLasting: Bool {
        switch self {
        case .bound(let route): route.queue.isDurable && !route.queue.isAutoDeleted
        case .declared(let queue): queue.isDurable && !queue.isAutoDeleted
        case .existing: false
        }
    }

    fileprivate var isStream: Bool {
        guard case .bound(let route) = self else { return false }
        return route.queue.isStream
    }

    fileprivate var isExclusive: Bool {
        guard case .bound(let route) = self else { return false }
        return route.queue.isExclusive
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
            token: Token(delivery.deliveryTag)
        )
    }

    fileprivate var tag: AMQPDeliveryTag {
        AMQPDeliveryTag(number: self.token.tag, epoch: self.token.generation)
    }
}

extension Delivery.Token {
    fileprivate init(_ tag: AMQPDeliveryTag) {
        self.init(tag: tag.number, generation: tag.epoch)
    }
}
