/// One message on its way: waiting for the connection, or sent and waiting for its confirm.
///
/// `@unchecked Sendable`: as ``Wait``, touched only on the loop's thread.
final class PublishRequest: Wait<Void>, @unchecked Sendable {
    enum Stage {
        /// Not written yet: the connection is down, blocked, or too much is unsent.
        case waiting
        /// Written; the broker has not confirmed it.
        case unconfirmed
    }

    let message: AMQPMessage
    let exchange: String
    let routingKey: String
    let mandatory: Bool
    var stage = Stage.waiting
    /// Why it came back; the confirm that follows then means "nowhere".
    var returned: ReturnHeader?
    private let connection: AMQPConnection

    init(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool,
        on connection: AMQPConnection
    ) {
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.connection = connection
        super.init("basic.publish", on: connection.loop)
    }

    var fullOperation: String { "basic.publish '\(self.exchange)' '\(self.routingKey)'" }

    override var outcomeIsUnknown: Bool { self.stage == .unconfirmed }

    override var expiry: AMQPError {
        if self.stage == .waiting {
            return self.connection.assumeIsolated { $0.obstacle }.during(self.fullOperation)
        }
        return super.expiry.during(self.fullOperation)
    }

    /// The broker is responsible for the message now, or could not place it.
    func confirm() {
        guard let returned else { return self.finish(.success(())) }
        self.fail(
            AMQPError(
                .unroutable,
                operation: self.fullOperation,
                message: "the message fitted no queue and came back",
                reply: CloseReply(code: returned.replyCode, text: returned.replyText, methodID: MethodID.basicReturn)
            )
        )
    }

    func reject() {
        self.fail(
            AMQPError(
                .rejected,
                operation: self.fullOperation,
                message: "the broker refused the message (a full queue, for instance)"
            )
        )
    }

    /// Whether a returned message is this one; the protocol gives it no number.
    func matches(_ header: ReturnHeader, _ message: AMQPMessage) -> Bool {
        self.mandatory && self.returned == nil && self.exchange == header.exchange
            && self.routingKey == header.routingKey
            && self.message.properties.messageID == message.properties.messageID
            && self.message.properties.correlationID == message.properties.correlationID
            && self.message.body.count == message.body.count && self.message.body == message.body
    }
}
