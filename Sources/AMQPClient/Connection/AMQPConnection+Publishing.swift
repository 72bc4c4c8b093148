import Logging

extension AMQPConnection {
    /// Takes a message on, and sends it if the way is free.
    func accept(_ request: PublishRequest) {
        do throws(AMQPError) {
            guard request.message.body.count <= self.configuration.maxBodySize else {
                throw AMQPError(
                    .messageTooLarge,
                    operation: request.fullOperation,
                    message: "the body has \(request.message.body.count) bytes; "
                        + "the limit is \(self.configuration.maxBodySize)"
                )
            }
            let channel = try self.channel(request.channelID, for: request.fullOperation)
            guard self.phase == .running else { throw self.closedError(request.fullOperation) }
            // What is over already is not sent.
            if request.deadline <= .now { throw request.expiry }
            self.expirePublishes(at: request.deadline)
            if let wire = self.wireReady(for: channel), channel.waitingPublishes.isEmpty {
                try self.send(request, on: wire)
            } else {
                self.defer(request, on: channel)
            }
        } catch {
            request.fail(error)
        }
    }

    /// Sees to it that messages end at their deadlines, of which one is at `instant`.
    ///
    /// One timer for all of them, for the earliest: nearly every message is confirmed long before, and would pay for
    /// its own twice.
    private func expirePublishes(at instant: ContinuousClock.Instant) {
        if let publishTimer, publishTimer.deadline <= instant { return }
        let timer =
            self.publishTimer
            ?? ActionTimer { [unowned self] in
                self.assumeIsolated { $0.failOverduePublishes() }
            }
        self.publishTimer = timer
        self.loop.add(timer, at: instant)
    }

    private func failOverduePublishes() {
        self.publishTimer = nil
        let now = ContinuousClock.now
        var next: ContinuousClock.Instant?
        for channel in self.channels.values {
            let retired = self.retiredWires(of: channel)
            defer { retired.forEach { self.closeIfRetired($0) } }
            let sent = ([channel.wire].compactMap { $0 } + retired).flatMap(\.unconfirmed.requests)
            for request in channel.waitingPublishes.all + sent
            where request.isPending {
                if request.deadline <= now {
                    request.fail(request.expiry)
                } else {
                    next = next.map { min($0, request.deadline) } ?? request.deadline
                }
            }
        }
        if let next { self.expirePublishes(at: next) }
    }

    /// The channel, if a message can be written to it now.
    private func wireReady(for channel: ChannelState) -> WireChannel? {
        guard let wire = channel.wire, let transport, self.blockedReason == nil,
            transport.writer.count < Self.unsentLimit, wire.isConfirming == channel.confirms
        else { return nil }
        return wire
    }

    private func `defer`(_ request: PublishRequest, on channel: ChannelState) {
        // What was given up meanwhile still holds its body; it is swept out before it becomes much.
        if channel.waitingPublishes.count >= channel.nextSweep {
            channel.waitingPublishes.removeAll { !$0.isPending }
            channel.nextSweep = max(64, 2 * channel.waitingPublishes.count)
        }
        channel.waitingPublishes.append(request)
        self.congested.insert(channel.id)
    }

    private func send(_ request: PublishRequest, on wire: WireChannel) throws(AMQPError) {
        guard let transport else { return }
        let stampsUser = self.configuration.sendsUserID && self.configuration.mechanism != .external
        try transport.append(
            request.message,
            sentBy: stampsUser ? transport.host.user : nil,
            exchange: request.exchange,
            routingKey: request.routingKey,
            mandatory: request.mandatory,
            on: wire.number
        )
        self.counters.published.count()
        if wire.isConfirming {
            wire.sent(request)
        } else {
            request.written()
            transport.whenSent { isSent in
                if isSent {
                    request.finish(.success(()))
                } else {
                    let error = AMQPError(.connectionLost, operation: "writing", message: "the connection is lost")
                    request.fail(self.unknownOutcome(of: request, because: error))
                }
            }
        }
        if transport.writer.count >= Self.flushThreshold {
            do {
                try transport.flush()
            } catch {
                // The request was failed with the connection.
                self.connectionLost(error)
            }
        }
    }

