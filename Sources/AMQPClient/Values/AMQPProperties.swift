/// The properties of a message: all fourteen of the class *basic*.
public struct AMQPProperties: Sendable, Hashable {
    /// How the broker keeps a message.
    public struct DeliveryMode: Sendable, Hashable {
        /// The number on the wire.
        public let rawValue: UInt8

        /// Makes a mode from its number on the wire.
        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Kept in memory; lost when the broker restarts.
        public static let transient = DeliveryMode(rawValue: 1)
        /// Written to disk when its queue is durable.
        public static let persistent = DeliveryMode(rawValue: 2)
    }

    /// The MIME type of the body.
    public var contentType: String?
    /// The encoding of the body, such as `utf-8` or `gzip`.
    public var contentEncoding: String?
    /// Headers: for the program, or for an exchange of type *headers*.
    public var headers: AMQPTable?
    /// Whether the broker writes the message to disk.
    public var deliveryMode: DeliveryMode?
    /// The priority, 0 to 255, in a queue that has priorities.
    public var priority: UInt8?
    /// Ties a reply to its request.
    public var correlationID: String?
    /// The queue to which a reply is to go.
    public var replyTo: String?
    /// How long the message may wait in a queue; on the wire in whole milliseconds.
    public var expiration: Duration?
    /// A name of the message, given by the sender.
    public var messageID: String?
    /// Seconds since 1970, given by the sender.
    public var timestamp: UInt64?
    /// The kind of message, in the program's words.
    public var type: String?
    /// The sender's user; the broker refuses a message whose value is not the connection's user.
    public var userID: String?
    /// The sending program.
    public var appID: String?
    /// Deprecated by the protocol, kept so that nothing is lost.
    public var clusterID: String?

    /// Makes properties of which none is set.
    public init() {}
}
