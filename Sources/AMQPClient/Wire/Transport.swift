internal import CRabbitMQ
import Glibc

/// A frame, decoded.
///
/// The bytes of a body are valid only while the frame is handled.
@safe enum InboundFrame {
    case method(channel: UInt16, InboundMethod)
    case header(channel: UInt16, AMQPProperties?, bodySize: UInt64)
    case body(channel: UInt16, UnsafeRawBufferPointer)
    case heartbeat
}

/// One established connection, from the open socket to its loss: frames in, frames out, and what was negotiated.
///
/// Confined to the thread of its event loop.
final class Transport {
    let handle: ConnectionHandle
    let host: AMQPConfiguration.Host
    var writer: FrameWriter
    private var reader: FrameReader
    let arena = EncodingArena()
    private let decoding = EncodingArena()
    private var methodMemo = MethodMemo()
    private var propertyMemo = PropertyMemo()
    private var lastProperties = LastProperties()
    private var sentProperties = SentProperties()

    /// What was agreed with the broker.
    var channelMax: Int
    var frameMax: Int { self.writer.frameMax }
    var heartbeat: Duration = .zero

    /// The channels that are open on the wire.
    var wires: [UInt16: WireChannel] = [:] {
        didSet { self.lastWire = nil }
    }
    /// The one that was looked for last: frames of one channel come together.
    private var lastWire: WireChannel?
    /// Set as soon as the connection is given up, so that nothing more is read from it.
    var isDefunct = false
    /// Whether bytes may be left in buffers although the socket is silent.
    private(set) var hasBufferedInput = false
    private(set) var lastReceived = ContinuousClock.now
    /// How many bytes came so far.
    private(set) var received = 0
    private(set) var lastSent = ContinuousClock.now
    /// When writing last came forward, or began.
    private(set) var lastProgress = ContinuousClock.now
    /// What the broker has to answer, to show that it hears us, and until when; and how much had come when that was set.
    var probe: (call: PendingCall, position: UInt64, deadline: ContinuousClock.Instant, received: Int)?
    /// When it was last asked.
    var lastProbe = ContinuousClock.now
    /// Up to which position of the stream it is known to have heard us.
    var hearsUpTo: UInt64 = 0
    /// Who wants to know when everything up to a position of the stream is sent, in order.
    private var flushWaits = Queue<(position: UInt64, body: (Bool) -> Void)>()
    /// Whether log-in is complete.
    var isEstablished = false
    let openedAt = ContinuousClock.now

    init(_ handle: consuming ConnectionHandle, host: AMQPConfiguration.Host, configuration: AMQPConfiguration) {
        self.handle = handle
        self.host = host
        self.channelMax = configuration.channelMax
        self.writer = FrameWriter(frameMax: configuration.frameMax)
        self.reader = FrameReader(frameMax: configuration.frameMax)
    }

    /// Applies what `connection.tune` brought.
    func tune(channelMax: Int, frameMax: Int, heartbeat: Duration) {
        self.channelMax = channelMax
        self.writer.frameMax = frameMax
        self.reader.frameMax = frameMax
        self.heartbeat = heartbeat
    }

    /// The open channel of a number.
    func wire(_ number: UInt16) -> WireChannel? {
        if let lastWire, lastWire.number == number { return lastWire }
        self.lastWire = self.wires[number]
        return self.lastWire
    }

    // MARK: Writing

    func append(_ method: OutboundMethod, on channel: UInt16) throws(AMQPError) {
        try method.encode(on: channel, to: &self.writer, with: self.arena)
    }

    /// Appends a whole message, or nothing of it if a part cannot be encoded.
    ///
    /// `user` is stamped on a message that names no user itself.
    func append(
        _ message: AMQPMessage,
        sentBy user: String? = nil,
        exchange: String,
        routingKey: String,
        mandatory: Bool,
        on channel: UInt16
    ) throws(AMQPError) {
        let start = self.writer.appended
        let method = OutboundMethod.publish(exchange: exchange, routingKey: routingKey, mandatory: mandatory)
        do {
            try method.encode(on: channel, to: &self.writer, with: self.arena)
            try self.appendHeader(of: message, sentBy: user, on: channel)
            self.arena.reset()
        } catch {
            self.arena.reset()
            self.writer.rollBack(to: start)
            throw error.during(method.description)
        }
        self.writer.appendBody(message.body, on: channel)
    }

    /// The messages of a sender mostly share their properties, which are encoded once.
    private func appendHeader(of message: AMQPMessage, sentBy user: String?, on channel: UInt16) throws(AMQPError) {
        if let encoded = self.sentProperties.encoded(message.properties, sentBy: user) {
            return self.writer.appendHeader(on: channel, bodySize: message.body.count, encoded: encoded)
        }
        let start = self.writer.appended
        var properties = unsafe try message.properties.encode(with: self.arena, user: user)
        unsafe try self.writer.appendHeader(on: channel, bodySize: message.body.count, &properties)
        self.sentProperties.note(message.properties, sentBy: user, as: self.writer.lastProperties(since: start))
    }

