/// The kind of an exchange: how it routes.
public struct AMQPExchangeType: Sendable, Hashable, CustomStringConvertible {
    /// The name on the wire.
    public let description: String

    /// A kind that a plug-in of the broker adds.
    public init(_ name: String) {
        self.description = name
    }

    /// By equal routing keys.
    public static let direct = AMQPExchangeType("direct")
    /// To every bound queue.
    public static let fanout = AMQPExchangeType("fanout")
    /// By patterns of dotted routing keys.
    public static let topic = AMQPExchangeType("topic")
    /// By headers.
    public static let headers = AMQPExchangeType("headers")
}

/// An exchange as it was declared.
struct ExchangeRecord: Sendable, Hashable {
    var name: String
    var type: AMQPExchangeType
    var durable = false
    var autoDelete = false
    var isInternal = false
    var arguments: AMQPTable = [:]
}

/// A queue as it was declared.
struct QueueRecord: Sendable, Hashable {
    /// The name now; the broker's choice where none was asked for.
    var name: String
    /// Whether the broker chooses the name, anew on every declaration.
    var isServerNamed = false
    var durable = false
    var exclusive = false
    var autoDelete = false
    var arguments: AMQPTable = [:]
}

/// A binding of a queue or an exchange to an exchange.
struct Binding: Sendable, Hashable {
    enum Destination: Sendable, Hashable {
        case queue(String)
        case exchange(String)
    }

    var destination: Destination
    var source: String
    var routingKey: String
    var arguments: AMQPTable = [:]
}

/// How a consumer was started.
struct ConsumeRecord: Sendable, Hashable {
    var queue: String
    var tag: String
    var noAck = false
    var exclusive = false
    var arguments: AMQPTable = [:]
}
