/// A synchronous method that was sent, until its answer comes.
///
/// `@unchecked Sendable`: as ``Wait``, touched only on the loop's thread.
final class PendingCall: Wait<InboundMethod>, @unchecked Sendable {
    let method: OutboundMethod

    init(_ method: OutboundMethod, on loop: AMQPEventLoop) {
        self.method = method
        super.init(method.description, on: loop)
    }

    override var outcomeIsUnknown: Bool { true }
}
