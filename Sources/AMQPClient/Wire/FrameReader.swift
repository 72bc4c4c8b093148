import Glibc

/// A frame as it stands in the input buffer; valid until the next bytes are read.
@safe struct RawFrame {
    let type: UInt8
    let channel: UInt16
    let payload: UnsafeRawBufferPointer
}

/// Cuts the bytes of a plain TCP connection into frames.
///
/// Done here and not by librabbitmq, because here every length is checked before anything is decoded, the payload is
/// not copied once more, and the library's own buffers stay out of it.
@safe struct FrameReader: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var head = 0
    private var tail = 0
    /// The largest frame, envelope included; what is announced as larger ends the connection.
    var frameMax: Int

    init(frameMax: Int) {
        self.frameMax = frameMax
        self.capacity = 131_072
        unsafe self.base = .allocate(capacity: self.capacity)
    }

    deinit {
        unsafe self.base.deallocate()
    }

    /// Lends the free space; the closure says how much of it was filled.
    mutating func fill(
        _ body: (UnsafeMutableRawBufferPointer) throws(AMQPError) -> Int
    ) throws(AMQPError) -> Int {
        if self.head == self.tail {
            self.head = 0
            self.tail = 0
        } else if self.head > 0, self.capacity - self.tail < self.capacity / 2 {
            unsafe memmove(self.base, self.base + self.head, self.tail - self.head)
            self.tail -= self.head
            self.head = 0
        }
        if self.tail == self.capacity {
            // Only a frame larger than the whole buffer leads here; it was checked against frameMax.
            let capacity = max(2 * self.capacity, self.frameMax)
            let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            unsafe memcpy(moved, self.base, self.tail)
            unsafe self.base.deallocate()
            unsafe self.base = moved
            self.capacity = capacity
        }
        let space = unsafe UnsafeMutableRawBufferPointer(start: self.base + self.tail, count: self.capacity - self.tail)
        let count = unsafe try body(space)
        self.tail += count
        return count
    }

    /// The next complete frame, or nil when more bytes are needed.
    mutating func next() throws(AMQPError) -> RawFrame? {
        let available = self.tail - self.head
        let bytes = unsafe UnsafeRawBufferPointer(start: self.base + self.head, count: available)
        if available >= 4, unsafe bytes[0] == UInt8(ascii: "A"), unsafe bytes.starts(with: "AMQP".utf8) {
            throw Self.violation("the broker wants another version of the protocol, or is no AMQP 0-9-1 broker")
        }
        guard available >= FrameType.headerSize else { return nil }
        let type = unsafe bytes[0]
        let channel = unsafe UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt16.self))
        let size = Int(unsafe UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 3, as: UInt32.self)))
        guard size <= self.frameMax - FrameType.headerSize - 1 else {
            throw Self.violation("a frame of \(size) bytes exceeds the agreed \(self.frameMax)")
        }
        // Class and method of a method frame; class, weight, size and flags of a header frame.
        let smallest =
            switch type {
            case FrameType.method: 4
            case FrameType.header: 14
            case FrameType.body, FrameType.heartbeat: 0
            default: throw Self.violation("a frame has the unknown type \(type)")
            }
        guard size >= smallest else {
            throw Self.violation("a frame of type \(type) has only \(size) bytes")
        }
        guard (channel == 0) != (type == FrameType.header || type == FrameType.body) || type == FrameType.method
        else { throw Self.violation("a frame of type \(type) came on channel \(channel)") }
        let whole = FrameType.headerSize + size + 1
        guard available >= whole else { return nil }
        guard unsafe bytes[whole - 1] == FrameType.end else {
            throw Self.violation("a frame does not end with the octet 0xCE")
        }
        self.head += whole
        let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[FrameType.headerSize..<(whole - 1)])
        return unsafe RawFrame(type: type, channel: channel, payload: payload)
    }

    static func violation(_ message: String) -> AMQPError {
        AMQPError(.protocolViolation, operation: "reading", message: message, isRetriable: true)
    }
}
