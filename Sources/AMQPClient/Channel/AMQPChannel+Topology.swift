/// Declaring and deleting. Names may be up to 255 bytes long; a longer one is
/// ``AMQPError/Code/invalidArgument``. Each operation takes at most ``AMQPConfiguration/operationTimeout``.
extension AMQPChannel {
    /// Makes sure that an exchange exists, now and after every reconnection.
    ///
    /// - Parameters:
    ///   - name: Its name.
    ///   - type: How it routes.
    ///   - durable: Whether it survives a restart of the broker.
    ///   - autoDelete: Whether it goes with its last binding.
    ///   - isInternal: Whether only other exchanges may publish to it.
    ///   - arguments: For plug-ins and policies.
    ///   - deadline: Until when it may take, if that is less than ``AMQPConfiguration/operationTimeout``.
    /// - Throws: ``AMQPError/Code/preconditionFailed`` when it exists with other properties.
    public func declareExchange(
        _ name: String,
        type: AMQPExchangeType,
        durable: Bool = false,
        autoDelete: Bool = false,
        isInternal: Bool = false,
        arguments: AMQPTable = [:],
        deadline: ContinuousClock.Instant? = nil
    ) async throws(AMQPError) {
        let record = ExchangeRecord(
            name: name,
            type: type,
            durable: durable,
            autoDelete: autoDelete,
            isInternal: isInternal,
            arguments: arguments
        )
        try await self.connection.declareExchange(record, passive: false, until: deadline)
    }

    /// Asks whether an exchange exists.
    ///
    /// - Throws: ``AMQPError/Code/notFound`` when it does not.
    public func declareExchangePassively(_ name: String) async throws(AMQPError) {
        let record = ExchangeRecord(name: name, type: .direct)
        try await self.connection.declareExchange(record, passive: true)
    }

    /// Deletes an exchange; it does not come back after a reconnection.
    ///
    /// - Parameters:
    ///   - name: Its name.
    ///   - ifUnused: Whether it is kept when it has bindings.
    /// - Throws: ``AMQPError/Code/preconditionFailed`` when it is used and `ifUnused` is set.
    public func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(AMQPError) {
        try await self.connection.deleteExchange(name, ifUnused: ifUnused)
    }

    /// Makes sure that a queue exists, now and after every reconnection.
    ///
    /// - Parameters:
    ///   - name: Its name. Empty: the broker chooses one, and another one after a reconnection; bindings and consumers
    ///     follow, and ``currentName(ofQueue:)`` tells it.
    ///   - durable: Whether it survives a restart of the broker.
    ///   - exclusive: Whether only this connection may use it, and it goes with the connection.
    ///   - autoDelete: Whether it goes with its last consumer.
    ///   - arguments: Such as `x-queue-type` or `x-message-ttl`.
    /// - Returns: The queue's name and what is in it.
    /// - Throws: ``AMQPError/Code/preconditionFailed`` when it exists with other properties,
    ///   ``AMQPError/Code/resourceLocked`` when it is another connection's.
    @discardableResult
    public func declareQueue(
        _ name: String = "",
        durable: Bool = false,
        exclusive: Bool = false,
        autoDelete: Bool = false,
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) -> AMQPQueueStatus {
        let record = QueueRecord(
            name: name,
            isServerNamed: name.isEmpty,
            durable: durable,
            exclusive: exclusive,
            autoDelete: autoDelete,
            arguments: arguments
        )
        return try await self.connection.declareQueue(record, passive: false)
    }

    /// Asks whether a queue that exists is exactly so; it is not restored after a reconnection.
    ///
    /// The protocol knows no question for it: where there is none of this name, one is made.
    package func compareQueue(
        _ name: String,
        durable: Bool,
        autoDelete: Bool,
        arguments: AMQPTable
    ) async throws(AMQPError) -> AMQPQueueStatus {
        let record = QueueRecord(name: name, durable: durable, autoDelete: autoDelete, arguments: arguments)
        return try await self.connection.declareQueue(record, passive: false, isRemembered: false)
    }

    /// Asks whether an exchange that exists is exactly so; it is not restored after a reconnection.
    ///
    /// The protocol knows no question for it: where there is none of this name, one is made.
    package func compareExchange(
        _ name: String,
        type: AMQPExchangeType,
        durable: Bool,
        autoDelete: Bool,
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) {
        let record = ExchangeRecord(
            name: name,
            type: type,
            durable: durable,
            autoDelete: autoDelete,
            arguments: arguments
        )
        try await self.connection.declareExchange(record, passive: false, isRemembered: false)
    }

    /// Asks for the state of a queue.
    ///
    /// - Throws: ``AMQPError/Code/notFound`` when there is none of this name.
    public func declareQueuePassively(_ name: String) async throws(AMQPError) -> AMQPQueueStatus {
        try await self.connection.declareQueue(QueueRecord(name: name), passive: true)
    }

    /// Deletes a queue; it does not come back after a reconnection, and its consumers end.
    ///
    /// - Parameters:
    ///   - name: Its name.
    ///   - ifUnused: Whether it is kept when it has consumers.
    ///   - ifEmpty: Whether it is kept when it has messages.
    /// - Returns: The number of messages that went with it.
    /// - Throws: ``AMQPError/Code/preconditionFailed`` when it is used or not empty and was to be kept then.
    @discardableResult
    public func deleteQueue(
        _ name: String,
        ifUnused: Bool = false,
        ifEmpty: Bool = false
    ) async throws(AMQPError) -> Int {
        try await self.connection.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
    }

    /// Forgets a queue, unless somebody consumes it on this connection: the broker keeps it, and it is not declared anew.
    package func forgetQueue(_ name: String) async {
        await self.connection.forgetQueue(name)
    }

    /// Removes the messages that are ready for delivery.
    ///
    /// - Returns: Their number.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        try await self.connection.purgeQueue(name)
    }

    /// Binds a queue to an exchange, now and after every reconnection.
    public func bindQueue(
        _ queue: String,
        to exchange: String,
        routingKey: String = "",
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) {
        try await self.connection.bind(
            Binding(destination: .queue(queue), source: exchange, routingKey: routingKey, arguments: arguments)
        )
    }

    /// Removes a binding of a queue.
    public func unbindQueue(
        _ queue: String,
        from exchange: String,
        routingKey: String = "",
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) {
        try await self.connection.unbind(
            Binding(destination: .queue(queue), source: exchange, routingKey: routingKey, arguments: arguments)
        )
    }

    /// Binds an exchange to another one, from which it then gets messages.
    public func bindExchange(
        _ destination: String,
        to source: String,
        routingKey: String = "",
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) {
        try await self.connection.bind(
            Binding(destination: .exchange(destination), source: source, routingKey: routingKey, arguments: arguments)
        )
    }

    /// Removes a binding of an exchange.
    public func unbindExchange(
        _ destination: String,
        from source: String,
        routingKey: String = "",
        arguments: AMQPTable = [:]
    ) async throws(AMQPError) {
        try await self.connection.unbind(
            Binding(destination: .exchange(destination), source: source, routingKey: routingKey, arguments: arguments)
        )
    }

    /// The present name of a queue whose name the broker chose, by the name that it had first.
    public func currentName(ofQueue name: String) async -> String {
        await self.connection.currentName(ofQueue: name)
    }
}
