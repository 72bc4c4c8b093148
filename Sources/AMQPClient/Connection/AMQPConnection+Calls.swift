import Logging

/// Synchronous methods: sent at once, answered later. Nothing waits in the thread.
extension AMQPConnection {
    /// Sends a method and waits for its answer.
    ///
    /// `repeatable`: whether it does no harm twice; then it may end with ``AMQPError/Code/channelReopened`` although the broker
    /// has it.
    func call(
        _ method: OutboundMethod,
        on wire: WireChannel,
        until deadline: ContinuousClock.Instant,
        repeatable: Bool = false
    ) async throws(AMQPError) -> InboundMethod {
        let call = PendingCall(method, isRepeatable: repeatable, on: self.loop)
        // Nobody waits any more for what hung: its channel goes with it.
        defer { if wire.isRetired { self.closeIfRetired(wire) } }
        return try await self.suspend(on: call, until: deadline) { () throws(AMQPError) in
            guard let transport, !wire.isDefunct, !wire.isRetired else { throw self.reopened(method.description) }
            try transport.append(method, on: wire.number)
            wire.append(call)
            if wire.owner === self.operations { self.watchOperations() }
        }
    }

    /// A method of the program, sent as soon as the channel is open.
    ///
    /// `repeatable`: whether it does no harm twice, so that it may be sent again after a lost connection.
    func perform(
        on channel: ChannelState,
        until deadline: ContinuousClock.Instant,
        repeatable: Bool,
        _ method: () -> OutboundMethod
    ) async throws(AMQPError) -> (answer: InboundMethod, wire: WireChannel) {
        while true {
            let wire = try await self.wire(of: channel, until: deadline, for: method().description)
            do {
                return (try await self.call(method(), on: wire, until: deadline, repeatable: repeatable), wire)
            } catch {
                let isLost = error.code == .connectionLost || error.code == .connectionClosed
                guard error.code == .channelReopened || (repeatable && isLost) else { throw error }
            }
        }
    }

    /// The open channel, waited for if need be.
    func wire(
        of channel: ChannelState,
        until deadline: ContinuousClock.Instant,
        for operation: String
    ) async throws(AMQPError) -> WireChannel {
        while true {
            guard self.phase == .running else { throw self.closedError(operation) }
            if channel.isClosed {
                throw AMQPError(.closed, operation: operation, message: "the channel is closed")
            }
            if let wire = channel.wire, channel.unrestored.isEmpty { return wire }
            let wait = Wait<Void>(operation, on: self.loop)
            do {
                try await self.suspend(on: wait, until: deadline) {
                    // It may have come on the way here: a task with an executor of its own lets the loop go on at each
                    // `await`, also within this actor.
                    if channel.isClosed || (channel.wire != nil && channel.unrestored.isEmpty) {
                        wait.finish(.success(()))
                    } else {
                        channel.openWaits.append(wait)
                    }
                }
            } catch {
                channel.openWaits.removeAll { $0 === wait }
                var error = error
                if error.code == .timeout, let trouble {
                    error.message = "the deadline passed before the connection was restored"
                    error.cause = trouble
                    error.outcomeIsUnknown = false
                }
                throw error
            }
        }
    }

