internal import AMQPClient
internal import Logging
internal import Messaging
internal import Synchronization

/// Publishes over four channels of one connection, with confirms but for one of them.
///
/// A channel is closed by the broker with everything that is in flight on it, when one publish names an exchange that
/// is gone. Fanout exchanges go with their last listener (wire contract 1.4), so they have a channel of their own, and
/// so have the declarations.
final class Publisher: Sendable {
    private let declarations: AMQPChannel
    private let direct: AMQPChannel
    private let fanouts: AMQPChannel
    private let unconfirmed: AMQPChannel
    private let logger: Logger
    /// What was declared on this connection; the client restores it after a fault.
    private let declared = Mutex<Set<String>>([])
    /// Those of the last message: most that follow one another have the same.
    private let lastProperties = Mutex(MessageProperties())

    init(_ connection: AMQPConnection, logger: Logger) async throws(AMQPError) {
        let opened = await together(1...4) { (_) throws(AMQPError) in try await connection.openChannel() }
        let channels: [AMQPChannel]
        do {
            channels = try opened.get()
            _ = try await together(channels[1...2]) { (channel) throws(AMQPError) in
                try await channel.confirmPublishes()
            }.get()
        } catch {
            // The next one who publishes tries again on the same connection.
            for channel in opened.values { await channel.close() }
            throw error
        }
        self.declarations = channels[0]
        self.direct = channels[1]
        self.fanouts = channels[2]
        self.unconfirmed = channels[3]
        self.logger = logger
    }

    /// Publishes, and returns when the broker has confirmed.
    ///
    /// What the message needs is declared before its first use (wire contract 2.2).
    func publish(
        _ message: Message,
        to address: Topology.Address,
        options: SendOptions
    ) async throws(AMQPError) {
        let message = self.amqpMessage(message)
        let channel = self.channel(for: address, options)
        do {
            try await self.declare(address, until: options.deadline)
            try await channel.publish(message, to: address, options: options)
        } catch let error where address.mayBeGone(error) {
            // What had been declared was deleted since. The broker took nothing, so it can be sent again.
            self.forget(address)
            try await self.declare(address, until: options.deadline)
            try await channel.publish(message, to: address, options: options)
        }
    }

    /// Publishes without waiting; answers `nil` where something has to be declared first.
    ///
    /// `retry` sends the message again where what had been declared was deleted since.
    func post(
        _ message: Message,
        to address: Topology.Address,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void,
        retry: @escaping @Sendable () -> Void
    ) -> (any PendingSend)? {
        guard self.isDeclared(address) else { return nil }
        let mayRetry = !address.isEmpty
        let sending = self.channel(for: address, options).post(
            self.amqpMessage(message),
            exchange: address.exchange?.name ?? "",
            routingKey: address.key,
            // Without confirms nobody could be told of a return.
            mandatory: options.isMandatory && options.confirmation != .none,
            deadline: options.deadline,
            patience: options.confirmation == .patient ? .some : .none,
            onWritten: onWritten
        ) { result in
            switch result {
            case .success: completion(nil)
            case .failure(let error) where mayRetry && address.mayBeGone(error):
                self.forget(address)
                retry()
            case .failure(let error): completion(RPCError(error))
            }
        }
        return PostedMessage(sending)
    }

    private func amqpMessage(_ message: Message) -> AMQPMessage {
        AMQPMessage(properties: self.lastProperties.withLock { $0.properties(of: message) }, body: message.body)
    }

    private func channel(for address: Topology.Address, _ options: SendOptions) -> AMQPChannel {
        if options.confirmation == .none { return self.unconfirmed }
        return address.exchange?.type == .fanout ? self.fanouts : self.direct
    }

    private func isDeclared(_ address: Topology.Address) -> Bool {
        guard !address.isEmpty else { return true }
        return self.declared.withLock { declared in
            if let exchange = address.exchange, !declared.contains(exchange.name) { return false }
            if let route = address.route, !declared.contains(route.name) { return false }
            if let queue = address.queue, !declared.contains(queue.declarationName) { return false }
            return true
        }
    }

    private func forget(_ address: Topology.Address) {
        self.declared.withLock { $0.subtract(address.names) }
    }

    private func declare(
        _ address: Topology.Address,
        until deadline: ContinuousClock.Instant?
    ) async throws(AMQPError) {
        if let exchange = address.exchange {
            try await self.declare(exchange, until: deadline)
        }
        if let route = address.route {
            try await self.once(route.name) { () throws(AMQPError) in
                try await self.declarations.declare(route, logger: self.logger)
            }
        }
        if let queue = address.queue {
            try await self.once(queue.declarationName) { () throws(AMQPError) in
                try await self.declarations.declare(queue, logger: self.logger)
            }
        }
    }

    private func declare(
        _ exchange: Topology.Exchange,
        until deadline: ContinuousClock.Instant?
    ) async throws(AMQPError) {
        try await self.once(exchange.name) { () throws(AMQPError) in
            try await self.declarations.declare(exchange, until: deadline, logger: self.logger)
        }
    }

    /// Declares what was not declared on this connection before.
    private func once(_ name: String, _ body: () async throws(AMQPError) -> Void) async throws(AMQPError) {
        guard !self.declared.withLock({ $0.contains(name) }) else { return }
        try await body()
        self.declared.withLock { _ = $0.insert(name) }
    }
}

extension Topology.Route {
    fileprivate var name: String { self.queue.name + " of " + self.exchange.name }
}

extension Topology.Queue {
    /// Apart from an exchange's of the same name.
    fileprivate var declarationName: String { "queue " + self.name }
}

extension Topology.Address {
    /// Whether there is nothing to be declared for it.
    fileprivate var isEmpty: Bool {
        if case .none = self.exchange, case .none = self.route, case .none = self.queue { true } else { false }
    }

    /// Under which names it is remembered what was declared.
    fileprivate var names: [String] {
        [self.exchange?.name, self.route?.name, self.queue?.declarationName].compactMap { $0 }
    }

    /// Whether an error may come of something that the publisher had declared and that is deleted.
    fileprivate func mayBeGone(_ error: AMQPError) -> Bool {
        switch error.code {
        case .notFound: self.exchange != nil
        // Where the queues are others' to declare, it only says that nobody serves the address.
        case .unroutable: self.route != nil || self.queue != nil
        default: false
        }
    }
}

extension AMQPChannel {
    fileprivate func publish(
        _ message: AMQPMessage,
        to address: Topology.Address,
        options: SendOptions
    ) async throws(AMQPError) {
        try await self.publish(
            message,
            exchange: address.exchange?.name ?? "",
            routingKey: address.key,
            mandatory: options.isMandatory,
            deadline: options.deadline
        )
    }
}

/// The properties of messages as oslo sends them: persistent, although most queues are not (wire contract 2.2).
private struct MessageProperties {
    private static let plain = {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.deliveryMode = .persistent
        properties.priority = 0
        properties.headers = [:]
        return properties
    }()

    private var headers: [String: String] = [:]
    private var timeToLive: Duration?
    private var properties = Self.plain

    mutating func properties(of message: Message) -> AMQPProperties {
        if message.headers.isEmpty, message.timeToLive == nil { return Self.plain }
        if message.timeToLive != self.timeToLive || message.headers != self.headers {
            self.headers = message.headers
            self.timeToLive = message.timeToLive
            self.properties = Self.plain
            self.properties.headers = message.headers.mapValues { .string($0) }
            self.properties.expiration = message.timeToLive
        }
        return self.properties
    }
}
