import Logging

/// Going round an operation that the broker does not answer.
///
/// RabbitMQ does one method of a channel after the other, and some of them wait: the declaration of a quorum queue of which
/// too few members are there, for instance, for up to half a minute. Until it ends nothing else is done on that channel, so
/// everything else goes on over another one, and what hangs keeps its own.
extension AMQPConnection {
    /// How long an operation holds up the others.
    static let patience = Duration.seconds(3)
    /// How many may hang at the same time before the others wait after all: a broker that is slow at everything is not to be
    /// asked for the same on ever more channels.
    private static let hangingLimit = 8

    /// A method was sent on the operations' channel: sees to it that somebody looks whether it is answered.
    func watchOperations() {
        guard self.hangingTimer == nil else { return }
        self.lookAgain(at: .now + Self.patience)
    }

    private func lookAgain(at instant: ContinuousClock.Instant) {
        let timer = ActionTimer { [unowned self] in
            self.assumeIsolated { $0.lookForHanging() }
        }
        self.hangingTimer = timer
        self.loop.add(timer, at: instant)
    }

    private func lookForHanging() {
        self.hangingTimer = nil
        guard let wire = self.operations.wire, let first = wire.calls.first else { return }
        let limit = wire.firstCallSince + Self.patience
        guard limit <= .now else { return self.lookAgain(at: limit) }
        // A blocked broker reads nothing, and one that does not answer the question whether it hears us hears nothing more on
        // another channel either.
        guard self.blockedReason == nil, self.hangingWires.count < Self.hangingLimit, !Self.isProbe(first) else {
            return self.lookAgain(at: .now + Self.patience)
        }
        // Not a task group: nobody waits for it, and it ends at its deadline or with the connection.
        Task { await self.goRound(first, on: wire) }
    }

    /// The channels that were gone round, until the broker has closed them.
    var hangingWires: [WireChannel] {
        self.transport?.wires.values.filter { $0.owner === self.operations && $0.isRetired } ?? []
    }

    /// Not too much at a time while something hangs: what is behind the next that hangs is asked for again.
    func limited(_ items: [RepairItem]) -> [RepairItem] {
        self.hangingWires.isEmpty ? items : Array(items.prefix(4))
    }

    /// Whether it only asks whether the broker hears this side: the operations' channel has no prefetch of its own.
    private static func isProbe(_ call: PendingCall) -> Bool {
        if case .setPrefetch = call.method { true } else { false }
    }

    /// Goes on over another channel, once that is open: where it does not come either, or the answer comes first, the broker is
    /// busy, and would have more to do if it were asked again.
    private func goRound(_ first: PendingCall, on wire: WireChannel) async {
        do {
            try await self.openWire(of: self.operations, until: self.operationDeadline) {
                self.operations.wire === wire && wire.calls.first === first
            }
        } catch {
            return self.watchOperations()
        }
        self.logger.warning(
            "AMQP operation hangs, the others go on without it",
            metadata: ["operation": "\(first.operation)"]
        )
        wire.isRetired = true
        // The next question goes over the new channel.
        if let probe = self.transport?.probe, wire.calls.all.contains(where: { $0 === probe.call }) {
            self.transport?.probe = nil
        }
        // What would do harm if it were done twice waits there.
        for call in wire.calls.all.dropFirst() where call.isRepeatable {
            call.fail(self.reopened(call.operation))
        }
        self.closeIfRetired(wire)
        self.signalSupervisor()
    }
}
