import Glibc
import Logging

/// A timer that runs a closure.
final class ActionTimer: LoopTimer {
    private let action: () -> Void

    init(_ action: @escaping () -> Void) {
        self.action = action
    }

    override func fire() {
        self.action()
    }
}

extension AMQPConnection: EventLoopClient {
    /// Unsent bytes beyond which no further message is written, so that a stalled socket does not fill the memory.
    static let unsentLimit = 8 << 20
    /// Unsent bytes that are worth a system call of their own before the end of a batch.
    static let flushThreshold = 64 << 10

    nonisolated func loopWillWait() -> EventLoopInterest {
        self.assumeIsolated { $0.finishBatch() }
    }

    nonisolated func loopIsReady(_ events: Int16) {
        self.assumeIsolated { $0.readInput() }
    }

    /// The end of a batch: writes what it left.
    private func finishBatch() -> EventLoopInterest {
        guard let transport else { return EventLoopInterest() }
        do {
            repeat {
                try self.writeAcknowledgements()
                try transport.flush()
                // Whoever is told that something is written may go on to acknowledge at once.
            } while !self.acknowledging.isEmpty
            if !self.congested.isEmpty, transport.writer.count < Self.unsentLimit {
                self.sendWaitingMessages()
                try transport.flush()
            }
            self.startWatching(transport)
        } catch {
            self.connectionLost(error)
            return EventLoopInterest()
        }
        var interest = EventLoopInterest(descriptor: transport.handle.descriptor)
        if self.quietTimer == nil || self.awaitsInput(transport) {
            interest.events |= Int16(POLLIN)
        }
        if !transport.writer.isEmpty {
            interest.events |= Int16(POLLOUT)
        }
        interest.hasBufferedInput = transport.hasBufferedInput
        return interest
    }

    private func readInput() {
        guard let transport else { return }
        self.input = InputKinds()
        defer { self.moderate() }
        do {
            try transport.read { (frame) throws(AMQPError) in
                try self.received(frame, on: transport)
            }
        } catch {
            self.broke(transport, error)
        }
        self.deliverBatches()
    }

    // MARK: Moderation

    /// How long confirms that nobody waits for are left in the socket.
    private static let quietTime: Duration = .milliseconds(2)

    /// Leaves the socket alone for a moment if all that comes are confirms that nobody waits for, as network cards do with
    /// their interrupts: waking the thread for each costs more than reading it.
    private func moderate() {
        guard self.input.hasPatientConfirms, !self.input.hasOther, self.quietTimer == nil,
            !self.channels.values.contains(where: { !$0.consumers.isEmpty })
        else { return }
        let timer = ActionTimer { [unowned self] in
            self.assumeIsolated { connection in
                connection.quietTimer = nil
                connection.readInput()
            }
        }
        self.quietTimer = timer
        self.loop.add(timer, at: .now + Self.quietTime)
    }

    /// Whether something is to come from the broker that is worth being woken for.
    private func awaitsInput(_ transport: Transport) -> Bool {
        !transport.isEstablished || self.closeWait != nil
            || transport.wires.values.contains { !$0.calls.isEmpty || $0.unconfirmed.urgent > 0 }
    }

    /// Reading failed.
    ///
    /// If it is the broker that broke the protocol, it is told so; either way the connection ends.
    private func broke(_ transport: Transport, _ error: AMQPError) {
        if error.code == .protocolViolation, transport.isEstablished, !transport.isDefunct {
            self.logger.error("AMQP broker violated the protocol", metadata: ["error": "\(error)"])
            let reply = CloseReply(code: 501, text: "protocol violation", methodID: 0)
            do {
                try transport.append(.closeConnection(reply), on: 0)
                try transport.flush()
            } catch {
                self.logger.debug("the broker cannot be told", metadata: ["error": "\(error)"])
            }
        }
        self.connectionLost(error)
    }

    /// Hands the messages of this read over, each consumer's together.
    private func deliverBatches() {
        guard !self.dirtyConsumers.isEmpty else { return }
        let consumers = self.dirtyConsumers
        self.dirtyConsumers.removeAll(keepingCapacity: true)
        for consumer in consumers {
            let batch = consumer.batch
            guard !batch.isEmpty else { continue }
            consumer.batch = []
            consumer.onDelivery(batch)
        }
    }

    // MARK: Heartbeats

    /// Heartbeats are sent and watched here, not by librabbitmq: it would write them between the parts of ours.
    private func startWatching(_ transport: Transport) {
        guard transport.isEstablished else { return }
        if let heartbeatTimer {
            // Something could not be sent: from now on the time counts in which nothing comes forward.
            let limit = transport.lastProgress + self.configuration.operationTimeout
            if !transport.writer.isEmpty, heartbeatTimer.deadline > limit {
                self.loop.add(heartbeatTimer, at: limit)
            }
            return
        }
        let timer = ActionTimer { [unowned self] in
            self.assumeIsolated { $0.checkLiveness() }
        }
        self.heartbeatTimer = timer
        self.loop.add(timer, at: self.nextCheck(transport, now: .now))
    }

    /// The broker is taken for dead after two heartbeats of silence (AMQP 0-9-1, section 4.2.7).
    ///
    /// Ours are sent after half of one, or as often as the configuration says.
    private func checkLiveness() {
        guard let transport else { return }
        let now = ContinuousClock.now
        let heartbeat = transport.heartbeat
        if heartbeat > .zero {
            if now - transport.lastReceived >= heartbeat * 2 {
                return self.connectionLost(
                    AMQPError(
                        .connectionLost,
                        operation: "heartbeat",
                        message: "nothing came from the broker for \(heartbeat * 2)"
                    )
                )
            }
            if now - transport.lastSent >= heartbeat / self.configuration.heartbeatRate, transport.writer.isEmpty {
                transport.writer.appendHeartbeat()
            }
        }
        // A blocked broker reads nothing, and says so; only a stall without a word is a fault.
        if !transport.writer.isEmpty, self.blockedReason == nil,
            now - transport.lastProgress >= self.configuration.operationTimeout
        {
            return self.connectionLost(
                AMQPError(
                    .connectionLost,
                    operation: "writing",
                    message: "the broker took nothing for \(self.configuration.operationTimeout)"
                )
            )
        }
        if let heartbeatTimer {
            self.loop.add(heartbeatTimer, at: self.nextCheck(transport, now: now))
        }
    }

    private func nextCheck(_ transport: Transport, now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        // Without heartbeats and with everything sent there is nothing to watch; an idle connection does not wake up.
        var next = now + (transport.heartbeat > .zero ? transport.heartbeat : .seconds(3_600))
        if !transport.writer.isEmpty {
            next = min(next, max(transport.lastProgress + self.configuration.operationTimeout, now + .seconds(1)))
        }
        if transport.heartbeat > .zero {
            next = min(next, transport.lastReceived + transport.heartbeat * 2)
            let interval = transport.heartbeat / self.configuration.heartbeatRate
            next = min(next, max(transport.lastSent + interval, now + interval / 2))
        }
        return max(next, now + .milliseconds(1))
    }
}
