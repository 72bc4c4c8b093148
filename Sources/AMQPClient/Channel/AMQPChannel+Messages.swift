/// Publishing and consuming.
extension AMQPChannel {
    /// Sends a message.
    ///
    /// After ``confirmPublishes()`` it returns when the broker is responsible for the message; many calls may be under
    /// way at the same time, and their confirms are awaited together. Otherwise it returns when the message is written.
    /// While the connection is lost or blocked, the message waits.
    ///
    /// - Parameters:
    ///   - message: Body and properties.
    ///   - exchange: Where it goes; empty: directly to the queue that the routing key names.
    ///   - routingKey: What the exchange routes by.
    ///   - mandatory: Whether it must reach a queue. With confirms, the call then fails if it fits none.
    ///   - deadline: Until when it may wait; by default ``AMQPConfiguration/operationTimeout`` from now.
    /// - Throws: ``AMQPError`` with the code `unroutable` (mandatory, and no queue fits), `rejected` (the broker refused
    ///   it), `connectionLost` (sent, and then the connection was lost: whether it arrived is unknown), `timeout` or
    ///   `blocked` (the deadline passed), `notFound` (no such exchange), `messageTooLarge`, `invalidArgument`,
    ///   `cancelled` (the calling task was).
    public func publish(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool = false,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(AMQPError) {
        let request = self.request(message, exchange, routingKey, mandatory, deadline, isPatient: false)
        if Task.isCancelled {
            throw AMQPError(.cancelled, operation: request.fullOperation, message: "the calling task was cancelled")
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                request.submit { continuation.resume(returning: $0) }
            }
        } onCancel: {
            request.withdraw()
        }
        try result.get()
    }

    /// Sends a message without waiting for what becomes of it.
    ///
    /// As ``publish(_:exchange:routingKey:mandatory:deadline:)``, for those who have many under way, or wait for something
    /// else: nothing is suspended and no task is needed.
    ///
    /// - Parameters:
    ///   - message: Body and properties.
    ///   - exchange: Where it goes; empty: directly to the queue that the routing key names.
    ///   - routingKey: What the exchange routes by.
    ///   - mandatory: Whether it must reach a queue.
    ///   - deadline: Until when it may wait; by default ``AMQPConfiguration/operationTimeout`` from now.
    ///   - patience: How soon the confirm is to be told of.
    ///   - onWritten: Called when the message is written, if it ever is: senders that go on only then put no more into
    ///     memory than the connection takes.
    ///   - completion: Called once with the outcome, which is that of `publish`.
    ///
    ///   Both are called on the connection's thread, or here and now, as are those of other messages: they must not
    ///   block, and not ask for a lock that the caller of `post` holds.
    /// - Returns: The message on its way.
    @discardableResult
    public func post(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool = false,
        deadline: ContinuousClock.Instant? = nil,
        patience: ConfirmPatience = .none,
        onWritten: (@Sendable () -> Void)? = nil,
        completion: @escaping @Sendable (Result<Void, AMQPError>) -> Void
    ) -> any AMQPSending {
        let request = self.request(message, exchange, routingKey, mandatory, deadline, isPatient: patience == .some)
        request.submit(onWritten: onWritten, completion)
        return request
    }

    private func request(
        _ message: AMQPMessage,
        _ exchange: String,
        _ routingKey: String,
        _ mandatory: Bool,
        _ deadline: ContinuousClock.Instant?,
        isPatient: Bool
    ) -> PublishRequest {
        PublishRequest(
            message,
            exchange: exchange,
            routingKey: routingKey,
            mandatory: mandatory,
            channelID: self.id,
            deadline: deadline ?? .now + self.connection.configuration.operationTimeout,
            isPatient: isPatient,
            on: self.connection
        )
    }

    /// Starts a consumer, which goes on after reconnections and when its queue was deleted and declared again.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - tag: The consumer's name, unique in the channel; empty: one is made up.
    ///   - noAck: Whether the broker forgets messages as soon as they are sent, without acknowledgements.
    ///   - exclusive: Whether nobody else may consume from the queue.
    ///   - arguments: Such as `x-priority`.
    ///   - onDelivery: Called on the connection's thread, which it must not block, with all messages that came
    ///     together.
    ///   - onCancelled: Called on the connection's thread when the broker ended the consumer.
    /// - Returns: The consumer's tag.
    /// - Throws: ``AMQPError``, for instance `notFound` (no such queue) or `accessRefused` (an exclusive consumer).
    @discardableResult
    public func consume(
        queue: String,
        tag: String = "",
        noAck: Bool = false,
        exclusive: Bool = false,
        arguments: AMQPTable = [:],
        onDelivery: @escaping @Sendable ([AMQPDelivery]) -> Void,
        onCancelled: @escaping @Sendable (AMQPCancellation) -> Void = { _ in }
    ) async throws(AMQPError) -> String {
        let record = ConsumeRecord(
            queue: queue,
            tag: tag,
            noAck: noAck,
            exclusive: exclusive,
            arguments: arguments
        )
        return try await self.connection.consume(
            self.id,
            record,
            arguments: nil,
            onDelivery: onDelivery,
            onCancelled: onCancelled
        )
    }

