import Logging

/// Looking after what the consumers depend on: the broker tells nobody that an exchange was deleted or a binding removed,
/// and a consumer that no message can reach looks like one that has nothing to do.
///
/// Exchanges and queues are asked for passively, so that what is missing shows; bindings, about which the protocol knows
/// no question, are made again, which changes nothing where they are.
extension AMQPConnection {
    /// How long one round may take, and none of its questions longer than ``patience``: what breaks meanwhile waits for its end.
    private static let limit = Duration.seconds(5)

    /// How long it is waited after a question that was not answered: what breaks while one is waited for waits as well.
    private static let intervalsAfterTimeout = 3

    /// Has the next look be taken at once, because something of this broker was found missing elsewhere.
    package nonisolated func checkTopologySoon() {
        self.loop.execute {
            self.assumeIsolated { connection in
                guard connection.phase == .running, connection.audit.due != nil else { return }
                connection.audit.due = .now
                connection.signalSupervisor()
            }
        }
    }

    /// How many questions are asked before it is judged whether the broker is too slow for all of them: the quickest counts,
    /// because one may be slow by chance.
    private static let samples = 2

    /// Asks for one thing after the other; called by the supervisor alone.
    ///
    /// One after the other, because the threads of tasks may all be busy, and the supervisor must not wait for one. A refusal
    /// closes the operations' channel; the rest is asked when that is open again.
    func checkTopology() async {
        self.audit.schedule()
        if self.audit.pending.isEmpty { self.audit.pending = self.audited }
        let count = self.audit.pending.count
        let transport = self.transport
        let deadline = min(self.operationDeadline, .now + Self.limit)
        var quickest = Duration.seconds(3_600)
        var asked = 0
        while let item = self.audit.pending.popLast() {
            let start = ContinuousClock.now
            let error = await self.ask(item, until: min(deadline, start + Self.patience))
            // What is lost with a connection is declared anyway on the next one.
            guard self.transport === transport, transport != nil, self.phase == .running else { return }
            if let error { return self.answered(error, to: item) }
            quickest = min(quickest, .now - start)
            asked += 1
            if asked == Self.samples, !self.audit.allowsRound(of: count, taking: quickest) {
                self.audit.pending = []
                return
            }
        }
        self.audit.finishRound()
    }

    private func answered(_ error: AMQPError, to item: RepairItem) {
        if error.code == .notFound, self.isWanted(item) {
            return self.found(missing: error)
        }
        self.logger.info("AMQP topology cannot be checked", metadata: ["item": "\(item)", "error": "\(error)"])
        if error.code == .timeout {
            self.audit.pending = []
            self.audit.schedule(after: Self.intervalsAfterTimeout)
        }
        if !self.audit.pending.isEmpty { self.audit.due = .now }
    }

    /// The bindings of the queues that are consumed here, these queues, and what they are bound to.
    ///
    /// Without what is being repaired anyway; the last comes first.
    private var audited: [RepairItem] {
        var items: Set<RepairItem> = []
        for channel in self.channels.values {
            for consumer in channel.consumers.values where consumer.isEstablished {
                let queue = consumer.record.queue
                guard self.topology.queues[queue] != nil else { continue }
                items.insert(.queue(queue))
                for binding in self.topology.bindings(of: queue) {
                    items.insert(.binding(binding))
                    if self.topology.exchanges[binding.source] != nil { items.insert(.exchange(binding.source)) }
                }
            }
        }
        return items.filter { !self.repairs.contains($0) }.sorted { $0.rank > $1.rank }
    }

    private func ask(_ item: RepairItem, until deadline: ContinuousClock.Instant) async -> AMQPError? {
        let method: OutboundMethod
        switch item {
        case .exchange(let name):
            guard let record = self.topology.exchanges[name] else { return nil }
            method = .declareExchange(record, passive: true)
        case .queue(let name):
            guard let record = self.topology.queues[name] else { return nil }
            method = .declareQueue(record, passive: true)
        case .binding(let binding):
            guard self.topology.bindings.contains(binding) else { return nil }
            method = .bind(binding)
        case .operations, .channel, .consumer: return nil
        }
        do {
            _ = try await self.callOperations(method, until: deadline)
            return nil
        } catch {
            return error
        }
    }

    /// Whether the program has not given it up while it was asked for.
    private func isWanted(_ item: RepairItem) -> Bool {
        switch item {
        case .exchange(let name): self.topology.exchanges[name] != nil
        case .queue(let name): self.topology.queues[name] != nil && !self.queuesBeingDeleted.contains(name)
        case .binding(let binding): self.topology.bindings.contains(binding)
        case .operations, .channel, .consumer: false
        }
    }

    /// Everything is declared again, because nobody knows what else went with what is missing.
    private func found(missing error: AMQPError) {
        self.logger.warning("AMQP topology is incomplete and is declared again", metadata: ["error": "\(error)"])
        self.audit.pending = []
        var trouble = error
        trouble.isRetriable = true
        self.trouble = trouble
        for item in self.audited { self.repairs.add(item) }
        self.refreshState()
        self.signalSupervisor()
    }
}
