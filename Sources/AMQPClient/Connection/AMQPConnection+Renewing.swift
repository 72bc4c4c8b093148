import Logging

/// Publishing goes on over another channel after a refusal.
///
/// A channel of RabbitMQ that meets a quorum queue while that has no leader remembers the member that is gone, and refuses
/// every later message for that queue, long after there is a leader again. A new channel asks anew.
extension AMQPConnection {
    /// Full queues refuse as well, and may do so for long: each channel is renewed this often at most.
    private static let pause = Duration.milliseconds(500)

    /// A message was refused: has the supervisor renew its channel.
    func refused(on wire: WireChannel) {
        let channel = wire.owner
        guard channel.wire === wire, channel.consumers.isEmpty, self.channels[channel.id] === channel else { return }
        if let last = channel.renewedAt, .now - last < Self.pause { return }
        channel.renewedAt = .now
        self.renewals.insert(channel.id)
        self.signalSupervisor()
    }

    /// Opens another channel on the wire in place of one; called by the supervisor alone.
    ///
    /// The old one stays until all that was sent over it has ended.
    func renew(_ id: Int) async {
        guard let channel = self.channels[id], let old = channel.wire, channel.consumers.isEmpty else { return }
        do {
            try await self.openWire(of: channel, until: .now + self.configuration.closeTimeout)
        } catch {
            self.logger.info("AMQP channel cannot be renewed", metadata: ["error": "\(error)"])
            return
        }
        old.isRetired = true
        self.closeIfRetired(old)
    }

    /// Closes a channel on the wire in whose place there is another one, if all that was sent over it has ended.
    func closeIfRetired(_ wire: WireChannel) {
        guard wire.isRetired, !wire.isDefunct, !wire.isClosing else { return }
        guard wire.unconfirmed.requests.allSatisfy({ !$0.isPending }) else { return }
        guard wire.calls.all.allSatisfy({ !$0.isPending }) else { return }
        self.closeWire(wire)
    }

    /// The channels on the wire that others have taken the place of, while something that was sent over them is under way.
    func retiredWires(of channel: ChannelState) -> [WireChannel] {
        self.transport?.wires.values.filter { $0.owner === channel && $0.isRetired && !$0.isClosing } ?? []
    }
}