    /// The way is free (again): sends what waited, in order.
    func sendWaitingMessages() {
        for id in self.congested {
            guard let channel = self.channels[id] else {
                self.congested.remove(id)
                continue
            }
            self.sendWaitingMessages(of: channel)
        }
    }

    func sendWaitingMessages(of channel: ChannelState) {
        while let request = channel.waitingPublishes.first {
            guard let wire = self.wireReady(for: channel) else { return }
            _ = channel.waitingPublishes.popFirst()
            guard request.isPending else { continue }
            do {
                try self.send(request, on: wire)
            } catch {
                request.fail(error)
            }
        }
        self.congested.remove(channel.id)
    }

    /// A channel was closed by the broker: what became of the messages that it had not confirmed.
    ///
    /// If its words fit one of them, that one failed for certain; of those before it nothing is known; the broker ignored
    /// those after it, and they are sent again. If the words fit several, the first of these may have been routed before
    /// their exchange went: nothing is known then of any up to the last.
    func settlePublishes(of wire: WireChannel, after reply: CloseReply) {
        let requests = wire.unconfirmed.removeAll()
        let blamed =
            reply.methodID == MethodID.basicPublish ? requests.indices.filter { requests[$0].isBlamed(by: reply) } : []
        let isTooLarge = reply.code == 406
        // Too large is each of them; the broker stopped at the first.
        let culprit = blamed.count == 1 || isTooLarge ? blamed.first : nil
        let ignored = (culprit ?? blamed.last).map { requests[($0 + 1)...].filter(\.isPending) } ?? []

        // An exchange that was declared here is declared again, and then there is a place to go.
        let isRepaired = reply.code == 404 && blamed.last.map { self.repairExchange(requests[$0].exchange) } ?? false
        if let culprit {
            var error = AMQPError.replied(reply, to: requests[culprit].fullOperation)
            if isTooLarge { error.code = .messageTooLarge }
            error.isRetriable = error.isRetriable || isRepaired
            requests[culprit].fail(error)
        }
        var closed = AMQPError.replied(reply, to: "channel")
        closed.code = .channelClosed
        for request in requests[..<(culprit ?? blamed.last.map { $0 + 1 } ?? requests.endIndex)] {
            request.fail(self.unknownOutcome(of: request, because: closed))
        }
        guard !ignored.isEmpty else { return }
        for request in ignored {
            request.stage = .waiting
        }
        wire.owner.waitingPublishes.prepend(contentsOf: ignored)
        self.congested.insert(wire.owner.id)
    }

    /// Has an exchange declared and bound again; `false` if it was not declared here.
    private func repairExchange(_ name: String) -> Bool {
        guard self.topology.exchanges[name] != nil else { return false }
        self.repairs.add(.exchange(name))
        for binding in self.topology.bindings where binding.source == name {
            self.repairs.add(.binding(binding))
        }
        return true
    }
}

extension PublishRequest {
    /// Whether the broker's words are about this message.
    ///
    /// They name the exchange, or the size that is too large; the protocol has no better reference. They name the virtual
    /// host and the user as well, which may be called like another exchange.
    func isBlamed(by reply: CloseReply) -> Bool {
        reply.text.utf8.contains(subsequence: "exchange '\(self.exchange)'".utf8)
            || reply.text.utf8.contains(subsequence: " \(self.message.body.count) ".utf8)
    }
}

extension String.UTF8View {
    func contains(subsequence other: String.UTF8View) -> Bool {
        var index = self.startIndex
        while index < self.endIndex {
            if self[index...].starts(with: other) { return true }
            index = self.index(after: index)
        }
        return other.isEmpty
    }
}
