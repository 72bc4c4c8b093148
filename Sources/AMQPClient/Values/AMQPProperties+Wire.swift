internal import CRabbitMQ
import Glibc

/// The flags of a content header, by property (AMQP 0-9-1, section 4.2.6.1).
private enum Flag {
    static let contentType: UInt32 = 1 << 15
    static let contentEncoding: UInt32 = 1 << 14
    static let headers: UInt32 = 1 << 13
    static let deliveryMode: UInt32 = 1 << 12
    static let priority: UInt32 = 1 << 11
    static let correlationID: UInt32 = 1 << 10
    static let replyTo: UInt32 = 1 << 9
    static let expiration: UInt32 = 1 << 8
    static let messageID: UInt32 = 1 << 7
    static let timestamp: UInt32 = 1 << 6
    static let type: UInt32 = 1 << 5
    static let userID: UInt32 = 1 << 4
    static let appID: UInt32 = 1 << 3
    static let clusterID: UInt32 = 1 << 2
}

/// Property values that repeat from message to message.
struct PropertyMemo {
    var contentType = StringMemo()
    var contentEncoding = StringMemo()
    var replyTo = StringMemo()
}

/// The properties that were decoded last, with the bytes that they came in.
struct LastProperties {
    /// Larger ones are seldom the same, and are not worth their memory.
    static let maximumSize = 1_024

    private var encoded: [UInt8] = []
    private var properties: AMQPProperties?

    func value(of bytes: UnsafeRawBufferPointer) -> AMQPProperties? {
        guard bytes.count == self.encoded.count, let base = bytes.baseAddress,
            unsafe self.encoded.withUnsafeBytes({ unsafe $0.baseAddress.map { unsafe memcmp($0, base, bytes.count) } })
                == 0
        else { return nil }
        return self.properties
    }

    mutating func note(_ properties: AMQPProperties, of bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.maximumSize else { return }
        self.encoded = unsafe Array(bytes)
        self.properties = properties
    }
}

/// The properties that were encoded last, and their bytes.
struct SentProperties {
    private var properties = AMQPProperties()
    private var user: String?
    private var encoded: [UInt8]?

    func encoded(_ properties: AMQPProperties, sentBy user: String?) -> [UInt8]? {
        self.properties.isIdentical(to: properties) && self.user == user ? self.encoded : nil
    }

    mutating func note(_ properties: AMQPProperties, sentBy user: String?, as encoded: [UInt8]) {
        self.properties = properties
        self.user = user
        self.encoded = encoded.count <= LastProperties.maximumSize ? encoded : nil
    }
}

extension AMQPProperties {
    /// Fills librabbitmq's structure; its memory belongs to the arena.
    func encode(with arena: borrowing EncodingArena, user: String? = nil) throws(AMQPError) -> amqp_basic_properties_t {
        var raw = unsafe amqp_basic_properties_t()
        func text(
            _ value: String?,
            _ what: StaticString,
            _ flag: UInt32,
            _ arena: borrowing EncodingArena
        ) throws(AMQPError) -> amqp_bytes_t {
            guard let value else { return unsafe amqp_bytes_t(len: 0, bytes: nil) }
            unsafe raw._flags |= flag
            return unsafe try arena.shortString(value, what)
        }
        unsafe raw.content_type = try text(self.contentType, "content type", Flag.contentType, arena)
        unsafe raw.content_encoding = try text(self.contentEncoding, "content encoding", Flag.contentEncoding, arena)
        if let headers {
            unsafe raw._flags |= Flag.headers
            unsafe raw.headers = try arena.table(headers)
        }
        if let deliveryMode {
            unsafe raw._flags |= Flag.deliveryMode
            unsafe raw.delivery_mode = deliveryMode.rawValue
        }
        if let priority {
            unsafe raw._flags |= Flag.priority
            unsafe raw.priority = priority
        }
        unsafe raw.correlation_id = try text(self.correlationID, "correlation id", Flag.correlationID, arena)
        unsafe raw.reply_to = try text(self.replyTo, "reply address", Flag.replyTo, arena)
        let expiration = self.expiration.map { String($0.wholeMilliseconds) }
        unsafe raw.expiration = try text(expiration, "expiration", Flag.expiration, arena)
        unsafe raw.message_id = try text(self.messageID, "message id", Flag.messageID, arena)
        if let timestamp {
            unsafe raw._flags |= Flag.timestamp
            unsafe raw.timestamp = timestamp
        }
        unsafe raw.type = try text(self.type, "type", Flag.type, arena)
        unsafe raw.user_id = try text(self.userID ?? user, "user id", Flag.userID, arena)
        unsafe raw.app_id = try text(self.appID, "application id", Flag.appID, arena)
        unsafe raw.cluster_id = try text(self.clusterID, "cluster id", Flag.clusterID, arena)
        return unsafe raw
    }

    /// Copies what librabbitmq decoded.
    init(decoding raw: amqp_basic_properties_t, _ memo: inout PropertyMemo) throws(UndecodableTable) {
        self.init()
        let flags = unsafe raw._flags
        if flags & Flag.contentType != 0 {
            self.contentType = unsafe memo.contentType.string(raw.content_type)
        }
        if flags & Flag.contentEncoding != 0 {
            self.contentEncoding = unsafe memo.contentEncoding.string(raw.content_encoding)
        }
        if flags & Flag.headers != 0 {
            self.headers = unsafe try AMQPValue.table(decoding: raw.headers)
        }
        if flags & Flag.deliveryMode != 0 {
            self.deliveryMode = unsafe DeliveryMode(rawValue: raw.delivery_mode)
        }
        self.priority = unsafe flags & Flag.priority != 0 ? raw.priority : nil
        self.correlationID = unsafe flags & Flag.correlationID != 0 ? String(raw.correlation_id) : nil
        self.replyTo = unsafe flags & Flag.replyTo != 0 ? memo.replyTo.string(raw.reply_to) : nil
        if flags & Flag.expiration != 0, let milliseconds = unsafe Int64(String(raw.expiration)) {
            self.expiration = .milliseconds(milliseconds)
        }
        self.messageID = unsafe flags & Flag.messageID != 0 ? String(raw.message_id) : nil
        self.timestamp = unsafe flags & Flag.timestamp != 0 ? raw.timestamp : nil
        self.type = unsafe flags & Flag.type != 0 ? String(raw.type) : nil
        self.userID = unsafe flags & Flag.userID != 0 ? String(raw.user_id) : nil
        self.appID = unsafe flags & Flag.appID != 0 ? String(raw.app_id) : nil
        self.clusterID = unsafe flags & Flag.clusterID != 0 ? String(raw.cluster_id) : nil
    }
}

extension Duration {
    /// Rounded down, and zero at least.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (product, overflow) = max(seconds, 0).multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : product + max(attoseconds, 0) / 1_000_000_000_000_000
    }
}
