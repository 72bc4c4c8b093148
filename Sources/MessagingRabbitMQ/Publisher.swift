internal import AMQPClient
internal import Logging
internal import Messaging
internal import Synchronization

/// Publishes with confirms over three channels of one connection.
///
/// A channel is closed by the broker with everything that is in flight on it, when one publish names an exchange that
/// is gone. Fanout exchanges go with their last listener (wire contract 1.4), so they have a channel of their own, and
/// so have the declarations.
final class Publisher: Sendable {
    private let declarations: AMQPChannel
    private let direct: AMQPChannel
    private let fanouts: AMQPChannel
    private let logger: Logger
    /// What was declared on this connection; the client restores it after a fault.
    private let declared = Mutex<Set<String>>([])

    init(_ connection: AMQPConnection, logger: Logger) async throws(AMQPError) {
        var channels: [AMQPChannel] = []
        do {
            for _ in 1...3 { channels.append(try await connection.openChannel()) }
            for channel in channels[1...] { try await channel.confirmPublishes() }
        } catch {
            // The next one who publishes tries again on the same connection.
            for channel in channels { await channel.close() }
            throw error
        }
        self.declarations = channels[0]
        self.direct = channels[1]
        self.fanouts = channels[2]
        self.logger = logger
    }

    /// Publishes, and returns when the broker has confirmed.
    ///
    /// The exchange is declared before its first use (wire contract 2.2); `nil` stands for the default one.
    func publish(
        _ message: Message,
        to exchange: Topology.Exchange?,
        key: String,
        options: SendOptions
    ) async throws(AMQPError) {
        let message = AMQPMessage(message)
        guard let exchange else {
            return try await self.direct.publish(
                message,
                exchange: "",
                routingKey: key,
                mandatory: options.isMandatory,
                deadline: options.deadline
            )
        }
        let channel = exchange.type == .fanout ? self.fanouts : self.direct
        do {
            try await self.declare(exchange, until: options.deadline)
            try await channel.publish(
                message,
                exchange: exchange.name,
                routingKey: key,
                mandatory: options.isMandatory,
                deadline: options.deadline
            )
        } catch let error where error.code == .notFound {
            // The exchange was deleted since. The broker took nothing, so it can be sent again.
            self.declared.withLock { _ = $0.remove(exchange.name) }
            try await self.declare(exchange, until: options.deadline)
            try await channel.publish(
                message,
                exchange: exchange.name,
                routingKey: key,
                mandatory: options.isMandatory,
                deadline: options.deadline
            )
        }
    }

    private func declare(
        _ exchange: Topology.Exchange,
        until deadline: ContinuousClock.Instant?
    ) async throws(AMQPError) {
        guard !self.declared.withLock({ $0.contains(exchange.name) }) else { return }
        try await self.declarations.declare(exchange, until: deadline, logger: self.logger)
        self.declared.withLock { _ = $0.insert(exchange.name) }
    }
}

extension AMQPMessage {
    /// A message as oslo sends it: persistent, although most queues are not (wire contract 2.2).
    init(_ message: Message) {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.deliveryMode = .persistent
        properties.priority = 0
        properties.headers = [:]
        properties.expiration = message.timeToLive
        self.init(properties: properties, body: message.body)
    }
}
