import Logging

extension AMQPConnection {
    /// One frame from the broker.
    ///
    /// An error thrown from here ends the connection.
    func received(_ frame: InboundFrame, on transport: Transport) throws(AMQPError) {
        switch frame {
        case .heartbeat: break
        case .method(channel: 0, let method):
            try self.receivedControl(method, on: transport)
        case .method(let number, let method):
            if let wire = transport.wire(number) {
                try self.received(method, on: wire, transport)
            } else if method.id != MethodID.channelCloseOK {
                // That answer may come late, where both sides have closed a channel at the same time.
                throw FrameReader.violation("a method came on channel \(number), which is not open")
            }
        case .header(let number, let properties, let bodySize):
            let wire = try self.wire(number, of: transport)
            if let content = try wire.assembler.header(properties, bodySize: bodySize) {
                try self.received(content, on: wire, transport)
            }
        case .body(let number, let bytes):
            let wire = try self.wire(number, of: transport)
            if let content = unsafe try wire.assembler.body(bytes) {
                try self.received(content, on: wire, transport)
            }
        }
    }

    private func wire(_ number: UInt16, of transport: Transport) throws(AMQPError) -> WireChannel {
        guard let wire = transport.wire(number) else {
            throw FrameReader.violation("a frame came on channel \(number), which is not open")
        }
        return wire
    }

    // MARK: The connection itself

    private func receivedControl(_ method: InboundMethod, on transport: Transport) throws(AMQPError) {
        guard transport.isEstablished else {
            if let controlWait, controlWait.isPending {
                controlWait.finish(.success(method))
            } else if self.controlInbox.count < 8 {
                self.controlInbox.append(method)
            } else {
                throw FrameReader.violation("the broker does not wait for answers during log-in")
            }
            return
        }
        switch method.arguments {
        case .close(let reply):
            try transport.append(.closeConnectionOK, on: 0)
            // The socket goes next; what it does not take now is lost with it.
            try transport.flush()
            let error = AMQPError.replied(reply, to: "connection")
            self.failCulprits(of: reply, on: transport)
            var lost = error
            lost.isRetriable = true
            self.connectionLost(lost)
        case .blocked(let reason):
            if self.blockedReason == nil { self.counters.blocks.count() }
            self.blockedReason = reason
            // It reads nothing more, and says so.
            transport.probe = nil
            self.refreshState()
        case .none where method.id == MethodID.connectionUnblocked:
            self.blockedReason = nil
            self.refreshState()
            self.sendWaitingMessages()
        case .none where method.id == MethodID.connectionCloseOK:
            self.closeWait?.finish(.success(()))
        default:
            throw FrameReader.violation("the broker sent method \(method.id) on channel 0")
        }
    }

    /// The broker closed the connection because of one method.
    ///
    /// Its caller gets the broker's words, so that it is not repeated for ever on one new connection after the other.
    private func failCulprits(of reply: CloseReply, on transport: Transport) {
        guard reply.methodID != 0 else { return }
        for wire in transport.wires.values {
            if let call = wire.calls.first, call.method.id == reply.methodID {
                call.fail(AMQPError.replied(reply, to: call.operation))
            }
        }
    }

    // MARK: A channel

    private func received(
        _ method: InboundMethod,
        on wire: WireChannel,
        _ transport: Transport
    ) throws(AMQPError) {
        switch method.id {
        case MethodID.basicAck, MethodID.basicNack, MethodID.basicReturn: break
        default: self.input.hasOther = true
        }
        switch method.arguments {
        case .deliver(let header): try wire.assembler.open(.deliver(header))
        case .returned(let header): try wire.assembler.open(.returned(header))
        case .confirm(let tag, let multiple):
            let isAccepted = method.id == MethodID.basicAck
            try wire.confirmed(tag, multiple: multiple) { request in
                if request.isPatient { self.input.hasPatientConfirms = true } else { self.input.hasOther = true }
                if isAccepted {
                    self.counters.confirmed.count()
                    request.confirm()
                } else {
                    self.counters.refused.count()
                    request.reject()
                }
            }
            if wire.isRetired {
                self.closeIfRetired(wire)
            } else if !isAccepted {
                self.refused(on: wire)
            }
        case .close(let reply):
            try transport.append(.closeChannelOK, on: wire.number)
            self.closedByBroker(wire, reply, transport)
        case .flow(let active):
            // Obsolete (RabbitMQ answers pressure with connection.blocked); answered because it is synchronous.
            try transport.append(.flowOK(active: active), on: wire.number)
        case .consumerTag(let tag) where method.id == MethodID.basicCancel:
            self.cancelledByBroker(tag, on: wire.owner)
        default:
            try self.answered(method, on: wire, transport)
        }
    }

