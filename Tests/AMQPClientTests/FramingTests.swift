import FaultHarness
import Testing

@testable import AMQPClient

extension FrameReader {
    /// Takes bytes as the socket would bring them, and gives the frames that are complete.
    fileprivate mutating func feed(_ bytes: [UInt8]) throws -> [(type: UInt8, channel: UInt16, payload: [UInt8])] {
        var frames: [(type: UInt8, channel: UInt16, payload: [UInt8])] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try self.fill { space in
                let count = min(space.count, rest.count)
                unsafe space.copyBytes(from: rest.prefix(count))
                return count
            }
            rest = rest.dropFirst(count)
            while let frame = try self.next() {
                frames.append((frame.type, frame.channel, Array(frame.payload)))
            }
        }
        return frames
    }
}

@Suite struct FrameReaderTests {
    @Test func `frames come out whole however the bytes arrive`() throws {
        let body = (0..<5_000).map { UInt8(truncatingIfNeeded: $0) }
        let bytes =
            Wire.frame(1, 1, [0, 60, 0, 60, 7]) + Wire.frame(3, 2, body) + Wire.frame(8, 0, []) + Wire.frame(3, 1, [])
        for size in [1, 2, 7, 100, 4_999, bytes.count] {
            var reader = FrameReader(frameMax: 8_192)
            var frames: [(type: UInt8, channel: UInt16, payload: [UInt8])] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                frames += try reader.feed(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            #expect(frames.map { $0.type } == [1, 3, 8, 3])
            #expect(frames.map { $0.channel } == [1, 2, 0, 1])
            #expect(frames.map { $0.payload } == [[0, 60, 0, 60, 7], body, [], []])
        }
    }

    @Test func `a frame larger than the buffer is taken when it was agreed`() throws {
        var reader = FrameReader(frameMax: 1 << 20)
        let body = [UInt8](repeating: 7, count: 1_000_000)
        #expect(try reader.feed(Wire.frame(3, 1, body) + Wire.frame(8, 0, [])).count == 2)
    }

    // Fault 31: malformed frames.
    @Test(
        arguments: [
            ("a wrong end octet", Wire.frame(1, 1, [0, 60, 0, 60], end: 0)),
            ("an unknown type", Wire.frame(4, 1, [0, 60, 0, 60])),
            ("a method without a number", Wire.frame(1, 1, [0, 60])),
            ("an empty method", Wire.frame(1, 1, [])),
            ("a truncated content header", Wire.frame(2, 1, [0, 60, 0, 0])),
            ("a body on channel 0", Wire.frame(3, 0, [1])),
            ("a heartbeat on channel 1", Wire.frame(8, 1, [])),
            ("a length beyond the agreement", [1, 0, 1, 0, 1, 0, 0]),
            ("the largest length", [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("another protocol version", Array("AMQP".utf8) + [0, 1, 0, 0]),
        ] as [(String, [UInt8])]
    )
    func `a malformed frame is refused`(what: String, bytes: [UInt8]) {
        var reader = FrameReader(frameMax: 65_536)
        let error = #expect(throws: AMQPError.self, "\(what)") { try reader.feed(bytes) }
        #expect(error?.code == .protocolViolation)
    }

    @Test(arguments: 0..<30) func `random bytes never trap`(seed: Int) {
        var reader = FrameReader(frameMax: 4_096)
        let bytes = (0..<20_000).map { _ in Bool.random() ? UInt8.random(in: 0...3) : UInt8.random(in: 0...255) }
        // Refused or taken: both are fine, as long as the process is still there.
        _ = try? reader.feed(bytes)
    }
}

@Suite struct ContentAssemblerTests {
    private let opening = ContentAssembler.Opening.deliver(
        DeliverHeader(consumerTag: "t", deliveryTag: 1, redelivered: false, exchange: "", routingKey: "q")
    )

    private func feed(_ assembler: inout ContentAssembler, _ bytes: [UInt8]) throws -> ContentAssembler.Content? {
        try bytes.withUnsafeBytes { buffer in try unsafe assembler.body(buffer) }
    }

    @Test func `a body in several frames becomes one`() throws {
        var assembler = ContentAssembler(maxBodySize: 10)
        try assembler.open(self.opening)
        #expect(try assembler.header(AMQPProperties(), bodySize: 5) == nil)
        #expect(try self.feed(&assembler, [1, 2]) == nil)
        let content = try #require(try self.feed(&assembler, [3, 4, 5]))
        #expect(content.message.body == [1, 2, 3, 4, 5] && content.refusal == nil && assembler.isIdle)
    }

    // Fault 30: the limit holds while the message is put together.
    @Test func `a body beyond the limit is thrown away as it comes`() throws {
        var assembler = ContentAssembler(maxBodySize: 4)
        try assembler.open(self.opening)
        #expect(try assembler.header(AMQPProperties(), bodySize: 5) == nil)
        let content = try #require(try self.feed(&assembler, [1, 2, 3, 4, 5]))
        #expect(content.message.body.isEmpty && content.refusal != nil)
    }

    @Test func `an announced size takes no memory by itself`() throws {
        var assembler = ContentAssembler(maxBodySize: .max)
        try assembler.open(self.opening)
        #expect(try assembler.header(AMQPProperties(), bodySize: UInt64(Int.max)) == nil)
    }

    // Fault 31: contents out of order.
    @Test func `frames out of order are refused`() throws {
        var assembler = ContentAssembler(maxBodySize: 10)
        #expect(throws: AMQPError.self) { try assembler.header(AMQPProperties(), bodySize: 1) }
        #expect(throws: AMQPError.self) { try self.feed(&assembler, [1]) }
        try assembler.open(self.opening)
        #expect(throws: AMQPError.self) { try assembler.open(self.opening) }
        _ = try assembler.header(AMQPProperties(), bodySize: 1)
        #expect(throws: AMQPError.self) { try self.feed(&assembler, [1, 2]) }
    }
}

@Suite struct ErrorTests {
    @Test(
        arguments: [
            (311, AMQPError.Code.messageTooLarge, false), (313, .noConsumers, true), (320, .connectionClosed, true),
            (402, .notAllowed, false), (403, .accessRefused, false), (404, .notFound, false),
            (405, .resourceLocked, true), (406, .preconditionFailed, false), (501, .protocolViolation, false),
            (502, .protocolViolation, false), (503, .protocolViolation, false), (504, .protocolViolation, false),
            (505, .protocolViolation, false), (506, .resourceError, true), (530, .notAllowed, false),
            (540, .notImplemented, false), (541, .internalError, true), (999, .connectionClosed, true),
        ]
    )
    func `every reply code has its kind`(reply: Int, code: AMQPError.Code, isRetriable: Bool) {
        let error = AMQPError.replied(CloseReply(code: reply, text: "WORDS", methodID: 0), to: "queue.declare 'q'")
        #expect(error.code == code && error.isRetriable == isRetriable)
        #expect(error.replyCode == reply && error.replyText == "WORDS" && error.operation == "queue.declare 'q'")
        #expect(error.description.contains("\(reply) WORDS") && error.description.contains("queue.declare 'q'"))
    }

    @Test func `every status of the library has its words`() {
        for status in (-0x15...(-1)).map({ Int32($0) }) + [-0x100, -0x101, -0x200, -0x201, -0x202, -0x203, -0x7777] {
            let error = AMQPError.library(status: status, operation: "reading")
            #expect(!error.message.isEmpty && error.operation == "reading")
        }
        #expect(AMQPError.library(status: -2, operation: "").code == .protocolViolation)
        #expect(AMQPError.library(status: -5, operation: "").code == .connectFailed)
        #expect(AMQPError.library(status: -0x202, operation: "").code == .tlsFailed)
        #expect(AMQPError.library(status: -0xB, operation: "").code == .invalidArgument)
    }
}
