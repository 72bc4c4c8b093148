internal import AMQPClient
internal import Glibc
public import Logging
public import Messaging
internal import Synchronization

/// The transport over RabbitMQ, in oslo.messaging's topology and with its messages (wire contract 1 and 2).
///
/// ```swift
/// let transport = RabbitMQTransport(try RabbitMQConfiguration(url: "rabbit://guest:guest@localhost:5672/"))
/// ```
///
/// It has three connections, made when they are first needed: one to consume and one to publish, so that a broker that
/// stops publishers (a memory alarm) does not stop acknowledgements, and one for questions about a worker, so that these
/// are answered however much work has piled up. All come back by themselves after a fault, with all that was declared.
public final class RabbitMQTransport: Transport {
    /// The calls that wait for a reply over this transport.
    public let replies = ReplyRouter()
    /// The continuous clock.
    public let clock: any MessagingClock = ContinuousClock()
    /// What the configuration says of replies that find no queue.
    public var replyRetryLimit: Duration? { self.configuration.replyRetryLimit }
    /// What the configuration says of the broker's patience.
    public var acknowledgementLimit: Duration? { self.configuration.consumerTimeout }
    /// The threads of the connections: what a task waits for is read there.
    public var taskExecutor: (any TaskExecutor)? { AMQPTaskExecutor.shared }
    /// The users of the broker's addresses.
    public let users: Set<String>

    private let configuration: RabbitMQConfiguration
    private let topology: Topology
    private let logger: Logger
    let consuming: AMQPConnection
    let publishing: AMQPConnection
    let control: AMQPConnection
    private let consumingIsOpen: Once<Void>
    private let publisher: Once<Publisher>
    private let controlPublisher: Once<Publisher>
    private let inspection: Once<AMQPChannel>
    private let replyQueue: Once<ReplyQueue>
    private let isClosed = Mutex(false)

    /// Creates a transport; nothing is connected before its first use.
    ///
    /// - Parameters:
    ///   - configuration: The broker's address, and how queues are made.
    ///   - logger: Where connections and recoveries are told of; never passwords or bodies.
    public init(_ configuration: RabbitMQConfiguration, logger: Logger = Logger(label: "steward.rabbitmq")) {
        self.configuration = configuration
        self.users = Set(configuration.connection.hosts.map(\.user))
        self.logger = logger
        if !configuration.optionsWithoutEffect.isEmpty {
            let names = configuration.optionsWithoutEffect.joined(separator: ", ")
            logger.info("options of the transport URL have no effect here", metadata: ["options": "\(names)"])
        }
        let topology = Topology(configuration: configuration)
        self.topology = topology
        let consuming = Self.connection(configuration, role: "consume", logger: logger)
        let publishing = Self.connection(configuration, role: "publish", logger: logger)
        let control = Self.connection(configuration, role: "control", logger: logger)
        self.consuming = consuming
        self.publishing = publishing
        self.control = control
        // What is missing for one is missing for the other, but may be there again before that looks.
        for (one, other) in [(consuming, control), (control, consuming)] {
            one.onStateChange { [weak other] state in
                if case .recovering(let error) = state, error.code == .notFound { other?.checkTopologySoon() }
            }
        }
        let consumingIsOpen = Once<Void> { try await Self.open(consuming, topology) }
        self.consumingIsOpen = consumingIsOpen
        self.publisher = Once<Publisher> {
            try await Self.open(publishing, topology)
            return try await Publisher(publishing, logger: logger)
        }
        self.controlPublisher = Once<Publisher> {
            try await Self.open(control, topology)
            return try await Publisher(control, logger: logger)
        }
        self.inspection = Once<AMQPChannel> {
            try await consumingIsOpen.value(until: nil)
            return try await consuming.openChannel()
        }
        self.replyQueue = Once<ReplyQueue> { [replies] in
            try await consumingIsOpen.value(until: nil)
            return try await Self.openReplyQueue(on: consuming, topology: topology, replies: replies, logger: logger)
        }
    }

    private static func connection(
        _ configuration: RabbitMQConfiguration,
        role: String,
        logger: Logger
    ) -> AMQPConnection {
        var settings = configuration.connection
        if settings.connectionName.isEmpty {
            // As oslo names them (wire contract 2.1): an operator looks for the program and its process.
            let program = CommandLine.arguments.first?.split(separator: "/").last ?? "steward"
            settings.connectionName = "\(program):\(getpid())"
        }
        settings.connectionName += ":\(role)"
        // What a peer makes anew after a restart of the broker, it may make otherwise (wire contract 1.3).
        settings.adoptsDurability = true
        settings.auditInterval = configuration.topologyCheckInterval
        var logger = logger
        logger[metadataKey: "connection"] = "\(role)"
        return AMQPConnection(settings, logger: logger)
    }

    private static func open(_ connection: AMQPConnection, _ topology: Topology) async throws {
        try topology.configuration.validate()
        // A service is started before its broker as often as after it: by default it waits.
        try await connection.open(timeout: topology.configuration.startTimeout ?? .seconds(365 * 86_400))
        topology.rules.note(version: connection.brokerVersion)
    }

