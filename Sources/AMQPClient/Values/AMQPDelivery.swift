/// Names one delivery on one channel, until that channel is lost.
///
/// It knows in which life of the channel the message came: an acknowledgement that arrives after a reconnection is
/// not sent, because there the same number may belong to another message.
public struct AMQPDeliveryTag: Sendable, Hashable {
    /// The number on the wire.
    public let number: UInt64
    /// Which life of the channel it belongs to.
    package let epoch: UInt64

    package init(number: UInt64, epoch: UInt64) {
        self.number = number
        self.epoch = epoch
    }
}

/// A message that a consumer got.
public struct AMQPDelivery: Sendable {
    /// The consumer it was delivered to.
    public let consumerTag: String
    /// What acknowledges it.
    public let deliveryTag: AMQPDeliveryTag
    /// Whether the broker delivered it before, to anybody, without getting an acknowledgement.
    public let redelivered: Bool
    /// The exchange it was published to.
    public let exchange: String
    /// The routing key it was published with.
    public let routingKey: String
    /// The message.
    public let message: AMQPMessage
}

/// A message that came back because it fitted no queue, on a channel without publisher confirms.
public struct AMQPReturn: Sendable {
    /// The AMQP reply code, 312 or 313.
    public let replyCode: Int
    /// The broker's words.
    public let replyText: String
    /// The exchange it was published to.
    public let exchange: String
    /// The routing key it was published with.
    public let routingKey: String
    /// The message.
    public let message: AMQPMessage
}

/// Why a consumer stopped getting messages.
public struct AMQPCancellation: Sendable, CustomStringConvertible {
    /// Whether the client redeclares the queue and consumes again by itself.
    public let resumes: Bool
    /// What happened.
    public let description: String
}
