/// The properties of a message: all fourteen of the class *basic*.
///
/// Copies share their values until one of them is changed: a message is passed on many times between the socket and
/// whoever asks for one of them.
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

    fileprivate struct Fields: Sendable, Hashable {
        var contentType: String?
        var contentEncoding: String?
        var headers: AMQPTable?
        var deliveryMode: DeliveryMode?
        var priority: UInt8?
        var correlationID: String?
        var replyTo: String?
        var expiration: Duration?
        var messageID: String?
        var timestamp: UInt64?
        var type: String?
        var userID: String?
        var appID: String?
        var clusterID: String?
    }

    /// `@unchecked Sendable`: changed only by the one value that holds it.
    private final class Storage: @unchecked Sendable {
        /// Of properties of which none is set.
        static let empty = Storage(Fields())

        var fields: Fields

        init(_ fields: Fields) {
            self.fields = fields
        }
    }

    private var storage: Storage

    /// Makes properties of which none is set.
    public init() {
        self.storage = .empty
    }

    private var fields: Fields {
        _read { yield self.storage.fields }
        _modify {
            if !isKnownUniquelyReferenced(&self.storage) { self.storage = Storage(self.storage.fields) }
            yield &self.storage.fields
        }
    }

    /// Whether both share their values, and are equal therefore; what is equal need not share them.
    func isIdentical(to other: AMQPProperties) -> Bool {
        self.storage === other.storage
    }
}

extension AMQPProperties {
    /// The MIME type of the body.
    public var contentType: String? {
        get { self.fields.contentType }
        set { self.fields.contentType = newValue }
    }

    /// The encoding of the body, such as `utf-8` or `gzip`.
    public var contentEncoding: String? {
        get { self.fields.contentEncoding }
        set { self.fields.contentEncoding = newValue }
    }

    /// Headers: for the program, or for an exchange of type *headers*.
    public var headers: AMQPTable? {
        get { self.fields.headers }
        set { self.fields.headers = newValue }
    }

    /// Whether the broker writes the message to disk.
    public var deliveryMode: DeliveryMode? {
        get { self.fields.deliveryMode }
        set { self.fields.deliveryMode = newValue }
    }

    /// The priority, 0 to 255, in a queue that has priorities.
    public var priority: UInt8? {
        get { self.fields.priority }
        set { self.fields.priority = newValue }
    }

    /// Ties a reply to its request.
    public var correlationID: String? {
        get { self.fields.correlationID }
        set { self.fields.correlationID = newValue }
    }

    /// The queue to which a reply is to go.
    public var replyTo: String? {
        get { self.fields.replyTo }
        set { self.fields.replyTo = newValue }
    }

    /// How long the message may wait in a queue; on the wire in whole milliseconds.
    public var expiration: Duration? {
        get { self.fields.expiration }
        set { self.fields.expiration = newValue }
    }

    /// A name of the message, given by the sender.
    public var messageID: String? {
        get { self.fields.messageID }
        set { self.fields.messageID = newValue }
    }

    /// Seconds since 1970, given by the sender.
    public var timestamp: UInt64? {
        get { self.fields.timestamp }
        set { self.fields.timestamp = newValue }
    }

    /// The kind of message, in the program's words.
    public var type: String? {
        get { self.fields.type }
        set { self.fields.type = newValue }
    }

    /// The sender's user; the broker refuses a message whose value is not the connection's user.
    public var userID: String? {
        get { self.fields.userID }
        set { self.fields.userID = newValue }
    }

    /// The sending program.
    public var appID: String? {
        get { self.fields.appID }
        set { self.fields.appID = newValue }
    }

    /// Deprecated by the protocol, kept so that nothing is lost.
    public var clusterID: String? {
        get { self.fields.clusterID }
        set { self.fields.clusterID = newValue }
    }

    /// Compares all values.
    public static func == (left: AMQPProperties, right: AMQPProperties) -> Bool {
        left.storage === right.storage || left.fields == right.fields
    }

    /// Hashes all values.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(self.fields)
    }
}
