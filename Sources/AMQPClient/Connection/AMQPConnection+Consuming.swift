import Logging

/// What belongs to one channel of the program: prefetch, confirms, consumers, and its end.
extension AMQPConnection {
    func channel(_ id: Int, for operation: @autoclosure () -> String) throws(AMQPError) -> ChannelState {
        guard let channel = self.channels[id], !channel.isClosed else {
            throw AMQPError(.closed, operation: operation(), message: "the channel is closed")
        }
        return channel
    }

    func setPrefetch(_ id: Int, count: UInt16, global: Bool) async throws(AMQPError) {
        let channel = try self.channel(id, for: "basic.qos")
        let previous = channel.prefetch
        // Wanted from now on: a channel that is being reopened at this moment sets it by itself.
        channel.prefetch = ChannelState.Prefetch(count: count, global: global)
        do {
            _ = try await self.perform(on: channel, until: self.operationDeadline, repeatable: true) {
                .setPrefetch(count: count, global: global)
            }
        } catch {
            channel.prefetch = previous
            throw error
        }
    }

    func confirmPublishes(_ id: Int) async throws(AMQPError) {
        let channel = try self.channel(id, for: "confirm.select")
        guard !channel.confirms else { return }
        // As with the prefetch.
        channel.confirms = true
        while true {
            let wire = try await self.wire(of: channel, until: self.operationDeadline, for: "confirm.select")
            guard !wire.isConfirming else { return }
            do {
                _ = try await self.call(.selectConfirms, on: wire, until: self.operationDeadline)
                wire.isConfirming = true
                return
            } catch {
                guard error.code == .channelReopened || error.code == .connectionLost else { throw error }
            }
        }
    }

    func setReturnHandler(_ id: Int, _ body: @escaping @Sendable (AMQPReturn) -> Void) {
        self.channels[id]?.onReturn = body
    }

    func consume(
        _ id: Int,
        _ record: ConsumeRecord,
        arguments: (@Sendable () -> AMQPTable)?,
        onDelivery: @escaping @Sendable ([AMQPDelivery]) -> Void,
        onCancelled: @escaping @Sendable (AMQPCancellation) -> Void
    ) async throws(AMQPError) -> String {
        let channel = try self.channel(id, for: "basic.consume")
        var record = record
        if record.tag.isEmpty {
            self.lastConsumer += 1
            record.tag = "consumer-\(self.lastConsumer)"
        }
        guard channel.consumers[record.tag] == nil else {
            // The broker would close the whole connection (530).
            throw AMQPError(
                .invalidArgument,
                operation: "basic.consume '\(record.queue)'",
                message: "the channel has a consumer '\(record.tag)' already"
            )
        }
        let consumer = ConsumerState(record, arguments: arguments, onDelivery: onDelivery, onCancelled: onCancelled)
        // Before the answer: messages may follow it at once.
        channel.consumers[record.tag] = consumer
        let wire: WireChannel
        do {
            wire = try await self.perform(on: channel, until: self.operationDeadline, repeatable: true) {
                consumer.record.queue = self.topology.currentName(record.queue)
                consumer.renewArguments()
                consumer.isCancelled = false
                return .consume(consumer.record)
            }.wire
        } catch {
            channel.consumers[record.tag] = nil
            throw error
        }
        consumer.isEstablished = true
        consumer.isStarting = false
        if consumer.isCancelled, !wire.isDefunct {
            // By what came with the answer, in one piece.
            self.cancelledByBroker(record.tag, on: channel)
        } else if channel.wire === wire {
            consumer.isActive = true
        } else if channel.wire != nil {
            // Lost and reopened between the answer and now.
            self.repairs.add(.consumer(channel: channel.id, tag: record.tag))
            self.signalSupervisor()
        }
        return record.tag
    }

    func cancelConsumer(_ id: Int, _ tag: String) async throws(AMQPError) {
        let channel = try self.channel(id, for: "basic.cancel")
        guard let consumer = channel.consumers[tag] else { return }
        consumer.isEstablished = false
        self.repairs.forget(.consumer(channel: id, tag: tag))
        channel.unrestored.remove(tag)
        self.channelIsReady(channel)
        if let wire = channel.wire, consumer.isActive {
            do {
                _ = try await self.call(.cancel(tag: tag, noWait: false), on: wire, until: self.operationDeadline)
            } catch {
                guard error.code == .connectionLost || error.code == .channelReopened else { throw error }
                self.logger.debug("the consumer went with its connection", metadata: ["tag": "\(tag)"])
            }
        }
        self.deliverRest(of: consumer)
        channel.consumers[tag] = nil
        self.forgetAutoDeletedQueue(consumer.record.queue)
    }

