import Logging

/// Keeping the connection alive: one task makes lost connections anew and repairs what broke on them.
extension AMQPConnection {
    /// Runs from the first connection to ``close()``.
    func supervise() async {
        while self.phase == .running {
            guard let transport, transport.isEstablished else {
                await self.reconnect()
                continue
            }
            // Whatever needs the operations' channel waits until that is open.
            let isLimited = self.operations.wire == nil
            let due = self.repairs.due(withoutOperations: isLimited)
            if !due.isEmpty {
                await self.repair(self.limited(due))
                continue
            }
            if let channel = self.renewals.popFirst() {
                await self.renew(channel)
                continue
            }
            if self.repairs.isEmpty, self.trouble != nil {
                self.trouble = nil
                self.refreshState()
                self.logger.info("AMQP connection restored", metadata: ["host": "\(transport.host.name)"])
            }
            let auditDue = isLimited ? nil : self.audit.due
            if let auditDue, auditDue <= .now {
                await self.checkTopology()
                continue
            }
            let next = [self.repairs.nextDue(withoutOperations: isLimited), auditDue].compactMap { $0 }.min()
            await self.pauseUntilSignal(or: next)
        }
    }

    func signalSupervisor() {
        self.supervisorIsSignalled = true
        self.supervisorWait?.finish(.success(()))
    }

    /// Sleeps until something is to be done.
    private func pauseUntilSignal(or deadline: ContinuousClock.Instant?) async {
        if !self.supervisorIsSignalled {
            let wait = Wait<Void>("supervision", on: self.loop)
            self.supervisorWait = wait
            // Its end by the deadline is no failure but the point of it.
            _ = try? await self.suspend(on: wait, until: deadline) {}
            self.supervisorWait = nil
        }
        self.supervisorIsSignalled = false
    }

    /// Sleeps until an instant, or until the phase changes.
    func pause(until deadline: ContinuousClock.Instant, unless phase: Phase) async {
        while self.phase == phase, .now < deadline, !Task.isCancelled {
            await self.pauseUntilSignal(or: deadline)
        }
    }

    /// Sleeps after an attempt to connect has failed: until an instant, or until another connection with these hosts gets in.
    ///
    /// A broker that is there again is found by whoever comes first; the longest of many pauses would count otherwise.
    func backOff(until deadline: ContinuousClock.Instant, unless phase: Phase) async {
        let health = self.configuration.health
        self.isBackedOff = !health.hasSucceeded(since: self.attemptBegan)
        let listener = health.listen { [weak self, loop] in
            loop.execute {
                self?.assumeIsolated { connection in
                    connection.isBackedOff = false
                    connection.signalSupervisor()
                }
            }
        }
        defer { health.ignore(listener) }
        while self.phase == phase, .now < deadline, self.isBackedOff, !Task.isCancelled {
            await self.pauseUntilSignal(or: deadline)
        }
    }

    private func reconnect() async {
        let pause = self.nextBackoff()
        if self.isFreshLoss {
            self.isFreshLoss = false
            let spread = self.configuration.reconnectSpread * Double.random(in: 0...1)
            await self.pause(until: .now + pause + self.configuration.reconnectDelay + spread, unless: .running)
        } else {
            await self.backOff(until: .now + pause, unless: .running)
        }
        guard self.phase == .running else { return }
        do {
            try await self.connectToAnyHost(until: nil)
            self.requestEverything()
        } catch {
            guard self.phase == .running else { return }
            self.trouble = error
            self.refreshState()
        }
    }

    /// A new connection knows nothing: everything that was declared is due.
    func requestEverything() {
        self.remnants = []
        self.audit.begin()
        self.repairs.add(.operations)
        for name in self.topology.exchanges.keys {
            self.repairs.add(.exchange(name))
        }
        for name in self.topology.queues.keys {
            self.repairs.add(.queue(name))
        }
        for binding in self.topology.bindings {
            self.repairs.add(.binding(binding))
        }
        for channel in self.channels.values {
            self.repairs.add(.channel(channel.id))
        }
        self.signalSupervisor()
    }

    /// Repairs items of one rank together, without waiting for each answer before the next is sent.
    ///
    /// What hangs is left to itself, and the next rank follows: it is not begun again before it has ended. A declaration hangs
    /// when it was gone round, and is waited for before that, because others need what it declares.
    private func repair(_ items: [RepairItem]) async {
        self.batch = Set(items)
        for item in items {
            self.repairs.begin(item)
            // Not a task group, which would wait for what hangs. It ends at its deadline, or with the connection.
            Task {
                await self.repair(item)
                self.repairs.end(item)
                let isOfBatch = self.batch.remove(item) != nil
                if !isOfBatch || self.batch.isEmpty { self.signalSupervisor() }
            }
        }
        let hanging = self.hangingWires.count
        let limit = items.contains(where: \.isDeclaration) ? self.operationDeadline : .now + Self.patience
        while !self.batch.isEmpty, .now < limit, self.hangingWires.count <= hanging {
            await self.pauseUntilSignal(or: limit)
        }
        self.batch = []
    }

