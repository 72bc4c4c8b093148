/// What went wrong with an AMQP operation: which operation, why, and whether a repetition can help.
///
/// Every reply code of the broker and every status of the client library becomes one of these. No error ever
/// carries a password or a message body.
public struct AMQPError: Error, Sendable {
    /// The kind of failure.
    public var code: Code
    /// The AMQP method, or the step of connecting, that failed: `queue.declare 'volumes'`.
    public var operation: String
    /// What was wrong and, where it is known, what to do about it.
    public var message: String
    /// The AMQP reply code (404, 406 …) where the broker gave one.
    public var replyCode: Int?
    /// The broker's own words that came with ``replyCode``.
    public var replyText: String?
    /// Whether the same operation may succeed when it is repeated later without changing anything.
    public var isRetriable: Bool
    /// Whether the operation may have happened although it is reported as failed.
    ///
    /// A message that was sent but never confirmed may or may not have reached its queues.
    public var outcomeIsUnknown: Bool
    /// The error that led to this one.
    public var cause: (any Error)?

    init(
        _ code: Code,
        operation: String,
        message: String,
        reply: CloseReply? = nil,
        isRetriable: Bool? = nil,
        outcomeIsUnknown: Bool = false,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.operation = operation
        self.message = message
        self.replyCode = reply.map { $0.code }
        self.replyText = reply.map { $0.text }
        self.isRetriable = isRetriable ?? code.isUsuallyRetriable
        self.outcomeIsUnknown = outcomeIsUnknown
        self.cause = cause
    }
}

extension AMQPError: CustomStringConvertible {
    /// The operation, the kind of failure, the message and the broker's own words.
    public var description: String {
        var text = "\(self.operation): \(self.code): \(self.message)"
        if let replyCode, let replyText {
            text += " (broker: \(replyCode) \(replyText))"
        }
        if let cause {
            text += " – caused by \(cause)"
        }
        return text
    }
}

extension AMQPError {
    /// The same failure seen from another operation.
    func during(_ operation: String) -> AMQPError {
        var error = self
        error.operation = operation
        return error
    }
}
