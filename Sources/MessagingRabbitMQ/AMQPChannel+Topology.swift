internal import AMQPClient
internal import Logging

/// Declaring with oslo's patience: what exists with another durability is taken as it is (wire contract 1.3), since a
/// peer may have made it, and it may hold messages.
extension AMQPChannel {
    func declare(_ route: Topology.Route, logger: Logger) async throws(AMQPError) {
        try await self.declare(route.exchange, logger: logger)
        try await self.declare(route.queue, logger: logger)
        try await self.bindQueue(route.queue.name, to: route.exchange.name, routingKey: route.key)
    }

    func declare(
        _ exchange: Topology.Exchange,
        until deadline: ContinuousClock.Instant? = nil,
        logger: Logger
    ) async throws(AMQPError) {
        try await self.adopting(exchange.name, logger: logger) { isDurable throws(AMQPError) in
            try await self.declareExchange(
                exchange.name,
                type: exchange.type,
                durable: isDurable ?? exchange.isDurable,
                autoDelete: exchange.isAutoDeleted,
                deadline: deadline
            )
        } other: {
            !exchange.isDurable
        }
    }

    func declare(_ queue: Topology.Queue, logger: Logger) async throws(AMQPError) {
        try await self.adopting(queue.name, logger: logger) { isDurable throws(AMQPError) in
            _ = try await self.declareQueue(
                queue.name,
                durable: isDurable ?? queue.isDurable,
                autoDelete: queue.isAutoDeleted,
                arguments: queue.arguments
            )
        } other: {
            !queue.isDurable
        }
    }

    /// Declares; where that meets a 406, declares once more with the other durability.
    ///
    /// A passive declaration would do today, but could not be restored after a restart of the broker, when what was
    /// adopted may be gone.
    private func adopting(
        _ name: String,
        logger: Logger,
        declare: (Bool?) async throws(AMQPError) -> Void,
        other: () -> Bool
    ) async throws(AMQPError) {
        do {
            try await declare(nil)
        } catch let refusal where refusal.code == .preconditionFailed {
            do {
                try await declare(other())
            } catch let error where error.code == .preconditionFailed {
                // It is something else that differs, and only the first answer is about what was asked for.
                throw refusal
            }
            logger.info(
                "adopted what exists with another durability",
                metadata: ["name": "\(name)", "reason": "\(refusal)"]
            )
        }
    }
}