    /// Starts a consumer whose arguments are asked for at each start, on the connection's thread: one of a stream goes on
    /// where it was.
    ///
    /// Everything else is as for the other `consume`.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - tag: The consumer's name, unique in the channel.
    ///   - exclusive: Whether nobody else may consume from the queue.
    ///   - currentArguments: The arguments of this start.
    ///   - onDelivery: Called on the connection's thread with all messages that came together.
    ///   - onCancelled: Called on the connection's thread when the broker ended the consumer.
    /// - Returns: The consumer's tag.
    /// - Throws: ``AMQPError``.
    @discardableResult
    public func consume(
        queue: String,
        tag: String,
        exclusive: Bool = false,
        currentArguments: @escaping @Sendable () -> AMQPTable,
        onDelivery: @escaping @Sendable ([AMQPDelivery]) -> Void,
        onCancelled: @escaping @Sendable (AMQPCancellation) -> Void
    ) async throws(AMQPError) -> String {
        try await self.connection.consume(
            self.id,
            ConsumeRecord(queue: queue, tag: tag, exclusive: exclusive),
            arguments: currentArguments,
            onDelivery: onDelivery,
            onCancelled: onCancelled
        )
    }

    /// Ends a consumer.
    ///
    /// When it returns, every message that the broker had sent it was handed over, and none follows. A tag that is not
    /// known is no error.
    public func cancelConsumer(_ tag: String) async throws(AMQPError) {
        try await self.connection.cancelConsumer(self.id, tag)
    }

    /// The tags of the consumers that the broker has confirmed and not cancelled since.
    public var activeConsumers: [String] {
        get async { await self.connection.activeConsumers(self.id) }
    }

    /// Acknowledges deliveries, and returns when that is written.
    ///
    /// Acknowledgements that fall due together are combined into one. Those of a connection that is lost are not sent:
    /// the broker delivers such messages again.
    ///
    /// - Returns: Whether all of them were written to the connection that they belong to. False means that some of the
    ///   messages come again.
    @discardableResult
    public func acknowledge(_ deliveries: [AMQPDelivery]) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, deliveries.map { $0.deliveryTag }, .acknowledge)
    }

    /// Acknowledges deliveries by their tags; see ``acknowledge(_:)-([AMQPDelivery])``.
    @discardableResult
    public func acknowledge(_ tags: [AMQPDeliveryTag]) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, tags, .acknowledge)
    }

    /// Acknowledges one delivery; see ``acknowledge(_:)-([AMQPDelivery])``.
    @discardableResult
    public func acknowledge(_ tag: AMQPDeliveryTag) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, [tag], .acknowledge)
    }

    /// Acknowledges deliveries without waiting until that is written; see ``acknowledge(_:)-([AMQPDelivery])``.
    ///
    /// - Parameters:
    ///   - tags: The deliveries.
    ///   - completion: Called once, on the connection's thread or here and now, with whether all of them were written to
    ///     the connection that they belong to. It must not block.
    public func acknowledge(_ tags: [AMQPDeliveryTag], completion: @escaping @Sendable (Bool) -> Void) {
        self.connection.acknowledge(self.id, tags, completion: completion)
    }

    /// The epoch of the deliveries that can be settled: 0 while there are none, `nil` on another thread than that of
    /// ``perform(_:)``.
    package var epoch: UInt64? { self.connection.epoch(of: self.id) }

    /// Does something on the connection's thread, which it must not block: now, where this is that thread.
    ///
    /// What is acknowledged and published there together is also written together.
    ///
    /// - Parameter body: What is done.
    public func perform(_ body: @escaping @Sendable () -> Void) {
        self.connection.perform(body)
    }

    /// Acknowledges this delivery and every earlier one of the channel that is not settled.
    @discardableResult
    public func acknowledge(upTo tag: AMQPDeliveryTag) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, [tag], .acknowledgeUpTo)
    }

    /// Refuses one delivery.
    ///
    /// - Parameters:
    ///   - tag: The delivery.
    ///   - requeue: Whether it goes back to its queue; otherwise the broker drops it or dead-letters it.
    /// - Returns: Whether it was written to the connection that the delivery belongs to.
    /// - Throws: ``AMQPError/Code/cancelled`` or ``AMQPError/Code/timeout`` when it could not be written in time.
    @discardableResult
    public func reject(_ tag: AMQPDeliveryTag, requeue: Bool) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, [tag], .reject(requeue: requeue))
    }

    /// Refuses a delivery, or it and every earlier one of the channel that is not settled.
    @discardableResult
    public func nack(_ tag: AMQPDeliveryTag, multiple: Bool, requeue: Bool) async throws(AMQPError) -> Bool {
        try await self.connection.settle(self.id, [tag], .nack(multiple: multiple, requeue: requeue))
    }
}