    /// Connects without waiting for the first message: a program that starts can tell at once whether its broker is
    /// there.
    ///
    /// - Parameter timeout: How long to try; `nil` for the configuration's `startTimeout`.
    /// - Throws: `RPCError` with the code `unreachable`.
    public func open(timeout: Duration? = nil) async throws(RPCError) {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        try await self.waiting(for: self.publishing) { _ = try await self.publisher.value(until: deadline) }
        try await self.waiting(for: self.consuming) { try await self.consumingIsOpen.value(until: deadline) }
    }

    // MARK: Transport

    /// Opens the reply queue at the first call; see `Transport`.
    ///
    /// - Parameter deadline: When to give up; `nil` for never.
    /// - Returns: The queue's name.
    /// - Throws: `RPCError`, as `Transport` says.
    public func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        if let queue = self.replyQueue.current { return queue.name }
        return try await self.waiting(for: self.consuming) { try await self.replyQueue.value(until: deadline) }.name
    }

    /// Sends a message and returns when the broker has confirmed it; see `Transport`.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    /// - Throws: `RPCError`, as `Transport` says.
    public func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        if let deadline = options.deadline, deadline <= .now {
            throw RPCError(.timeout, "the deadline had passed before the message was sent")
        }
        let options = self.adapted(options, to: destination)
        let message = try await self.configuration.compression?.packed(message) ?? message
        let publisher = try await self.publisher(for: options)
        // Not before the broker is known, which has a say in how queues are.
        let address: Topology.Address
        if let delay = options.delay {
            guard case .queue(let name) = destination else {
                throw RPCError(.invalidTarget, "only a message to a queue by its name can be delayed")
            }
            address = try self.topology.delayed(name, by: delay)
        } else {
            address = self.topology.address(of: destination)
        }
        do {
            try await publisher.publish(message, to: address, options: options)
        } catch {
            throw RPCError(error)
        }
    }

    /// Sends a message without waiting for what becomes of it; see `Transport`.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    ///   - onWritten: Called when the message is written.
    ///   - completion: Called once, with the error if there was one.
    /// - Returns: The message on its way.
    @discardableResult
    public func post(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void
    ) -> any PendingSend {
        let publisher = options.lane == .control ? self.controlPublisher : self.publisher
        // What has to wait for something, or takes its time, is done in a task.
        if options.delay == nil, self.configuration.compression == nil, let publisher = publisher.current {
            let posted = publisher.post(
                message,
                to: self.topology.address(of: destination),
                options: self.adapted(options, to: destination),
                onWritten: onWritten,
                completion: completion
            ) {
                _ = self.postInTask(
                    message,
                    to: destination,
                    options: options,
                    onWritten: onWritten,
                    completion: completion
                )
            }
            if let posted { return posted }
        }
        return self.postInTask(message, to: destination, options: options, onWritten: onWritten, completion: completion)
    }

    private func adapted(_ options: SendOptions, to destination: Destination) -> SendOptions {
        var options = options
        // Replies go to queues by their names (wire contract 1.3, `direct_mandatory_flag`).
        if !self.configuration.repliesAreMandatory, case .queue = destination { options.isMandatory = false }
        return options
    }

    private func publisher(for options: SendOptions) async throws(RPCError) -> Publisher {
        let (publisher, connection) =
            options.lane == .control ? (self.controlPublisher, self.control) : (self.publisher, self.publishing)
        if let current = publisher.current { return current }
        return try await self.waiting(for: connection) { try await publisher.value(until: options.deadline) }
    }

    /// Listens; see `Transport`.
    ///
    /// - Parameters:
    ///   - source: Where the messages come from.
    ///   - prefetch: How many unacknowledged messages each queue may have here, unless the configuration says it.
    ///   - onDeliveries: Called with what has arrived, in order; must return at once.
    /// - Returns: What settles the deliveries and ends the listening.
    /// - Throws: `RPCError`, as `Transport` says.
    public func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        var lease: QueueNumbers.Lease?
        if case .server = source, !self.configuration.usesStreamForFanout { lease = try self.topology.takeNumber() }
        // Before anything is connected: a target that cannot be served costs nothing.
        _ = try self.topology.queues(of: source, stableName: lease?.suffix)
        let connection: AMQPConnection
        if case .control = source {
            connection = self.control
            _ = try await self.publisher(for: SendOptions(lane: .control))
        } else {
            connection = self.consuming
            try await self.waiting(for: connection) { try await self.consumingIsOpen.value(until: nil) }
        }
        let queues = try self.topology.queues(of: source, stableName: lease?.suffix)
        // What is configured is meant for servers; who looks at one queue knows how much he has to see.
        let isServer = queues.count > 1
        do {
            return try await RabbitMQListener(
                on: connection,
                queues: queues,
                arguments: self.topology.consumerArguments,
                lease: lease,
                prefetch: isServer ? self.configuration.prefetch ?? prefetch : prefetch,
                logger: self.logger,
                onDeliveries: onDeliveries
            )
        } catch let error where error.code == .notFound && !isServer {
            throw RPCError(.noSuchServer, "there is no such queue: \(error)", cause: error)
        } catch {
            throw RPCError(error)
        }
    }

    /// Looks at a queue; see `Transport`.
    ///
    /// - Parameters:
    ///   - destination: What the queue stands for.
    ///   - deadline: When to give up; `nil` for never.
    /// - Returns: What is in the queue, or `nil` where there is none.
    /// - Throws: `RPCError`, as `Transport` says.
    public func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        guard let queue = Topology.queue(of: destination) else { return nil }
        return try await self.waiting(for: self.consuming) {
            let channel = try await self.inspection.value(until: deadline)
            return try await withThrowingTaskGroup(of: QueueStatus?.self) { group in
                defer { group.cancelAll() }
                group.addTask {
                    do {
                        let status = try await channel.declareQueuePassively(queue)
                        return QueueStatus(consumers: status.consumerCount, messages: status.messageCount)
                    } catch let error as AMQPError where error.code == .notFound {
                        return nil
                    }
                }
                if let deadline {
                    group.addTask {
                        try await ContinuousClock().sleep(until: deadline)
                        throw DeadlinePassed()
                    }
                }
                return try await group.next() ?? nil
            }
        }
    }

    /// Closes the connections; see `Transport`.
    public func close() async {
        // They were handed over with the promise to be sent, if the broker can be reached.
        await self.replies.writeCasts(within: self.configuration.connection.closeTimeout)
        let isFirst = self.isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        self.replies.close(with: RPCError(.closed, "the transport was closed"))
        let queue = self.replyQueue.current
        if let queue, queue.lease == nil {
            // Its name is unique, so that nobody else can need it, and a program that is run often would leave many.
            await briefly("delete the reply queue", logger: self.logger) {
                try await queue.channel.deleteQueue(queue.name)
            }
        }
        await queue?.unpacker.close()
        await self.publishing.close()
        await self.consuming.close()
        await self.control.close()
        queue?.lease?.release()
    }

    // MARK: Support

    /// Waits for something that needs a connection, and says of a deadline that passed why there was none.
    private func waiting<Value: Sendable>(
        for connection: AMQPConnection,
        _ body: () async throws -> Value
    ) async throws(RPCError) -> Value {
        guard !self.isClosed.withLock({ $0 }) else { throw RPCError(.closed, "the transport was closed") }
        do {
            return try await body()
        } catch let error as AMQPError where error.code == .timeout {
            // A broker that takes the connection and then says nothing: the request has not begun its way yet.
            throw RPCError(.unreachable, error.description, cause: error)
        } catch let error as AMQPError {
            throw RPCError(error)
        } catch is DeadlinePassed {
            throw self.unreachable(connection)
        } catch let error as RPCError {
            throw error
        } catch {
            throw RPCError(.closed, "waiting for the broker was cancelled", cause: error)
        }
    }

    private func unreachable(_ connection: AMQPConnection) -> RPCError {
        let reason: AMQPError
        if case .recovering(let trouble) = connection.state {
            reason = trouble
        } else if let error = connection.lastConnectError {
            reason = error
        } else {
            return RPCError(.unreachable, "the broker did not answer before the deadline")
        }
        return RPCError(.unreachable, "the broker was not reached before the deadline: \(reason)", cause: reason)
    }

    private struct ReplyQueue: Sendable {
        let name: String
        let channel: AMQPChannel
        let unpacker: Unpacker
        let lease: QueueNumbers.Lease?
    }

    private static func openReplyQueue(
        on connection: AMQPConnection,
        topology: Topology,
        replies: ReplyRouter,
        logger: Logger
    ) async throws -> ReplyQueue {
        let lease = try topology.takeNumber()
        let queue = topology.transientQueue("reply_", stableName: lease?.suffix)
        let unpacker = Unpacker(awaitsSettling: false) { replies.receive($0) }
        let channel = try await connection.openChannel()
        do {
            try await channel.declare(queue, logger: logger)
            // Without acknowledgement: a reply means something only to a caller that waits here and now, and a third of
            // a client's work would be acknowledging.
            _ = try await channel.consume(
                queue: queue.name,
                noAck: true,
                exclusive: queue.isExclusive,
                arguments: topology.consumerArguments
            ) { deliveries in
                unpacker.receive(deliveries.map { Delivery($0, from: queue.name) })
            } onCancelled: { cancellation in
                logger.info("reply queue was taken away", metadata: ["reason": "\(cancellation)"])
            }
        } catch {
            // The next call tries again on the same connection, and with another name.
            await channel.close()
            await channel.forgetQueue(queue.name)
            throw error
        }
        return ReplyQueue(name: queue.name, channel: channel, unpacker: unpacker, lease: lease)
    }
}
