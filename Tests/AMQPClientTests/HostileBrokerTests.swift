import AMQPClient
import Glibc
import Logging
import TestSupport
import Testing

/// What no real broker does, or not when asked: played by a fake one.
@Suite(.serialized, .timeLimit(.minutes(2))) struct HostileBrokerTests {
    private func withConnection(
        _ url: String,
        _ configure: (inout AMQPConfiguration) -> Void = { _ in },
        _ body: (AMQPConnection) async throws -> Void
    ) async throws {
        try await AMQPClientTests.withConnection(
            url: url,
            {
                $0.backoff = AMQPConfiguration.Backoff(initial: .milliseconds(10), maximum: .milliseconds(50))
                $0.closeTimeout = .milliseconds(300)
                $0.operationTimeout = .seconds(5)
                configure(&$0)
            },
            body
        )
    }

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

    // FAULTS 5, 31.
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
            try await self.withConnection(url) { connection in
                let channel = try await connection.openChannel()
                #expect(try await channel.declareQueue("q").name == "q", "\(what)")
                #expect(broker.connections >= 2)
            }
        }
    }

    // FAULTS 16.
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
            try await self.withConnection(url) { connection in
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

    // FAULTS 6.
    @Test func `a silent broker is noticed after two heartbeats`() async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn(heartbeat: 1)
            if number == 1 {
                // Reads on, so that only the silence tells.
                while true { _ = try peer.receive(1) }
            }
            try peer.serve()
        } _: { broker, url in
            let states = Collector<AMQPConnectionState>()
            try await self.withConnection(url) { connection in
                connection.onStateChange { states.add($0) }
                let started = ContinuousClock.now
                try await states.wait(for: 1)
                let elapsed = ContinuousClock.now - started
                #expect(elapsed > .milliseconds(1_500) && elapsed < .seconds(8))
                guard case .recovering(let error) = states.all[0] else { throw FakeBroker.Gone() }
                #expect(error.operation == "heartbeat")
                _ = try await connection.openChannel()
                #expect(broker.connections == 2)
            }
        }
    }

    @Test func `heartbeats are sent while nothing else is`() async throws {
        let heartbeats = Collector<Int>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn(heartbeat: 1)
            while true {
                let frame = try peer.receiveFrame()
                if frame.type == 8 {
                    heartbeats.add(1)
                    try peer.send(Wire.frame(8, 0, []))
                } else if frame.type == 1, frame.payload.starts(with: [0, 20, 0, 10]) {
                    try peer.send(Wire.method(frame.channel, 20, 11, Wire.long(0)))
                }
            }
        } _: { broker, url in
            try await self.withConnection(url) { _ in
                try await heartbeats.wait(for: 6)
                #expect(broker.connections == 1)
            }
        }
    }

    @Test func `connecting to a broker that says nothing is bounded and can be ended`() async throws {
        try await FakeBroker.with { peer, _ in
            while true { _ = try peer.receive(1) }
        } _: { _, url in
            var configuration = try AMQPConfiguration(url: url)
            configuration.connectTimeout = .milliseconds(300)
            let bounded = AMQPConnection(configuration, logger: Logger(label: "test"))
            let error = try await failure { try await bounded.open() }
            #expect(error.code == .timeout && error.isRetriable)
            await bounded.close()

            configuration.connectTimeout = .seconds(60)
            let ended = AMQPConnection(configuration, logger: Logger(label: "test"))
            let started = ContinuousClock.now
            async let opening = failure { try await ended.open(timeout: .seconds(60)) }
            while case .idle = ended.state { try await Task.sleep(for: .milliseconds(1)) }
            await ended.close()
            #expect(try await opening.code == .closed)
            #expect(.now - started < .seconds(5))
        }
    }

    @Test func `an unanswered method ends with its deadline, and so does an unanswered close`() async throws {
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            while true {
                let (channel, id, _) = try peer.receiveMethod()
                if id == 0x0014_000A { try peer.send(Wire.method(channel, 20, 11, Wire.long(0))) }
            }
        } _: { _, url in
            let started = ContinuousClock.now
            try await self.withConnection(url, { $0.operationTimeout = .milliseconds(300) }) { connection in
                let channel = try await connection.openChannel()
                let error = try await failure { try await channel.declareQueue("q") }
                #expect(error.code == .timeout && error.outcomeIsUnknown)
            }
            #expect(.now - started < .seconds(5))
        }
    }

    // FAULTS 4.
    @Test func `a message whose confirm is lost is reported as unknown, and what waited is sent later`() async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            var published = 0
            try peer.serve { channel, id in
                guard id == 0x003C_0028 else { return }
                published += 1
                if number == 1 { throw FakeBroker.Gone() }
                try peer.send(Wire.method(channel, 60, 80, Wire.longLong(UInt64(published)) + [0]))
            }
        } _: { _, url in
            try await self.withConnection(url) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                let error = try await failure {
                    try await channel.publish(AMQPMessage("1"), exchange: "", routingKey: "q")
                }
                #expect(error.code == .connectionLost && error.outcomeIsUnknown && error.isRetriable)
                try await channel.publish(AMQPMessage("2"), exchange: "", routingKey: "q")
            }
        }
    }

    // FAULTS 8.
    @Test func `an acknowledgement from before a reconnection is not sent`() async throws {
        let acknowledged = Collector<Int>()
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { channel, id in
                switch id {
                case 0x003C_0014:
                    try peer.send(
                        Wire.deliver(channel, consumer: "c", tag: 1) + Wire.contentHeader(channel, bodySize: 0)
                    )
                    if number == 1 { throw FakeBroker.Gone() }
                case 0x003C_0050: acknowledged.add(number)
                default: break
                }
            }
        } _: { _, url in
            try await self.withConnection(url) { connection in
                let channel = try await connection.openChannel()
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                let both = try await received.wait(for: 2)
                #expect(both[0].deliveryTag.number == both[1].deliveryTag.number)
                #expect(try await !channel.acknowledge(both[0].deliveryTag))
                #expect(try await channel.acknowledge(both[1].deliveryTag))
                try await acknowledged.wait(for: 1)
                #expect(acknowledged.all == [2])
            }
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
            try await self.withConnection(url) { connection in
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

    // FAULTS 24.
    @Test func `a blocked broker holds messages back until their deadline and nothing else`() async throws {
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            var published = 0
            try peer.serve { channel, id in
                switch id {
                case 0x0055_000A: try peer.send(Wire.method(0, 10, 60, Wire.shortString("low on memory")))
                case 0x003C_000A: try peer.send(Wire.method(0, 10, 61))
                case 0x003C_0028:
                    published += 1
                    try peer.send(Wire.method(channel, 60, 80, Wire.longLong(UInt64(published)) + [0]))
                default: break
                }
            }
        } _: { _, url in
            try await self.withConnection(url) { connection in
                let states = Collector<String>()
                connection.onStateChange { states.add($0.description) }
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                try await states.wait { $0.last == "blocked: low on memory" }
                let error = try await failure {
                    try await channel.publish(
                        AMQPMessage("1"),
                        exchange: "",
                        routingKey: "q",
                        deadline: .now + .milliseconds(100)
                    )
                }
                #expect(error.code == .blocked && error.message.contains("low on memory") && !error.outcomeIsUnknown)
                #expect(error.isRetriable)
                try await channel.declareQueue("q")
                async let waiting: Void = channel.publish(AMQPMessage("2"), exchange: "", routingKey: "q")
                try await channel.setPrefetch(count: 1)
                try await waiting
                #expect(states.all.last == "open")
            }
        }
    }

    // FAULTS 10.
    @Test func `a broker that stops reading is given up, and reading goes on until then`() async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { channel, id in
                if number == 1, id == 0x003C_0014 {
                    for tag in 1...2_000 as ClosedRange<UInt64> {
                        usleep(1_000)
                        try peer.send(
                            Wire.deliver(channel, consumer: "c", tag: tag) + Wire.contentHeader(channel, bodySize: 0)
                        )
                    }
                    usleep(10_000_000)
                }
            }
        } _: { broker, url in
            try await self.withConnection(url, { $0.operationTimeout = .seconds(1) }) { connection in
                let channel = try await connection.openChannel()
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                let message = AMQPMessage(body: [UInt8](repeating: 0, count: 32 << 20))
                let error = try await failure {
                    try await channel.publish(message, exchange: "", routingKey: "q", deadline: .now + .seconds(20))
                }
                #expect(error.code == .connectionLost)
                #expect(received.all.count > 300)
                #expect(try await channel.declareQueue("q").name == "q")
                #expect(broker.connections == 2)
            }
        }
    }

    @Test func `a thousand reconnections leave no descriptor and no memory behind`() async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { _, id in
                // As soon as everything is restored, the connection goes.
                if id == 0x003C_0014, number <= 1_000 { throw FakeBroker.Gone() }
            }
        } _: { broker, url in
            let quick = AMQPConfiguration.Backoff(initial: .milliseconds(1), maximum: .milliseconds(1))
            try await self.withConnection(url, { $0.backoff = quick }) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareQueue("q")
                try await channel.consume(queue: "q", onDelivery: { _ in })
                func wait(for number: Int) async throws {
                    while broker.connections < number {
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                try await wait(for: 200)
                let before = ProcessFigures()
                try await wait(for: 1_001)
                try await channel.declareQueue("q")
                let after = ProcessFigures()
                // Other suites run at the same time; a leak would be 800 descriptors and 200 MB of buffers.
                #expect(after.descriptors < before.descriptors + 200)
                #expect(after.residentBytes < before.residentBytes + 120 << 20)
            }
        }
    }
}