    /// The answer to the oldest method that has none yet: the broker keeps the order.
    private func answered(
        _ method: InboundMethod,
        on wire: WireChannel,
        _ transport: Transport
    ) throws(AMQPError) {
        if wire.isClosing, method.id == MethodID.channelCloseOK {
            transport.wires[wire.number] = nil
            wire.isDefunct = true
        }
        guard let call = wire.calls.first else {
            if wire.isDefunct { return }
            throw FrameReader.violation("method \(method.id) answers nothing")
        }
        guard call.method.replyID == method.id else {
            throw FrameReader.violation("method \(method.id) is no answer to \(call.operation)")
        }
        wire.popCall()
        if let probe = transport.probe, probe.call === call {
            transport.probe = nil
            transport.hearsUpTo = probe.position
        }
        if !call.isPending, case .consume(let record) = call.method {
            // Nobody waits for this consumer any more; without this it would go on getting messages.
            try transport.append(.cancel(tag: record.tag, noWait: true), on: wire.number)
        }
        call.finish(.success(method))
        if wire.isRetired { self.closeIfRetired(wire) }
    }

    // MARK: Messages

    private func received(
        _ content: ContentAssembler.Content,
        on wire: WireChannel,
        _ transport: Transport
    ) throws(AMQPError) {
        switch content.opening {
        case .returned(let header):
            self.counters.returned.count()
            if wire.isConfirming {
                if !wire.markReturned(header, content.message) {
                    self.logger.debug("a returned message belongs to nobody", metadata: ["key": "\(header.routingKey)"])
                }
            } else {
                let returned = AMQPReturn(
                    replyCode: header.replyCode,
                    replyText: header.replyText,
                    exchange: header.exchange,
                    routingKey: header.routingKey,
                    message: content.message
                )
                wire.owner.onReturn?(returned)
            }
        case .deliver(let header):
            try self.delivered(header, content, on: wire, transport)
        }
    }

    private func delivered(
        _ header: DeliverHeader,
        _ content: ContentAssembler.Content,
        on wire: WireChannel,
        _ transport: Transport
    ) throws(AMQPError) {
        self.counters.delivered.count()
        if header.redelivered { self.counters.redelivered.count() }
        let consumer = wire.owner.consumer(header.consumerTag)
        let noAck = consumer?.record.noAck ?? false
        try wire.acknowledgements.delivered(header.deliveryTag, needsAcknowledgement: !noAck)
        guard !wire.isClosing else { return }
        guard let consumer else {
            // A consumer that was just given up: the message goes back to its queue.
            if wire.acknowledgements.settle(header.deliveryTag) {
                try transport.append(.reject(tag: header.deliveryTag, requeue: true), on: wire.number)
            }
            return
        }
        if let refusal = content.refusal {
            self.logger.warning(
                "AMQP message rejected unread",
                metadata: ["reason": "\(refusal)", "queue": "\(consumer.record.queue)", "noAck": "\(noAck)"]
            )
            if !noAck, wire.acknowledgements.settle(header.deliveryTag) {
                try transport.append(.reject(tag: header.deliveryTag, requeue: false), on: wire.number)
            }
            return
        }
        if consumer.batch.isEmpty {
            self.dirtyConsumers.append(consumer)
        }
        let delivery = AMQPDelivery(
            consumerTag: header.consumerTag,
            deliveryTag: AMQPDeliveryTag(number: header.deliveryTag, epoch: wire.epoch),
            redelivered: header.redelivered,
            exchange: header.exchange,
            routingKey: header.routingKey,
            message: content.message
        )
        consumer.batch.append(delivery)
    }
}
