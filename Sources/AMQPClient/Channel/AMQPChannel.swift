/// A lane of a connection: publishing or consuming with its own prefetch, confirms and order.
///
/// It is a *logical* channel. When the connection is lost, or the broker closes the channel because of one operation,
/// it is opened again by itself, and what was set and started on it (prefetch, confirms, consumers) is restored.
/// It lives until ``close()``, or until its connection is closed; letting go of the object does not end it.
/// Exchanges, queues and bindings that are declared through any channel belong to the connection and are restored with
/// it, also after the channel was closed.
public final class AMQPChannel: Sendable {
    /// The connection that the channel belongs to.
    public let connection: AMQPConnection
    let id: Int

    init(id: Int, of connection: AMQPConnection) {
        self.id = id
        self.connection = connection
    }

    /// Limits the messages that are delivered and not yet acknowledged.
    ///
    /// - Parameters:
    ///   - count: The limit; 0 means none.
    ///   - global: Whether it counts for all consumers of the channel together. By default for each one that is
    ///     started afterwards.
    /// - Throws: ``AMQPError``.
    public func setPrefetch(count: UInt16, global: Bool = false) async throws(AMQPError) {
        try await self.connection.setPrefetch(self.id, count: count, global: global)
    }

    /// From now on ``publish(_:exchange:routingKey:mandatory:deadline:)`` returns when the broker has taken the message.
    public func confirmPublishes() async throws(AMQPError) {
        try await self.connection.confirmPublishes(self.id)
    }

    /// Has a closure called, on the connection's thread, for mandatory messages that come back on a channel without
    /// publisher confirms.
    ///
    /// With confirms, publishing itself fails instead.
    public func onReturn(_ body: @escaping @Sendable (AMQPReturn) -> Void) async {
        await self.connection.setReturnHandler(self.id, body)
    }

    /// Closes the channel: its consumers end, unacknowledged messages go back to their queues.
    public func close() async {
        await self.connection.closeChannel(self.id)
    }
}
