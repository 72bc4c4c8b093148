import AMQPClient
import FaultHarness
import Logging
import TestSupport
import Testing

/// What no real broker does, or not when asked: played by a fake one.
@Suite(.serialized, .timeLimit(.minutes(3))) struct HostileBrokerTests {
    private static let badFrames: [(String, [UInt8])] = [
        ("a wrong end octet", Wire.frame(1, 1, [0, 20, 0, 41], end: 0)),
        ("an undersized method", Wire.frame(1, 1, [0])),
        ("an unknown type", Wire.frame(9, 1, [0, 0])),
        ("an enormous length", [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("an unknown method", Wire.method(1, 60, 999)),
        ("an unknown class", Wire.method(1, 999, 1)),
        ("a truncated method", Wire.method(1, 60, 60, [200, 1])),
        ("a channel that is not open", Wire.method(77, 20, 11, Wire.long(0))),
        ("an answer to nothing", Wire.method(1, 50, 11, Wire.shortString("q") + Wire.long(0) + Wire.long(0))),
        ("a body without header", Wire.frame(3, 1, [1, 2, 3])),
        ("a header without method", Wire.contentHeader(1, bodySize: 1)),
        ("a confirm of nothing", Wire.method(1, 60, 80, Wire.longLong(5) + [0])),
        (
            "a header of another class",
            Wire.deliver(1, consumer: "c", tag: 1) + Wire.frame(2, 1, [0, 50] + [UInt8](repeating: 0, count: 12))
        ),
        (
            "a body longer than announced",
            Wire.deliver(1, consumer: "c", tag: 1) + Wire.contentHeader(1, bodySize: 1) + Wire.frame(3, 1, [1, 2])
        ),
        (
            "a method of the connection out of place",
            Wire.method(0, 10, 10, [0, 9] + Wire.long(0) + Wire.longString("") + Wire.longString(""))
        ),
        ("half a frame and the end", [1, 0, 1, 0, 0, 0, 20, 1, 2]),
        ("the end at once", []),
    ]

    // Fault 5, 31.
    @Test(arguments: badFrames)
    func `a broken frame costs the connection and nothing else`(what: String, bytes: [UInt8]) async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { _, id in
                // After the operations' channel is open, on the first connection only.
                if number == 1, id == 0x0014_000A {
                    try peer.send(bytes)
                    throw FakeBroker.Gone()
                }
            }
        } _: { broker, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                #expect(try await channel.declareQueue("q").name == "q", "\(what)")
                #expect(broker.connections >= 2)
            }
        }
    }

    // Fault 16.
    @Test func `low but legal limits are kept`() async throws {
        let sizes = Collector<Int>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn(channelMax: 3, frameMax: 4_096, heartbeat: 1)
            _ = try peer.receiveMethod()
            try peer.send(Wire.method(1, 20, 11, Wire.long(0)))
            _ = try peer.receiveMethod()
            try peer.send(Wire.method(2, 20, 11, Wire.long(0)))
            while true {
                let frame = try peer.receiveFrame()
                if frame.type == 3 { sizes.add(frame.payload.count) }
            }
        } _: { _, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                let message = AMQPMessage(body: [UInt8](repeating: 0, count: 10_000))
                try await channel.publish(message, exchange: "", routingKey: "q")
                try await sizes.wait { $0.reduce(0, +) == 10_000 }
                #expect(sizes.all == [4_088, 4_088, 1_824])
            }
        }
    }

    @Test(arguments: [1, 8, 4_095] as [UInt32])
    func `a frame size below the minimum is refused`(frameMax: UInt32) async throws {
        try await FakeBroker.with { peer, _ in
            try peer.logIn(frameMax: frameMax)
        } _: { _, url in
            let connection = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "test"))
            let error = try await failure { try await connection.open() }
            #expect(error.code == .protocolViolation)
            await connection.close()
        }
    }

    @Test func `a broker that does not offer the mechanism is refused without showing credentials`() async throws {
        try await FakeBroker.with { peer, _ in
            try peer.start(mechanisms: "GSSAPI PLAINISH")
        } _: { _, url in
            let connection = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "test"))
            let error = try await failure { try await connection.open() }
            #expect(error.code == .authenticationRefused && error.message.contains("GSSAPI"))
            await connection.close()
        }
    }

    @Test func `a message with headers nested beyond reason is rejected unread`() async throws {
        var field: [UInt8] = Array("V".utf8)
        for _ in 0..<15_000 { field = Array("A".utf8) + Wire.long(UInt32(field.count)) + field }
        let table = [1] + Array("k".utf8) + field
        let headers = Wire.long(UInt32(table.count)) + table
        let rejected = Collector<UInt8>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            while true {
                let (channel, id, arguments) = try peer.receiveMethod()
                switch id {
                case 0x0014_000A: try peer.send(Wire.method(channel, 20, 11, Wire.long(0)))
                case 0x003C_0014:
                    try peer.send(Wire.method(channel, 60, 21, Wire.shortString("c")))
                    try peer.send(Wire.deliver(channel, consumer: "c", tag: 1))
                    try peer.send(Wire.contentHeader(channel, bodySize: 3, flags: 1 << 13, headers))
                    try peer.send(Wire.frame(3, channel, [1, 2, 3]))
                    // A table that ends in the middle of a value.
                    try peer.send(Wire.deliver(channel, consumer: "c", tag: 2))
                    try peer.send(Wire.contentHeader(channel, bodySize: 0, flags: 1 << 13, Wire.long(3) + [1, 65, 66]))
                    try peer.send(
                        Wire.deliver(channel, consumer: "c", tag: 3) + Wire.contentHeader(channel, bodySize: 0)
                    )
                    // Nobody consumes under this name.
                    try peer.send(
                        Wire.deliver(channel, consumer: "x", tag: 4) + Wire.contentHeader(channel, bodySize: 0)
                    )
                case 0x003C_005A: rejected.add([arguments[7], arguments[8]])
                default: break
                }
            }
        } _: { broker, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                try await rejected.wait(for: 6)
                // The tag, and whether it goes back to the queue.
                #expect(rejected.all == [1, 0, 2, 0, 4, 1])
                #expect(received.all.map { $0.deliveryTag.number } == [3])
                #expect(broker.connections == 1)
            }
        }
    }

    // Fault 31: whatever a peer sends, the process stays.
    @Test func `frames with random contents never trap`() async throws {
        let methods: [(UInt16, UInt16)] = [
            (10, 10), (10, 20), (10, 30), (10, 41), (10, 50), (10, 51), (10, 60), (10, 61), (20, 11), (20, 20),
            (20, 40),
            (20, 41), (50, 11), (50, 31), (60, 21), (60, 30), (60, 31), (60, 50), (60, 60), (60, 71), (60, 80),
            (60, 120),
        ]
        let connections = 150
        try await FakeBroker.with { peer, number in
            if number <= connections, number % 5 == 0 {
                // In the middle of the log-in.
                _ = try peer.receive(8)
                let (classID, methodID) = methods.randomElement() ?? (10, 10)
                try peer.send(Wire.method(0, classID, methodID, Wire.random(upTo: 300)))
                return
            }
            try peer.logIn()
            try peer.serve { _, id in
                guard number <= connections, id == 0x003C_0014 else { return }
                for _ in 0..<20 {
                    let (classID, methodID) = methods.randomElement() ?? (60, 60)
                    let channel = UInt16.random(in: 0...3)
                    switch Int.random(in: 0..<4) {
                    case 0: try peer.send(Wire.method(channel, classID, methodID, Wire.random(upTo: 80)))
                    case 1: try peer.send(Wire.deliver(channel, consumer: "c", tag: .random(in: 0...50)))
                    case 2:
                        let flags = UInt16.random(in: 0...UInt16.max)
                        let size = UInt64.random(in: 0...9)
                        try peer.send(Wire.contentHeader(channel, bodySize: size, flags: flags, Wire.random(upTo: 300)))
                    default: try peer.send(Wire.frame(3, channel, Wire.random(upTo: 9)))
                    }
                }
            }
        } _: { broker, url in
            let quick = AMQPConfiguration.Backoff(initial: .milliseconds(1), maximum: .milliseconds(1))
            var configuration = try AMQPConfiguration(url: url)
            configuration.backoff = quick
            configuration.operationTimeout = .seconds(1)
            configuration.connectTimeout = .seconds(1)
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let connection = AMQPConnection(configuration, logger: logger)
            try await connection.open(timeout: .seconds(20))
            let channel = try await connection.openChannel()
            while broker.connections <= connections {
                // Fails or not, as it happens.
                _ = try? await channel.consume(queue: "q", tag: "c", onDelivery: { _ in })
                try await Task.sleep(for: .milliseconds(1))
            }
            var isServed = false
            for _ in 0..<20 where !isServed {
                isServed = (try? await channel.declareQueue("q").name) == "q"
            }
            #expect(isServed)
            await connection.close()
        }
    }
}