    /// Hands over what came before the cancellation.
    private func deliverRest(of consumer: ConsumerState) {
        let batch = consumer.batch
        guard !batch.isEmpty else { return }
        consumer.batch = []
        consumer.onDelivery(batch)
    }

    /// The broker deletes such a queue with its last consumer; it must not come back as an empty one.
    private func forgetAutoDeletedQueue(_ name: String) {
        guard self.topology.queues[name]?.autoDelete == true else { return }
        let isUsed = self.channels.values.contains { channel in
            channel.consumers.values.contains { $0.record.queue == name }
        }
        if !isUsed {
            self.topology.removeQueue(name)
            self.repairs.forget(.queue(name))
        }
    }

    /// The broker ended a consumer: its queue was deleted, or the node that had it is gone.
    func cancelledByBroker(_ tag: String, on channel: ChannelState) {
        guard let consumer = channel.consumers[tag] else { return }
        consumer.isActive = false
        consumer.isCancelled = true
        self.deliverRest(of: consumer)
        // Who starts it has not gone on yet, and sees it then.
        guard !consumer.isStarting else { return }
        let queue = consumer.record.queue
        guard consumer.isEstablished, !self.queuesBeingDeleted.contains(queue) else {
            channel.consumers[tag] = nil
            let reason = "the queue '\(queue)' was deleted by this program"
            consumer.onCancelled(AMQPCancellation(resumes: false, description: reason))
            return
        }
        let reason = "the broker cancelled the consumer: the queue '\(queue)' was deleted or moved"
        self.logger.warning("AMQP consumer cancelled by the broker", metadata: ["queue": "\(queue)", "tag": "\(tag)"])
        self.trouble = AMQPError(.notFound, operation: "basic.cancel '\(tag)'", message: reason, isRetriable: true)
        self.requestQueue(queue)
        self.repairs.add(.consumer(channel: channel.id, tag: tag))
        self.refreshState()
        self.signalSupervisor()
        consumer.onCancelled(AMQPCancellation(resumes: true, description: reason))
    }

    func closeChannel(_ id: Int) async {
        guard let channel = self.channels[id] else { return }
        self.forget(channel)
        for wire in self.retiredWires(of: channel) {
            for request in wire.unconfirmed.removeAll() {
                let error = AMQPError(.closed, operation: "channel.close", message: "the channel was closed")
                request.fail(self.unknownOutcome(of: request, because: error))
            }
            self.closeWire(wire)
        }
        guard let wire = channel.wire else { return }
        do {
            try self.writeAcknowledgements()
        } catch {
            self.logger.debug("acknowledgements are lost with their channel", metadata: ["error": "\(error)"])
        }
        channel.wire = nil
        wire.isClosing = true
        do {
            let reply = CloseReply(code: 200, text: "", methodID: 0)
            let deadline = ContinuousClock.now + self.configuration.closeTimeout
            _ = try await self.call(.closeChannel(reply), on: wire, until: deadline)
        } catch {
            self.logger.debug("channel closed without the broker's answer", metadata: ["error": "\(error)"])
        }
        for request in wire.unconfirmed.removeAll() {
            let error = AMQPError(.closed, operation: "channel.close", message: "the channel was closed")
            request.fail(self.unknownOutcome(of: request, because: error))
        }
        for consumer in channel.consumers.values {
            self.forgetAutoDeletedQueue(consumer.record.queue)
        }
    }

    /// Nothing of the channel is restored or sent any more.
    func forget(_ channel: ChannelState) {
        channel.isClosed = true
        self.channels[channel.id] = nil
        self.congested.remove(channel.id)
        self.repairs.forget(.channel(channel.id))
        for tag in channel.consumers.keys {
            self.repairs.forget(.consumer(channel: channel.id, tag: tag))
        }
        let error = AMQPError(.closed, operation: "channel", message: "the channel is closed")
        for request in channel.waitingPublishes.drain() {
            request.fail(error.during(request.fullOperation))
        }
        for wait in channel.openWaits {
            wait.fail(error.during(wait.operation))
        }
        channel.openWaits = []
    }

    /// How many consumers each queue has here, by this client's own account; those that the broker has confirmed.
    package func consumersByQueue() -> [String: Int] {
        let active = self.channels.values.flatMap(\.consumers.values).filter(\.isActive)
        return Dictionary(active.map { ($0.record.queue, 1) }, uniquingKeysWith: +)
    }

    func activeConsumers(_ id: Int) -> [String] {
        self.channels[id]?.consumers.values.filter { $0.isActive }.map { $0.record.tag } ?? []
    }
}
