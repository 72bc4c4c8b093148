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
}