    private func repair(_ item: RepairItem) async {
        let transport = self.transport
        defer {
            if case .consumer(let id, let tag) = item, let channel = self.channels[id] {
                channel.unrestored.remove(tag)
                self.channelIsReady(channel)
            }
        }
        do {
            try await self.restore(item)
            if self.repairs.succeeded(item) || !self.hangingWires.isEmpty { self.hastenDependents(of: item) }
        } catch {
            // After a loss everything is due anew on the next connection.
            guard self.transport === transport, transport != nil, self.phase == .running else { return }
            // Another failure closed the channel: this one is simply tried again on the reopened channel.
            if error.code == .channelReopened { return }
            self.repairs.failed(item, error.code)
            self.logger.warning("AMQP restoring failed", metadata: ["item": "\(item)", "error": "\(error)"])
            if self.trouble != nil || item.isOfProgram {
                self.trouble = error
                self.refreshState()
            }
            switch item {
            case .consumer(let id, let tag):
                // One that waits for its own repair explains the failure, and is followed by what needs it.
                if let queue = self.channels[id]?.consumers[tag]?.record.queue, !self.repairs.contains(.queue(queue)) {
                    self.requestQueue(queue)
                }
            case .binding(let binding) where error.code == .notFound:
                // What goes with its last binding may have gone between its own repair and this one: with the queue of
                // the lost connection, when the broker has noticed the loss at last.
                if !self.ends(of: binding).contains(where: self.repairs.contains) { self.requestEnds(of: binding) }
            case .channel(let id) where !error.isRetriable:
                // Whoever waits for it need not wait in vain.
                for wait in self.channels[id]?.openWaits ?? [] {
                    wait.fail(error.during(wait.operation))
                }
            default: break
            }
        }
    }

    private func restore(_ item: RepairItem) async throws(AMQPError) {
        let deadline = self.operationDeadline
        switch item {
        case .operations:
            try await self.openWire(of: self.operations, until: deadline)
        case .exchange(let name):
            guard let record = self.topology.exchanges[name] else { return }
            do {
                _ = try await self.callOperations(.declareExchange(record, passive: false), until: deadline)
            } catch {
                if self.adopts(error) {
                    var other = record
                    other.durable.toggle()
                    self.topology.record(other)
                }
                throw error
            }
        case .queue(let name):
            guard let record = self.topology.queues[name] else { return }
            if self.remnants.remove(name) != nil {
                // A peer may have made it anew meanwhile, and then consumes from it.
                let method = OutboundMethod.deleteQueue(name, ifUnused: true, ifEmpty: false)
                _ = try await self.callOperations(method, until: deadline, repeatable: false)
            }
            let answer: InboundMethod
            do {
                answer = try await self.callOperations(.declareQueue(record, passive: false), until: deadline)
            } catch {
                if self.adopts(error) {
                    var other = record
                    other.durable.toggle()
                    self.topology.record(other)
                }
                if self.isOfRemnant(error), !record.durable { self.remnants.insert(name) }
                throw error
            }
            if case .queueStatus(let status) = answer.arguments, status.name != name {
                self.rename(queue: name, to: status.name)
            }
        case .binding(let binding):
            guard self.topology.bindings.contains(binding) else { return }
            for end in self.ends(of: binding) { try self.requireDeclared(end, for: "queue.bind") }
            _ = try await self.callOperations(.bind(binding), until: deadline)
        case .channel(let id):
            guard let channel = self.channels[id], channel.wire == nil else { return }
            try await self.openWire(of: channel, until: deadline)
        case .consumer(let id, let tag):
            try await self.restoreConsumer(tag, of: id, until: deadline)
        }
    }

    /// What needs something whose declaration hangs is tried when that is there: the broker would close the channel for it.
    private func requireDeclared(_ item: RepairItem, for operation: String) throws(AMQPError) {
        guard self.repairs.isBegun(item) else { return }
        let message = "the declaration of what it needs has no answer yet"
        throw AMQPError(.notFound, operation: operation, message: message, isRetriable: true)
    }

    /// Whether a peer made it with the other durability meanwhile: then the next attempt asks for that.
    private func adopts(_ error: AMQPError) -> Bool {
        self.configuration.adoptsDurability && error.code == .preconditionFailed
            && error.replyText?.contains("inequivalent arg 'durable'") == true
    }

    /// Whether a declaration met what was left of a queue: RabbitMQ keeps the record of one that is declared while its virtual
    /// host is being deleted, and finds it again when there is a virtual host of the same name.
    ///
    /// What is not durable may be deleted, as it has lost its messages anyway.
    private func isOfRemnant(_ error: AMQPError) -> Bool {
        error.code == .notFound && error.replyText?.contains("stopped by supervisor") == true
    }