    /// Opens a channel on the wire and sets it up as the program wants it.
    ///
    /// `isWanted`: whether it is still needed when it is open.
    func openWire(
        of channel: ChannelState,
        until deadline: ContinuousClock.Instant,
        isWanted: () -> Bool = { true }
    ) async throws(AMQPError) {
        guard let transport else { throw self.reopened("channel.open") }
        guard let number = (1...transport.channelMax).first(where: { transport.wires[UInt16($0)] == nil }) else {
            throw AMQPError(
                .channelsExhausted,
                operation: "channel.open",
                message: "all \(transport.channelMax) channels are in use"
            )
        }
        self.lastEpoch += 1
        let wire = WireChannel(
            number: UInt16(number),
            epoch: self.lastEpoch,
            owner: channel,
            maxBodySize: self.configuration.maxBodySize
        )
        transport.wires[wire.number] = wire
        do throws(AMQPError) {
            _ = try await self.call(.openChannel, on: wire, until: deadline)
            if let prefetch = channel.prefetch {
                _ = try await self.call(
                    .setPrefetch(count: prefetch.count, global: prefetch.global),
                    on: wire,
                    until: deadline
                )
            }
            if channel.confirms {
                _ = try await self.call(.selectConfirms, on: wire, until: deadline)
                wire.isConfirming = true
            }
            guard !wire.isDefunct, !channel.isClosed, isWanted() else { throw self.reopened("channel.open") }
        } catch {
            self.closeWire(wire)
            throw error
        }
        channel.wire = wire
        channel.unrestored = []
        for consumer in channel.consumers.values where consumer.isEstablished {
            let item = RepairItem.consumer(channel: channel.id, tag: consumer.record.tag)
            // One that failed before has its own time.
            if !self.repairs.contains(item) {
                channel.unrestored.insert(consumer.record.tag)
            }
            self.repairs.add(item)
        }
        self.sendWaitingMessages(of: channel)
        self.channelIsReady(channel)
        self.signalSupervisor()
    }

    /// Lets those go on who wait for the channel, if it is complete.
    func channelIsReady(_ channel: ChannelState) {
        guard channel.wire != nil, channel.unrestored.isEmpty else { return }
        for wait in channel.openWaits {
            wait.finish(.success(()))
        }
        channel.openWaits = []
    }

    /// Says good-bye to a channel on the wire without waiting for the answer.
    func closeWire(_ wire: WireChannel) {
        if wire.owner.wire === wire {
            wire.owner.wire = nil
        }
        guard let transport, !wire.isDefunct, !wire.isClosing else { return }
        wire.isClosing = true
        let call = PendingCall(.closeChannel(CloseReply(code: 200, text: "", methodID: 0)), on: self.loop)
        do {
            try transport.append(call.method, on: wire.number)
            wire.append(call)
        } catch {
            self.logger.error("channel.close cannot be sent", metadata: ["error": "\(error)"])
        }
    }

    /// The broker closed a channel because of one operation: that one fails, everything else goes on on a new channel.
    func closedByBroker(_ wire: WireChannel, _ reply: CloseReply, _ transport: Transport) {
        transport.wires[wire.number] = nil
        wire.isDefunct = true
        let channel = wire.owner
        if channel.wire === wire {
            channel.wire = nil
        }
        var culprit: String?
        // Every earlier method was answered, so the one that failed can only be the oldest.
        for call in wire.drainCalls() {
            if culprit == nil, call.method.id == reply.methodID {
                culprit = call.operation
                call.fail(AMQPError.replied(reply, to: call.operation))
            } else {
                call.fail(self.reopened(call.operation))
            }
        }
        for wait in wire.acknowledgementWaits {
            wait(false)
        }
        wire.acknowledgementWaits = []
        self.settlePublishes(of: wire, after: reply)
        // What goes on over the channel that has taken the place of this one.
        if channel.wire != nil { self.sendWaitingMessages(of: channel) }
        for consumer in channel.consumers.values where consumer.isActive {
            consumer.isActive = false
            // Its queue may have gone with its last consumer.
            if self.topology.queues[consumer.record.queue]?.autoDelete == true {
                self.requestQueue(consumer.record.queue)
            }
        }
        if wire.isRetired {
            // Another one has its place already.
        } else if channel === self.operations {
            transport.probe = nil
            self.repairs.add(.operations)
        } else if !channel.isClosed, self.channels[channel.id] != nil {
            self.repairs.add(.channel(channel.id))
            let error = AMQPError.replied(reply, to: culprit ?? "channel")
            self.logger.warning("AMQP broker closed a channel", metadata: ["error": "\(error)"])
            if !channel.consumers.isEmpty {
                self.trouble = error
                self.refreshState()
            }
        }
        self.signalSupervisor()
    }
}
