public import Messaging

/// A transport that changes some things about another, and leaves the others as they are.
public protocol TransportWrapper: Transport {
    /// The transport that does the work.
    var wrapped: any Transport { get }
}

extension TransportWrapper {
    /// The wrapped transport's waiting calls.
    public var replies: ReplyRouter { self.wrapped.replies }

    /// The wrapped transport's time.
    public var clock: any MessagingClock { self.wrapped.clock }

    /// Who sends over the wrapped transport.
    public var users: Set<String> { self.wrapped.users }

    /// Where the wrapped transport's tasks run best.
    public var taskExecutor: (any TaskExecutor)? { self.wrapped.taskExecutor }

    /// Whether the wrapped transport works.
    public var readiness: Readiness { self.wrapped.readiness }
    /// What the wrapped transport has done.
    public var figures: TransportFigures { self.wrapped.figures }
    /// Has the wrapped transport's threads take a turn.
    public func takeTurn() async { await self.wrapped.takeTurn() }

    /// Opens the wrapped transport's reply queue.
    public func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        try await self.wrapped.openReplyQueue(deadline: deadline)
    }

    /// Sends over the wrapped transport.
    public func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        try await self.wrapped.send(message, to: destination, options: options)
    }

    /// Listens over the wrapped transport.
    public func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        try await self.wrapped.listen(on: source, prefetch: prefetch, onDeliveries: onDeliveries)
    }

    /// Looks at a queue over the wrapped transport.
    public func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        try await self.wrapped.status(of: destination, deadline: deadline)
    }

    /// Closes the wrapped transport.
    public func close() async {
        await self.wrapped.close()
    }
}
