/// A synchronous method that was sent, until its answer comes.
///
/// `@unchecked Sendable`: as ``Wait``, touched only on the loop's thread.
final class PendingCall: Wait<InboundMethod>, @unchecked Sendable {
    let method: OutboundMethod
    /// Whether it does no harm twice.
    let isRepeatable: Bool

    init(_ method: OutboundMethod, isRepeatable: Bool = false, on loop: AMQPEventLoop) {
        self.method = method
        self.isRepeatable = isRepeatable
        super.init(method.description, on: loop)
    }

    override var outcomeIsUnknown: Bool { true }
}
