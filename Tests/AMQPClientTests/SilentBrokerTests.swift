import AMQPClient
import FaultHarness
import Glibc
import InMemoryLogging
import Logging
import TestSupport
import Testing

/// A broker that goes away, says nothing or takes nothing: played by a fake one, so that it happens at the right moment.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SilentBrokerTests {
    // Fault 6.
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
            try await withImpatientConnection(url) { connection in
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

    // Fault 7, where the broker goes on sending: what it was asked before may not hide that it hears nothing.
    @Test func `a broker that answers nothing is noticed, also where something was asked already`() async throws {
        struct Deaf: Error {}
        try await FakeBroker.with { peer, number in
            try peer.logIn(heartbeat: 1)
            guard number == 1 else { return try peer.serve() }
            do {
                try peer.serve(answers: { channel, id, _ in
                    guard id == 0x003C_0014 else { return true }
                    try peer.send(Wire.method(channel, 60, 21, Wire.shortString("c")))
                    throw Deaf()
                })
            } catch is Deaf {
                while true {
                    _ = try peer.receiveFrame()
                    try peer.send(Wire.frame(8, 0, []))
                }
            }
        } _: { broker, url in
            try await withImpatientConnection(
                url,
                {
                    $0.operationTimeout = .seconds(1)
                    $0.auditInterval = .milliseconds(100)
                }
            ) { connection in
                let states = Collector<AMQPConnectionState>()
                connection.onStateChange { states.add($0) }
                let channel = try await connection.openChannel()
                try await channel.declareQueue("q")
                try await channel.consume(queue: "q", tag: "c", onDelivery: { _ in })
                let lost = try await states.wait(.seconds(20)) { states in
                    states.contains { if case .recovering = $0 { true } else { false } }
                }
                #expect(lost.contains { "\($0)".contains("does not hear this side") }, "\(lost)")
                while broker.connections < 2 { try await Task.sleep(for: .milliseconds(5)) }
            }
        }
    }

    @Test(arguments: [1, 2])
    func `a consumer that is cancelled in one piece with its start is started again`(life: Int) async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            var consumed = 0
            try peer.serve(answers: { channel, id, _ in
                guard id == 0x003C_0014 else { return true }
                consumed += 1
                let start = Wire.method(channel, 60, 21, Wire.shortString("c"))
                if number < life {
                    try peer.send(start)
                    throw FakeBroker.Gone()
                }
                if number == life, consumed == 1 {
                    try peer.send(start + Wire.method(channel, 60, 30, Wire.shortString("c") + [1]))
                } else {
                    let deliver = Wire.deliver(channel, consumer: "c", tag: 1)
                    try peer.send(start + deliver + Wire.contentHeader(channel, bodySize: 0))
                }
                return false
            })
        } _: { broker, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareQueue("q")
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                try await received.wait(for: 1, .seconds(20))
                let limit = ContinuousClock.now + .seconds(10)
                while connection.state.description != "open", .now < limit {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(connection.state.description == "open" && broker.connections == life)
            }
        }
    }

    @Test func `heartbeats are sent while nothing else is`() async throws {
        let heartbeats = Collector<Int>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn(heartbeat: 2)
            while true {
                let frame = try peer.receiveFrame()
                if frame.type == 8 {
                    heartbeats.add(1)
                    try peer.send(Wire.frame(8, 0, []))
                } else if frame.type == 1, frame.payload.starts(with: [0, 20, 0, 10]) {
                    try peer.send(Wire.method(frame.channel, 20, 11, Wire.long(0)))
                } else if frame.type == 1, frame.payload.starts(with: [0, 60, 0, 10]) {
                    try peer.send(Wire.method(frame.channel, 60, 11))
                }
            }
        } _: { broker, url in
            try await withImpatientConnection(url) { _ in
                try await heartbeats.wait(for: 5)
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
            try await withImpatientConnection(url, { $0.operationTimeout = .milliseconds(300) }) { connection in
                let channel = try await connection.openChannel()
                let error = try await failure { try await channel.declareQueue("q") }
                #expect(error.code == .timeout && error.outcomeIsUnknown)
            }
            #expect(.now - started < .seconds(5))
        }
    }

    // Fault 4.
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
            try await withImpatientConnection(url) { connection in
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

    // Fault 8.
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
            try await withImpatientConnection(url) { connection in
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

    // Fault 24.
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
            try await withImpatientConnection(url) { connection in
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
                #expect(connection.figures.blocks == 1)
                // The first was never written.
                #expect(connection.figures.published == 1)
                #expect(connection.figures.confirmed == 1)
            }
        }
    }

    // Fault 10.
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
            try await withImpatientConnection(url, { $0.operationTimeout = .seconds(1) }) { connection in
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

    // Fault 23: the broker lost patience with a consumer, for instance.
    @Test func `a channel that the broker closes is opened again with what was on it`() async throws {
        let acknowledged = Collector<Int>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            var consumed = 0
            try peer.serve { channel, id in
                switch id {
                case 0x003C_0014:
                    consumed += 1
                    let deliver = Wire.deliver(channel, consumer: "c", tag: 1)
                    try peer.send(deliver + Wire.contentHeader(channel, bodySize: 0))
                    if consumed == 1 {
                        let text = Wire.shortString("PRECONDITION_FAILED - delivery acknowledgement timed out")
                        try peer.send(Wire.method(channel, 20, 40, Wire.short(406) + text + Wire.long(0)))
                    }
                case 0x003C_0050: acknowledged.add(consumed)
                default: break
                }
            }
        } _: { broker, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                try await channel.setPrefetch(count: 1)
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                let both = try await received.wait(for: 2)
                #expect(try await !channel.acknowledge(both[0].deliveryTag))
                #expect(try await channel.acknowledge(both[1].deliveryTag))
                try await acknowledged.wait(for: 1)
                #expect(acknowledged.all == [2] && broker.connections == 1)
            }
        }
    }

    // The exchange goes with the queue of the lost connection, when the broker has noticed the loss at last.
    @Test func `an exchange that goes between its repair and its binding's is declared once more`() async throws {
        let declared = Collector<Int>()
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { channel, id in
                switch id {
                case 0x0028_000A:
                    declared.add(number)
                    try peer.send(Wire.method(channel, 40, 11))
                case 0x0032_0014:
                    // On the second connection nothing but another declaration helps.
                    guard number == 1 || declared.all.count > 2 else {
                        let text = Wire.shortString("NOT_FOUND - no exchange 'x' in vhost '/'")
                        try peer.send(Wire.method(channel, 20, 40, Wire.short(404) + text + Wire.long(0x0032_0014)))
                        return
                    }
                    try peer.send(Wire.method(channel, 50, 21))
                    if number == 1 { throw FakeBroker.Gone() }
                default: break
                }
            }
        } _: { _, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareExchange("x", type: .fanout, autoDelete: true)
                try await channel.declareQueue("q")
                // The answer may be lost with the connection: then the binding is restored with the rest.
                try? await channel.bindQueue("q", to: "x", routingKey: "")
                try await declared.wait { $0.count > 2 }
                let limit = ContinuousClock.now + .seconds(20)
                while connection.state.description != "open", .now < limit {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(connection.state.description == "open")
            }
        }
    }

    // Fault 13: permissions that come back.
    @Test func `what failed for want of an exchange follows as soon as that is declared`() async throws {
        let declared = Collector<ContinuousClock.Instant>()
        let bound = Collector<ContinuousClock.Instant>()
        let refused = Collector<Int>()
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            func close(_ channel: UInt16, _ code: UInt16, _ text: String) throws {
                try peer.send(Wire.method(channel, 20, 40, Wire.short(code) + Wire.shortString(text) + Wire.long(0)))
            }
            try peer.serve { channel, id in
                switch id {
                case 0x0028_000A where number == 2 && refused.all.isEmpty:
                    refused.add(1)
                    try close(channel, 403, "ACCESS_REFUSED - access to exchange 'x' refused")
                case 0x0028_000A:
                    if number == 2 { declared.add(.now) }
                    try peer.send(Wire.method(channel, 40, 11))
                case 0x0032_0014 where number == 2 && declared.all.isEmpty:
                    try close(channel, 404, "NOT_FOUND - no exchange 'x' in vhost '/'")
                case 0x0032_0014:
                    if number == 2 { bound.add(.now) }
                    try peer.send(Wire.method(channel, 50, 21))
                    if number == 1 { throw FakeBroker.Gone() }
                default: break
                }
            }
        } _: { _, url in
            let slow = AMQPConfiguration.Backoff(initial: .seconds(6), maximum: .seconds(6))
            try await withImpatientConnection(url, { $0.backoff = slow }) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareExchange("x", type: .fanout, autoDelete: true)
                try await channel.declareQueue("q")
                try? await channel.bindQueue("q", to: "x", routingKey: "")
                let there = try await declared.wait(for: 1)[0]
                let restored = try await bound.wait(for: 1)[0]
                // Its own pause would be three seconds, give or take.
                #expect(restored - there < .milliseconds(500), "bound \(restored - there) after its exchange was there")
            }
        }
    }

    // Fault 1.
    @Test func `attempts at a broker that is not there are spread below the longest pause, and told once`() async throws
    {
        let attempts = Collector<ContinuousClock.Instant>()
        try await FakeBroker.with { _, _ in
            attempts.add(.now)
            throw FakeBroker.Gone()
        } _: { _, url in
            var configuration = try AMQPConfiguration(url: url)
            configuration.backoff = .init(initial: .milliseconds(50), maximum: .milliseconds(800))
            let logs = InMemoryLogHandler()
            let connection = AMQPConnection(configuration, logger: Logger(label: "early") { _ in logs })
            let error = try await failure { try await connection.open(timeout: .seconds(8)) }
            #expect(error.isRetriable)
            await connection.close()
            let times = attempts.all
            let pauses = zip(times, times.dropFirst()).map { $1 - $0 }
            // The fifth and all later ones are anything from a tenth of the longest up to that.
            let later = pauses.dropFirst(4)
            #expect(later.count >= 6 && later.count <= 100, "\(pauses)")
            #expect(later.allSatisfy { $0 >= .milliseconds(80) }, "\(pauses)")
            #expect(later.max() ?? .zero <= .milliseconds(800) + .seconds(1), "\(pauses)")
            #expect((later.max() ?? .zero) - (later.min() ?? .zero) > .milliseconds(100), "no jitter: \(pauses)")
            #expect(logs.entries.filter { "\($0.message)".contains("not reachable") }.count == 1, "\(logs.entries)")
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
            try await withImpatientConnection(url, { $0.backoff = quick }) { connection in
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