    /// A method on the operations' channel as it is now: a repair must not wait for another repair.
    func callOperations(
        _ method: OutboundMethod,
        until deadline: ContinuousClock.Instant,
        repeatable: Bool = true
    ) async throws(AMQPError) -> InboundMethod {
        guard let wire = self.operations.wire else { throw self.reopened(method.description) }
        return try await self.call(method, on: wire, until: deadline, repeatable: repeatable)
    }

    private func restoreConsumer(
        _ tag: String,
        of id: Int,
        until deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        guard let channel = self.channels[id], let consumer = channel.consumers[tag], consumer.isEstablished,
            !consumer.isActive
        else { return }
        guard let wire = channel.wire else {
            // Asked for again as soon as the channel is open.
            self.repairs.forget(.consumer(channel: id, tag: tag))
            return
        }
        try self.requireDeclared(.queue(consumer.record.queue), for: "basic.consume")
        // Asked on the operations' channel first: if the queue is missing, the error closes that one and not the
        // program's, where it would also give back every message that is being worked on.
        let queue = QueueRecord(name: consumer.record.queue)
        _ = try await self.callOperations(.declareQueue(queue, passive: true), until: deadline)
        guard consumer.isEstablished, !wire.isDefunct else { throw self.reopened("basic.consume") }
        consumer.renewArguments()
        consumer.isCancelled = false
        _ = try await self.call(.consume(consumer.record), on: wire, until: deadline)
        guard !wire.isDefunct else { throw self.reopened("basic.consume") }
        guard !consumer.isCancelled else {
            // By what came with the answer, in one piece.
            let message = "the broker cancelled the consumer at once"
            throw AMQPError(.notFound, operation: "basic.consume '\(tag)'", message: message, isRetriable: true)
        }
        guard channel.consumers[tag] === consumer, consumer.isEstablished else {
            // Cancelled by the program meanwhile. Nobody would take its messages: each would be rejected and come again.
            try self.transport?.append(.cancel(tag: tag, noWait: true), on: wire.number)
            return
        }
        consumer.isActive = true
    }

    func reopened(_ operation: String) -> AMQPError {
        AMQPError(.channelReopened, operation: operation, message: "the channel is being opened again")
    }

    /// A queue that was declared here and may be gone is declared and bound again.
    func requestQueue(_ name: String) {
        guard self.topology.queues[name] != nil else { return }
        self.repairs.add(.queue(name))
        for binding in self.topology.bindings(of: name) {
            // One that is deleted with its last binding may have gone with the queue.
            if self.topology.exchanges[binding.source]?.autoDelete == true {
                self.repairs.add(.exchange(binding.source))
            }
            self.repairs.add(.binding(binding))
        }
    }

    /// What failed for want of an item, and has a time of its own, follows at once: pauses must not add up.
    private func hastenDependents(of item: RepairItem) {
        for binding in self.topology.bindings where self.ends(of: binding).contains(item) {
            self.repairs.hasten(.binding(binding))
        }
        guard case .queue(let name) = item else { return }
        for channel in self.channels.values {
            for (tag, consumer) in channel.consumers where consumer.record.queue == name {
                self.repairs.hasten(.consumer(channel: channel.id, tag: tag))
            }
        }
    }

    /// What a binding connects.
    private func ends(of binding: Binding) -> [RepairItem] {
        switch binding.destination {
        case .queue(let name): [.exchange(binding.source), .queue(name)]
        case .exchange(let name): [.exchange(binding.source), .exchange(name)]
        }
    }

    /// What a binding connects is declared again, if it was declared here.
    private func requestEnds(of binding: Binding) {
        for end in self.ends(of: binding) {
            switch end {
            case .queue(let name): self.requestQueue(name)
            case .exchange(let name) where self.topology.exchanges[name] != nil: self.repairs.add(end)
            default: break
            }
        }
    }

    /// The broker chose another name for a queue: bindings and consumers follow.
    private func rename(queue old: String, to new: String) {
        let renamed = self.topology.bindings(of: old)
        self.topology.rename(old, to: new)
        for binding in renamed {
            self.repairs.forget(.binding(binding))
        }
        for binding in self.topology.bindings(of: new) {
            self.repairs.add(.binding(binding))
        }
        for channel in self.channels.values {
            for consumer in channel.consumers.values where consumer.record.queue == old {
                consumer.record.queue = new
            }
        }
        self.signalSupervisor()
    }
}

extension RepairItem {
    /// Whether others may need it.
    fileprivate var isDeclaration: Bool {
        switch self {
        case .operations, .exchange, .queue, .binding: true
        case .channel, .consumer: false
        }
    }

    /// Whether its failure means that something the program declared is missing.
    var isOfProgram: Bool {
        switch self {
        case .operations, .channel: false
        case .exchange, .queue, .binding, .consumer: true
        }
    }
}