    /// Sends what the socket takes without waiting.
    func flush() throws(AMQPError) {
        if self.writer.isEmpty {
            self.lastProgress = .now
        }
        while !self.writer.isEmpty {
            let count = unsafe try self.writer.send { (waiting) throws(AMQPError) -> Int in
                unsafe try self.handle.send(waiting) ?? 0
            }
            guard count > 0 else { break }
            self.lastSent = .now
            self.lastProgress = self.lastSent
        }
        let sent = self.writer.sent
        while let first = self.flushWaits.first, first.position <= sent {
            _ = self.flushWaits.popFirst()
            first.body(true)
        }
    }

    /// Calls the closure when everything appended so far is sent, or with false when the connection is given up.
    func whenSent(_ body: @escaping (Bool) -> Void) {
        self.flushWaits.append((self.writer.appended, body))
    }

    func giveUp() {
        self.isDefunct = true
        for waiting in self.flushWaits.drain() {
            waiting.body(false)
        }
    }

    // MARK: Reading

    /// Handles the frames that are there.
    ///
    /// At most one read from the socket, so that a flood of input cannot keep jobs and timers waiting.
    func read(_ body: (InboundFrame) throws(AMQPError) -> Void) throws(AMQPError) {
        if self.handle.isSecure, self.handle.isReadable() {
            self.lastReceived = .now
        }
        let count = unsafe try self.reader.fill { (space) throws(AMQPError) -> Int in
            unsafe try self.handle.receive(space) ?? 0
        }
        self.hasBufferedInput = self.handle.hasBufferedInput()
        guard count > 0 else { return }
        self.received += count
        self.lastReceived = .now
        while !self.isDefunct, let raw = try self.reader.next() {
            try body(try self.decode(raw))
        }
    }

    func decode(_ raw: RawFrame) throws(AMQPError) -> InboundFrame {
        self.decoding.reset()
        let payload = unsafe raw.payload
        switch raw.type {
        case FrameType.method:
            var decoded: UnsafeMutableRawPointer?
            unsafe try self.decodeMethod(payload, &decoded)
            let id = unsafe UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self))
            return unsafe try self.method(id, raw.channel, decoded)
        case FrameType.header:
            guard unsafe UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self)) == 60 else {
                throw FrameReader.violation("a content header is not of the class basic")
            }
            let bodySize = unsafe UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
            return .header(channel: raw.channel, unsafe self.properties(ofHeader: payload), bodySize: bodySize)
        case FrameType.body:
            return unsafe .body(channel: raw.channel, payload)
        default:
            return .heartbeat
        }
    }

    private func method(
        _ id: UInt32,
        _ channel: UInt16,
        _ decoded: UnsafeMutableRawPointer?
    ) throws(AMQPError) -> InboundFrame {
        guard let decoded = unsafe decoded else {
            throw FrameReader.violation("the method \(id) cannot be decoded")
        }
        return .method(channel: channel, unsafe InboundMethod(id: id, decoded: decoded, &self.methodMemo))
    }

    /// The messages of a sender mostly have the same properties, which are decoded once.
    private func properties(ofHeader payload: UnsafeRawBufferPointer) -> AMQPProperties? {
        let encoded = unsafe UnsafeRawBufferPointer(rebasing: payload[12...])
        if let known = unsafe self.lastProperties.value(of: encoded) { return known }
        var decoded: UnsafeMutableRawPointer?
        guard unsafe self.decodeProperties(payload, &decoded), let properties = unsafe self.properties(decoded) else {
            return nil
        }
        unsafe self.lastProperties.note(properties, of: encoded)
        return properties
    }

    /// Nil when a table is nested beyond reason: such a message is refused, not the connection.
    private func properties(_ decoded: UnsafeMutableRawPointer?) -> AMQPProperties? {
        guard let decoded = unsafe decoded else { return nil }
        let raw = unsafe decoded.load(as: amqp_basic_properties_t.self)
        do {
            return unsafe try AMQPProperties(decoding: raw, &self.propertyMemo)
        } catch {
            return nil
        }
    }

    private func decodeMethod(
        _ payload: UnsafeRawBufferPointer,
        _ decoded: inout UnsafeMutableRawPointer?
    ) throws(AMQPError) {
        let id = unsafe UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self))
        let arguments = unsafe Self.bytes(UnsafeRawBufferPointer(rebasing: payload[4...]))
        let status = unsafe amqp_decode_method(id, self.decoding.decodingPool, arguments, &decoded)
        guard status >= 0 else {
            throw FrameReader.violation("a method (\(id >> 16), \(id & 0xFFFF)) cannot be decoded")
        }
    }

    private func decodeProperties(
        _ payload: UnsafeRawBufferPointer,
        _ decoded: inout UnsafeMutableRawPointer?
    ) -> Bool {
        let encoded = unsafe Self.bytes(UnsafeRawBufferPointer(rebasing: payload[12...]))
        return unsafe amqp_decode_properties(60, self.decoding.decodingPool, encoded, &decoded) >= 0
    }

    private static func bytes(_ buffer: UnsafeRawBufferPointer) -> amqp_bytes_t {
        unsafe amqp_bytes_t(len: buffer.count, bytes: UnsafeMutableRawPointer(mutating: buffer.baseAddress))
    }
}
