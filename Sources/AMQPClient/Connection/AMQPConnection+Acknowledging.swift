import Logging

/// What is said about a delivery.
enum Settlement: Sendable {
    case acknowledge
    case acknowledgeUpTo
    case reject(requeue: Bool)
    case nack(multiple: Bool, requeue: Bool)
}

extension AMQPConnection {
    /// Settles deliveries and waits until that is written.
    ///
    /// - Returns: whether all of it was written to the connection that the deliveries came from.
    func settle(
        _ id: Int,
        _ tags: [AMQPDeliveryTag],
        _ settlement: Settlement
    ) async throws(AMQPError) -> Bool {
        let wait = Wait<Bool>("basic.ack", on: self.loop)
        var areAllMarked = false
        // Marked and waited for in one step: a task with an executor of its own lets the loop go on at each `await`,
        // also within this actor, and the batch could be written in between.
        let isWritten = try await self.suspend(on: wait, until: self.operationDeadline) { () throws(AMQPError) in
            guard let (wire, isComplete) = try self.mark(id, tags, settlement), !wire.isDefunct else {
                return wait.finish(.success(false))
            }
            areAllMarked = isComplete
            wire.acknowledgementWaits.append { wait.finish(.success($0)) }
        }
        return areAllMarked && isWritten
    }

    /// Acknowledges deliveries without waiting until that is written.
    nonisolated func acknowledge(
        _ id: Int,
        _ tags: [AMQPDeliveryTag],
        completion: @escaping @Sendable (Bool) -> Void
    ) {
        self.perform {
            self.assumeIsolated { connection in
                do throws(AMQPError) {
                    guard let (wire, isComplete) = try connection.mark(id, tags, .acknowledge), !wire.isDefunct else {
                        return completion(false)
                    }
                    wire.acknowledgementWaits.append { completion($0 && isComplete) }
                } catch {
                    connection.logger.debug("acknowledgement cannot be written", metadata: ["error": "\(error)"])
                    completion(false)
                }
            }
        }
    }

    /// Which life of a channel goes on, as in its deliveries' tags: 0 while there is none; `nil` where another thread than
    /// the connection's asks.
    nonisolated func epoch(of id: Int) -> UInt64? {
        guard self.loop.isCurrent else { return nil }
        return self.assumeIsolated { $0.channels[id]?.wire?.epoch ?? 0 }
    }

    /// Does something on the connection's thread: now, where this is it.
    nonisolated func perform(_ body: @escaping @Sendable () -> Void) {
        if self.loop.isCurrent {
            body()
        } else {
            self.loop.execute(body)
        }
    }

    /// Settles deliveries; they are written at the end of the batch.
    func mark(
        _ id: Int,
        _ tags: [AMQPDeliveryTag],
        _ settlement: Settlement
    ) throws(AMQPError) -> (wire: WireChannel, isComplete: Bool)? {
        // An older connection's tags are not sent: there the same number may be another message, or none (406).
        guard let wire = self.channels[id]?.wire, let transport else { return nil }
        var settled = 0
        for tag in tags where tag.epoch == wire.epoch {
            switch settlement {
            case .acknowledge:
                settled += wire.acknowledgements.acknowledge(tag.number) ? 1 : 0
            case .acknowledgeUpTo:
                settled += wire.acknowledgements.acknowledge(upTo: tag.number) ? 1 : 0
            case .reject(let requeue), .nack(multiple: false, let requeue):
                if wire.acknowledgements.settle(tag.number) {
                    try transport.append(.reject(tag: tag.number, requeue: requeue), on: wire.number)
                    settled += 1
                }
            case .nack(multiple: true, let requeue):
                // What was acknowledged before must not be swept along.
                try self.writeAcknowledgements(of: wire, to: transport)
                if wire.acknowledgements.settle(upTo: tag.number) {
                    try transport.append(
                        .nack(tag: tag.number, multiple: true, requeue: requeue),
                        on: wire.number
                    )
                    settled += 1
                }
            }
        }
        guard settled > 0 else { return nil }
        if !wire.isAcknowledging {
            wire.isAcknowledging = true
            self.acknowledging.append(wire)
        }
        return (wire, settled == tags.count)
    }

    /// The end of a batch: acknowledgements of all channels, combined.
    func writeAcknowledgements() throws(AMQPError) {
        guard !self.acknowledging.isEmpty, let transport else { return }
        let wires = self.acknowledging
        self.acknowledging.removeAll(keepingCapacity: true)
        for wire in wires {
            wire.isAcknowledging = false
            guard !wire.isDefunct else { continue }
            try self.writeAcknowledgements(of: wire, to: transport)
            let waits = wire.acknowledgementWaits
            guard !waits.isEmpty else { continue }
            wire.acknowledgementWaits = []
            transport.whenSent { isSent in
                for wait in waits {
                    wait(isSent)
                }
            }
        }
    }

    private func writeAcknowledgements(of wire: WireChannel, to transport: Transport) throws(AMQPError) {
        for (tag, multiple) in wire.acknowledgements.take() {
            try transport.append(.acknowledge(tag: tag, multiple: multiple), on: wire.number)
        }
    }
}
