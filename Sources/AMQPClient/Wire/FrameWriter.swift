internal import CRabbitMQ
import Glibc

/// Types of frames (AMQP 0-9-1, section 4.2.3).
enum FrameType {
    static let method: UInt8 = 1
    static let header: UInt8 = 2
    static let body: UInt8 = 3
    static let heartbeat: UInt8 = 8
    /// Type, channel, length.
    static let headerSize = 7
    /// The octet behind every frame.
    static let end: UInt8 = 0xCE
}

/// Frames that are to be sent, encoded by librabbitmq's public encoders into one buffer, so that many leave with one
/// system call (librabbitmq by itself needs three for each message).
@safe struct FrameWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var head = 0
    private var tail = 0
    /// Bytes that were ever appended.
    private(set) var appended: UInt64 = 0
    /// The largest frame, envelope included, as negotiated.
    var frameMax: Int

    init(frameMax: Int) {
        self.frameMax = frameMax
        self.capacity = 2 * frameMax
        unsafe self.base = .allocate(capacity: self.capacity)
    }

    deinit {
        unsafe self.base.deallocate()
    }

    /// Bytes that wait to be sent.
    var count: Int { self.tail - self.head }
    var isEmpty: Bool { self.head == self.tail }
    /// Bytes that were ever sent.
    var sent: UInt64 { self.appended - UInt64(self.count) }

    private mutating func reserve(_ count: Int) {
        guard self.capacity - self.tail < count else { return }
        let waiting = self.count
        if self.capacity - waiting >= count, self.head >= waiting {
            unsafe memcpy(self.base, self.base + self.head, waiting)
        } else {
            let capacity = max(2 * self.capacity, waiting + count)
            let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            unsafe memcpy(moved, self.base + self.head, waiting)
            unsafe self.base.deallocate()
            unsafe self.base = moved
            self.capacity = capacity
        }
        self.head = 0
        self.tail = waiting
    }

    private func store(_ value: UInt64, at offset: Int) {
        unsafe UnsafeMutableRawPointer(self.base + offset).storeBytes(of: value.bigEndian, as: UInt64.self)
    }

    private func store(_ value: UInt32, at offset: Int) {
        unsafe UnsafeMutableRawPointer(self.base + offset).storeBytes(of: value.bigEndian, as: UInt32.self)
    }

    private func store(_ value: UInt16, at offset: Int) {
        unsafe UnsafeMutableRawPointer(self.base + offset).storeBytes(of: value.bigEndian, as: UInt16.self)
    }

    /// Writes the envelope around a payload that already stands at its place.
    private mutating func finish(_ type: UInt8, _ channel: UInt16, payload: Int) {
        unsafe self.base[self.tail] = type
        self.store(channel, at: self.tail + 1)
        self.store(UInt32(payload), at: self.tail + 3)
        unsafe self.base[self.tail + FrameType.headerSize + payload] = FrameType.end
        self.tail += FrameType.headerSize + payload + 1
        self.appended += UInt64(FrameType.headerSize + payload + 1)
    }

    mutating func appendMethod(
        _ id: UInt32,
        on channel: UInt16,
        _ decoded: UnsafeMutableRawPointer
    ) throws(AMQPError) {
        self.reserve(self.frameMax)
        let start = self.tail + FrameType.headerSize
        self.store(id, at: start)
        let space = unsafe amqp_bytes_t(len: self.frameMax - FrameType.headerSize - 5, bytes: self.base + start + 4)
        let count = unsafe amqp_encode_method(id, decoded, space)
        guard count >= 0 else { throw self.tooLarge("the method and its arguments", status: count) }
        self.finish(FrameType.method, channel, payload: Int(count) + 4)
    }

    mutating func appendHeader(
        on channel: UInt16,
        bodySize: Int,
        _ properties: inout amqp_basic_properties_t
    ) throws(AMQPError) {
        self.reserve(self.frameMax)
        let start = self.tail + FrameType.headerSize
        self.store(UInt16(60), at: start)
        self.store(UInt16(0), at: start + 2)
        self.store(UInt64(bodySize), at: start + 4)
        let room = self.frameMax - FrameType.headerSize - 13
        let space = unsafe amqp_bytes_t(len: room, bytes: self.base + start + 12)
        let count = unsafe amqp_encode_properties(60, &properties, space)
        guard count >= 0 else { throw self.tooLarge("the message's properties and headers", status: count) }
        self.finish(FrameType.header, channel, payload: Int(count) + 12)
    }

    /// Appends the header of a message with properties that were encoded before.
    mutating func appendHeader(on channel: UInt16, bodySize: Int, encoded properties: [UInt8]) {
        self.reserve(FrameType.headerSize + 12 + properties.count + 1)
        let start = self.tail + FrameType.headerSize
        self.store(UInt16(60), at: start)
        self.store(UInt16(0), at: start + 2)
        self.store(UInt64(bodySize), at: start + 4)
        unsafe properties.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress { unsafe memcpy(self.base + start + 12, source, bytes.count) }
        }
        self.finish(FrameType.header, channel, payload: properties.count + 12)
    }

    /// The encoded properties of the header that was appended last.
    func lastProperties(since start: UInt64) -> [UInt8] {
        let count = Int(self.appended - start) - FrameType.headerSize - 13
        let bytes = unsafe UnsafeBufferPointer(start: self.base + self.tail - 1 - count, count: count)
        return unsafe Array(bytes)
    }

    /// Splits the body into as many frames as it needs; an empty one needs none.
    mutating func appendBody(_ body: [UInt8], on channel: UInt16) {
        let largest = self.frameMax - FrameType.headerSize - 1
        self.reserve(body.count + (body.count / largest + 1) * (FrameType.headerSize + 1))
        unsafe body.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            var offset = 0
            while offset < bytes.count {
                let count = min(bytes.count - offset, largest)
                unsafe memcpy(self.base + self.tail + FrameType.headerSize, source + offset, count)
                self.finish(FrameType.body, channel, payload: count)
                offset += count
            }
        }
    }

    mutating func appendHeartbeat() {
        self.reserve(FrameType.headerSize + 1)
        self.finish(FrameType.heartbeat, 0, payload: 0)
    }

    /// Takes back what was appended since ``appended`` had this value: a message of which a part could not be encoded.
    mutating func rollBack(to appended: UInt64) {
        self.tail -= Int(self.appended - appended)
        self.appended = appended
    }

    /// Lends what waits; the closure says how much of it was sent.
    mutating func send(
        _ body: (UnsafeRawBufferPointer) throws(AMQPError) -> Int
    ) throws(AMQPError) -> Int {
        let waiting = unsafe UnsafeRawBufferPointer(start: self.base + self.head, count: self.count)
        let count = unsafe try body(waiting)
        self.head += count
        if self.head == self.tail {
            self.head = 0
            self.tail = 0
            self.shrink()
        }
        return count
    }

    /// One huge message must not keep its memory for the life of the connection.
    private mutating func shrink() {
        guard self.capacity > 4 << 20, self.capacity > 4 * self.frameMax else { return }
        unsafe self.base.deallocate()
        self.capacity = 2 * self.frameMax
        unsafe self.base = .allocate(capacity: self.capacity)
    }

    private func tooLarge(_ what: String, status: Int32) -> AMQPError {
        AMQPError(
            .invalidArgument,
            operation: "encoding",
            message: "\(what) do not fit one frame of \(self.frameMax) bytes",
            cause: AMQPError.library(status: status, operation: "encoding")
        )
    }
}
