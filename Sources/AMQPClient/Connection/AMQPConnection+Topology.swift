/// Exchanges, queues and bindings. All of it goes over the operations' channel, so that an error (406 …) closes no
/// channel of the program, where unconfirmed messages and unacknowledged deliveries would be lost with it.
extension AMQPConnection {
    /// Declares; what is not remembered is not restored after a reconnection.
    func declareExchange(
        _ record: ExchangeRecord,
        passive: Bool,
        isRemembered: Bool = true,
        until deadline: ContinuousClock.Instant? = nil
    ) async throws(AMQPError) {
        let deadline = min(deadline ?? self.operationDeadline, self.operationDeadline)
        _ = try await self.perform(on: self.operations, until: deadline, repeatable: true) {
            .declareExchange(record, passive: passive)
        }
        if !passive, isRemembered {
            self.topology.record(record)
        }
    }

    func deleteExchange(_ name: String, ifUnused: Bool) async throws(AMQPError) {
        _ = try await self.perform(on: self.operations, until: self.operationDeadline, repeatable: false) {
            .deleteExchange(name, ifUnused: ifUnused)
        }
        self.topology.removeExchange(name)
    }

    /// Declares; what is not remembered is not restored after a reconnection.
    func declareQueue(
        _ record: QueueRecord,
        passive: Bool,
        isRemembered: Bool = true
    ) async throws(AMQPError) -> AMQPQueueStatus {
        // A queue without a name would be declared a second time under another one.
        let answer = try await self.perform(
            on: self.operations,
            until: self.operationDeadline,
            repeatable: !record.isServerNamed
        ) {
            var current = record
            if passive {
                current.name = self.topology.currentName(record.name)
            }
            return .declareQueue(current, passive: passive)
        }.answer
        guard case .queueStatus(let status) = answer.arguments else {
            throw FrameReader.violation("queue.declare-ok has no contents")
        }
        if !passive, isRemembered {
            var record = record
            record.name = status.name
            self.topology.record(record)
        }
        return status
    }

    func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) async throws(AMQPError) -> Int {
        let name = self.topology.currentName(name)
        self.queuesBeingDeleted.insert(name)
        defer { self.queuesBeingDeleted.remove(name) }
        let answer = try await self.perform(on: self.operations, until: self.operationDeadline, repeatable: false) {
            .deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
        }.answer
        self.topology.removeQueue(name)
        self.repairs.forget(.queue(name))
        for channel in self.channels.values {
            for consumer in channel.consumers.values where consumer.record.queue == name {
                // The broker tells it next; then it is over.
                consumer.isEstablished = false
                self.repairs.forget(.consumer(channel: channel.id, tag: consumer.record.tag))
                channel.unrestored.remove(consumer.record.tag)
            }
            self.channelIsReady(channel)
        }
        return self.count(in: answer)
    }

    func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let answer = try await self.perform(on: self.operations, until: self.operationDeadline, repeatable: true) {
            .purgeQueue(self.topology.currentName(name))
        }.answer
        return self.count(in: answer)
    }

    /// Forgets a queue, unless somebody consumes it here: the broker keeps it, and it is not declared anew.
    func forgetQueue(_ name: String) {
        let name = self.topology.currentName(name)
        let consumers = self.channels.values.lazy.flatMap(\.consumers.values)
        guard !consumers.contains(where: { $0.record.queue == name }) else { return }
        self.topology.removeQueue(name)
        self.repairs.forget(.queue(name))
    }

    private func count(in answer: InboundMethod) -> Int {
        if case .messageCount(let count) = answer.arguments { count } else { 0 }
    }

    func bind(_ binding: Binding) async throws(AMQPError) {
        var current = binding
        _ = try await self.perform(on: self.operations, until: self.operationDeadline, repeatable: true) {
            current = self.current(binding)
            return .bind(current)
        }
        self.topology.record(self.current(current))
    }

    func unbind(_ binding: Binding) async throws(AMQPError) {
        _ = try await self.perform(on: self.operations, until: self.operationDeadline, repeatable: true) {
            .unbind(self.current(binding))
        }
        self.topology.remove(self.current(binding))
    }

    /// The binding with the queue's present name.
    private func current(_ binding: Binding) -> Binding {
        guard case .queue(let name) = binding.destination else { return binding }
        var current = binding
        current.destination = .queue(self.topology.currentName(name))
        return current
    }

    func currentName(ofQueue name: String) -> String {
        self.topology.currentName(name)
    }
}
