import Glibc
import Synchronization

/// A broker on a loopback port that does what a test writes, for what no real broker would do.
///
/// Each connection is served by a thread of its own with blocking calls, bounded by a receive time-out.
package final class FakeBroker: Sendable {
    /// The client is gone, or said nothing for too long.
    package struct Gone: Error {
        package init() {}
    }

    /// One connection of the client under test.
    package final class Peer {
        package let descriptor: Int32
        /// The last confirmed message of each channel that confirms.
        var confirmed: [UInt16: UInt64] = [:]

        init(_ descriptor: Int32) {
            self.descriptor = descriptor
        }

        package func send(_ bytes: [UInt8]) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.send(self.descriptor, $0.baseAddress, $0.count, 0x4000) }
                guard count > 0 else { throw Gone() }
                rest = rest.dropFirst(count)
            }
        }

        package func receive(_ count: Int) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                var part = [UInt8](repeating: 0, count: count - bytes.count)
                let got = recv(self.descriptor, &part, part.count, 0)
                guard got > 0 else { throw Gone() }
                bytes += part.prefix(got)
            }
            return bytes
        }

        package func receiveFrame() throws -> (type: UInt8, channel: UInt16, payload: [UInt8]) {
            let head = try self.receive(7)
            let size = head[3...6].reduce(0) { $0 << 8 | Int($1) }
            let rest = try self.receive(size + 1)
            return (head[0], UInt16(head[1]) << 8 | UInt16(head[2]), Array(rest.dropLast()))
        }

        /// The next method's class and number, heartbeats skipped.
        package func receiveMethod() throws -> (channel: UInt16, id: UInt32, arguments: [UInt8]) {
            while true {
                let frame = try self.receiveFrame()
                guard frame.type == 1 else { continue }
                let id = frame.payload[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                return (frame.channel, id, Array(frame.payload[4...]))
            }
        }

        package func start(mechanisms: String = "PLAIN EXTERNAL") throws {
            _ = try self.receive(8)
            let arguments = [0, 9] + Wire.long(0) + Wire.longString(mechanisms) + Wire.longString("en_US")
            try self.send(Wire.method(0, 10, 10, arguments))
            _ = try self.receiveMethod()
        }

        package func tune(channelMax: UInt16 = 0, frameMax: UInt32 = 0, heartbeat: UInt16 = 0) throws {
            try self.send(
                Wire.method(0, 10, 30, Wire.short(channelMax) + Wire.long(frameMax) + Wire.short(heartbeat))
            )
        }

        /// Log-in as a broker does it.
        package func logIn(channelMax: UInt16 = 0, frameMax: UInt32 = 0, heartbeat: UInt16 = 0) throws {
            try self.start()
            try self.tune(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
            _ = try self.receiveMethod()
            _ = try self.receiveMethod()
            try self.send(Wire.method(0, 10, 41, [0]))
        }

        /// Answers what a real broker would answer, until the client goes or the closure ends it by throwing.
        ///
        /// The closure is told of every method after its answer is sent.
        package func serve(_ body: (_ channel: UInt16, _ id: UInt32) throws -> Void = { _, _ in }) throws {
            while true {
                let (channel, id, arguments) = try self.receiveMethod()
                switch id {
                case 0x0014_000A: try self.send(Wire.method(channel, 20, 11, Wire.long(0)))
                case 0x0014_0028: try self.send(Wire.method(channel, 20, 41))
                case 0x000A_0032: try self.send(Wire.method(0, 10, 51))
                case 0x0032_000A:
                    let name = Array(arguments[2...(2 + Int(arguments[2]))])
                    try self.send(Wire.method(channel, 50, 11, name + Wire.long(0) + Wire.long(0)))
                case 0x003C_0014:
                    let queueEnd = 2 + 1 + Int(arguments[2])
                    let tag = Array(arguments[queueEnd...(queueEnd + Int(arguments[queueEnd]))])
                    try self.send(Wire.method(channel, 60, 21, tag))
                case 0x003C_000A, 0x0055_000A:
                    try self.send(Wire.method(channel, UInt16(id >> 16), UInt16(id & 0xFFFF) + 1))
                default: break
                }
                try body(channel, id)
            }
        }
    }

    package let port: Int
    private let listener: Int32
    private let accepted = Mutex(0)
    /// How many connections there were.
    package var connections: Int { self.accepted.withLock { $0 } }

    /// Listens, and serves each connection with the closure, which gets its number, counted from 1.
    package init(_ body: @escaping @Sendable (_ peer: Peer, _ number: Int) throws -> Void) throws {
        let (listener, port) = try Loopback.listen()
        self.listener = listener
        self.port = port
        PosixThread.detach { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                let number = self.accepted.withLock {
                    $0 += 1
                    return $0
                }
                var limit = timeval(tv_sec: 20, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                PosixThread.detach {
                    do {
                        try body(Peer(descriptor), number)
                    } catch {
                        // The script is over: the client went, or the test ended it.
                    }
                    close(descriptor)
                }
            }
        }
    }

    /// Lends a fake broker; afterwards it accepts nothing any more.
    package static func with<Result>(
        _ script: @escaping @Sendable (_ peer: Peer, _ number: Int) throws -> Void,
        _ body: (_ broker: FakeBroker, _ url: String) async throws -> Result
    ) async throws -> Result {
        let broker = try FakeBroker(script)
        defer {
            shutdown(broker.listener, Int32(SHUT_RDWR))
            close(broker.listener)
        }
        return try await body(broker, "amqp://127.0.0.1:\(broker.port)")
    }
}
