import MessagingTesting
import Synchronization
import Testing

@testable import Messaging

/// A transport whose other side is the test: it delivers what the test makes up, and notes what is settled and sent.
final class ScriptedTransport: Transport {
    enum Settlement: Equatable { case acknowledged, rejected, requeued }

    struct Sent: Sendable {
        let message: Message
        let destination: Destination
        let options: SendOptions
    }

    let replies = ReplyRouter()
    /// What became of deliveries, in order.
    let settled = EventRecorder<Settlement>()
    /// What was taken.
    let sent = EventRecorder<Sent>()

    private struct State {
        var deliver: (@Sendable ([Delivery]) -> Void)?
        var tag: UInt64 = 0
        var refuse: (@Sendable (Message, Destination) -> RPCError?)?
    }

    private let state = Mutex(State())

    /// Lets the rule refuse what is sent.
    func refuse(_ rule: @escaping @Sendable (Message, Destination) -> RPCError?) {
        self.state.withLock { $0.refuse = rule }
    }

    /// Delivers a message to the server that listens.
    func deliver(
        _ body: [UInt8],
        contentType: String? = "application/json",
        contentEncoding: String? = "utf-8"
    ) {
        let (deliver, tag) = self.state.withLock { state in
            state.tag += 1
            return (state.deliver, state.tag)
        }
        deliver?([
            Delivery(
                body: body,
                contentType: contentType,
                contentEncoding: contentEncoding,
                token: Delivery.Token(tag: tag)
            )
        ])
    }

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String { "reply_test" }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        if let error = self.state.withLock(\.refuse)?(message, destination) { throw error }
        self.sent.record(Sent(message: message, destination: destination, options: options))
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        if case .server = source { self.state.withLock { $0.deliver = onDeliveries } }
        return ScriptedListener(settled: self.settled)
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? { nil }

    func close() async {}
}

private struct ScriptedListener: Listener {
    let settled: EventRecorder<ScriptedTransport.Settlement>

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        self.settled.record(deliveries.map { _ in .acknowledged })
        return deliveries
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        self.settled.record(deliveries.map { _ in requeue ? .requeued : .rejected })
    }

    func stopConsuming() async {}
    func close() async {}
}
