internal import AMQPClient
internal import Logging

/// Declaring with oslo's patience: what exists with another durability is taken as it is (wire contract 1.3), since a
/// peer may have made it, and it may hold messages. What differs otherwise is told, and nothing is deleted.
extension AMQPChannel {
    func declare(_ route: Topology.Route, logger: Logger) async throws(AMQPError) {
        try await self.declare(route.exchange, logger: logger)
        try await self.declare(route.queue, logger: logger)
        for _ in 0..<3 {
            do {
                return try await self.bindQueue(route.queue.name, to: route.exchange.name, routingKey: route.key)
            } catch let error where error.code == .notFound {
                // A fanout's exchange goes with its last queue: here with that of a server that stopped meanwhile.
                try await self.declare(route.exchange, logger: logger)
            }
        }
        try await self.bindQueue(route.queue.name, to: route.exchange.name, routingKey: route.key)
    }

    func declare(
        _ exchange: Topology.Exchange,
        until deadline: ContinuousClock.Instant? = nil,
        logger: Logger
    ) async throws(AMQPError) {
        func declare(durable: Bool) async throws(AMQPError) {
            try await self.declareExchange(
                exchange.name,
                type: exchange.type,
                durable: durable,
                autoDelete: exchange.isAutoDeleted,
                deadline: deadline
            )
        }
        do {
            try await declare(durable: exchange.isDurable)
        } catch let refusal where refusal.code == .preconditionFailed {
            var asked = ComparedExchange(exchange)
            let conflict = await self.conflict("exchange", exchange.name, refusal) { difference in
                asked.take(over: difference)
            } compare: { () throws(AMQPError) in
                try await self.compareExchange(
                    exchange.name,
                    type: AMQPExchangeType(asked.type),
                    durable: asked.isDurable,
                    autoDelete: asked.isAutoDeleted
                )
                return nil
            }
            try conflict.throwUnlessDurability(refusal)
            try await declare(durable: !exchange.isDurable)
            logger.info(
                "adopted what exists with another durability",
                metadata: ["name": "\(exchange.name)", "reason": "\(refusal)"]
            )
        }
    }

    func declare(_ queue: Topology.Queue, logger: Logger) async throws(AMQPError) {
        func declare(durable: Bool) async throws(AMQPError) {
            _ = try await self.declareQueue(
                queue.name,
                durable: durable,
                autoDelete: queue.isAutoDeleted,
                arguments: queue.arguments
            )
        }
        do {
            try await declare(durable: queue.isDurable)
        } catch let refusal where refusal.code == .preconditionFailed {
            var asked = ComparedQueue(queue)
            let conflict = await self.conflict("queue", queue.name, refusal) { difference in
                asked.take(over: difference)
            } compare: { () throws(AMQPError) in
                try await self.compareQueue(
                    queue.name,
                    durable: asked.isDurable,
                    autoDelete: asked.isAutoDeleted,
                    arguments: asked.arguments
                )
            }
            try conflict.throwUnlessDurability(refusal)
            try await declare(durable: !queue.isDurable)
            logger.info(
                "adopted what exists with another durability",
                metadata: ["name": "\(queue.name)", "reason": "\(refusal)"]
            )
        }
    }

    /// Finds out what differs: the broker names one property at a time, so each is asked for as it exists until nothing
    /// is left.
    private func conflict(
        _ kind: String,
        _ name: String,
        _ refusal: AMQPError,
        take: (TopologyConflict.Difference) -> Bool,
        compare: () async throws(AMQPError) -> AMQPQueueStatus?
    ) async -> TopologyConflict {
        var differences: [TopologyConflict.Difference] = []
        var status: AMQPQueueStatus?
        var answer: AMQPError? = refusal
        // Neither exchanges nor queues have more properties than this.
        while let text = answer?.replyText, differences.count < 32,
            let difference = TopologyConflict.Difference(parsing: text),
            !differences.contains(where: { $0.property == difference.property })
        {
            differences.append(difference)
            guard take(difference) else { break }
            do {
                status = try await compare()
                break
            } catch {
                // Another refusal names the next difference; what ends the search otherwise says nothing about it.
                answer = error.code == .preconditionFailed ? error : nil
            }
        }
        return TopologyConflict(
            kind: kind,
            name: name,
            differences: differences,
            messages: status?.messageCount,
            consumers: status?.consumerCount
        )
    }
}

extension TopologyConflict {
    /// Durability alone is no reason to stop: a peer chose it, and a message does not mind.
    fileprivate func throwUnlessDurability(_ refusal: AMQPError) throws(AMQPError) {
        guard self.differences.map(\.property) != ["durable"] else { return }
        // A refusal for another reason: what is asked for cannot be at all.
        guard !self.differences.isEmpty else { throw refusal }
        var error = refusal
        error.message = "it exists with other properties"
        error.cause = self
        throw error
    }
}

/// An exchange as it is asked for, property by property as it exists.
private struct ComparedExchange {
    var type: String
    var isDurable: Bool
    var isAutoDeleted: Bool

    init(_ exchange: Topology.Exchange) {
        self.type = exchange.type.description
        self.isDurable = exchange.isDurable
        self.isAutoDeleted = exchange.isAutoDeleted
    }

    /// Asks for what exists; answers whether it can.
    mutating func take(over difference: TopologyConflict.Difference) -> Bool {
        switch difference.property {
        case "durable": self.isDurable.toggle()
        case "auto_delete": self.isAutoDeleted.toggle()
        case "type":
            guard let type = difference.existing else { return false }
            self.type = type
        default: return false
        }
        return true
    }
}

/// A queue as it is asked for, property by property as it exists.
private struct ComparedQueue {
    var isDurable: Bool
    var isAutoDeleted: Bool
    var arguments: AMQPTable

    init(_ queue: Topology.Queue) {
        self.isDurable = queue.isDurable
        self.isAutoDeleted = queue.isAutoDeleted
        self.arguments = queue.arguments
    }

    /// Asks for what exists; answers whether it can.
    mutating func take(over difference: TopologyConflict.Difference) -> Bool {
        switch difference.property {
        case "durable": self.isDurable.toggle()
        case "auto_delete": self.isAutoDeleted.toggle()
        // The broker compares numbers of any width with each other, and its own arguments are numbers or texts.
        case let name where name.hasPrefix("x-"):
            self.arguments[name] = difference.existing.map { text in Int64(text).map { .int64($0) } ?? .string(text) }
        default: return false
        }
        return true
    }
}
