import FaultHarness
import Logging
import Synchronization
import TestSupport
import Testing

@testable import AMQPClient

/// Wire contract 2.1 and 5.5: log-in, and what is agreed with the broker.
@Suite(.timeLimit(.minutes(3))) struct NegotiationTests {
    // MARK: Log-in

    @Test func `wire contract 2.1: AMQPLAIN logs in at a real broker, and a wrong password does not`() async throws {
        try await withVirtualHost { url, _ in
            try await withConnection(url: url, { $0.mechanism = .amqplain }) { connection in
                let channel = try await connection.openChannel()
                #expect(try await channel.declareQueue(exclusive: true).messageCount == 0)
            }
            var configuration = try AMQPConfiguration(url: url)
            configuration.mechanism = .amqplain
            configuration.hosts[0].password = "wrong"
            let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
            #expect(try await failure { try await connection.open() }.code == .authenticationRefused)
            await connection.close()
        }
    }

    @Test(arguments: [("AMQPLAIN", "AMQPLAIN"), ("EXTERNAL AMQPLAIN PLAIN", "PLAIN")])
    func `wire contract 2.1: PLAIN falls back to AMQPLAIN, which is the same in another form`(
        offered: String,
        chosen: String
    ) async throws {
        let seen = try await self.startOK(offering: offered) { _ in }
        #expect(seen.contains(Wire.shortString(chosen)))
    }

    @Test func `wire contract 2.1: a mechanism that is not offered is an error that names both`() async throws {
        for mechanism in [AMQPConfiguration.Mechanism.external, .amqplain] {
            try await FakeBroker.with { peer, _ in
                try peer.start(mechanisms: "PLAIN")
            } _: { _, url in
                var configuration = try AMQPConfiguration(url: url)
                configuration.mechanism = mechanism
                let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
                let error = try await failure { try await connection.open() }
                #expect(error.code == .authenticationRefused)
                #expect(error.message.contains(mechanism.name) && error.message.contains("PLAIN"))
                await connection.close()
            }
        }
    }

    /// The arguments of the client's start-ok.
    private func startOK(
        offering mechanisms: String,
        _ configure: (inout AMQPConfiguration) -> Void
    ) async throws -> [UInt8] {
        let seen = Collector<[UInt8]>()
        return try await FakeBroker.with { peer, _ in
            _ = try peer.receive(8)
            let arguments = [0, 9] + Wire.long(0) + Wire.longString(mechanisms) + Wire.longString("en_US")
            try peer.send(Wire.method(0, 10, 10, arguments))
            seen.add(try peer.receiveMethod().arguments)
            try peer.tune()
            _ = try peer.receiveMethod()
            _ = try peer.receiveMethod()
            try peer.send(Wire.method(0, 10, 41, [0]))
            try peer.serve()
        } _: { _, url in
            try await withConnection(url: url, configure) { _ in }
            return try await seen.wait(for: 1)[0]
        }
    }

    // MARK: Tuning

    @Test(arguments: [
        (ours: 1 << 24, theirs: 0, agreed: 524_288), (ours: 1 << 24, theirs: 1 << 25, agreed: 524_288),
        (ours: 131_072, theirs: 0, agreed: 131_072), (ours: 1 << 24, theirs: 8_192, agreed: 8_192),
    ])
    func `wire contract 2.1: the smaller frame is agreed to, and never one above half a megabyte`(
        ours: Int,
        theirs: Int,
        agreed: Int
    ) async throws {
        let tuned = try await self.tuneOK(frameMax: UInt32(theirs), heartbeat: 0) { $0.frameMax = ours }
        #expect(tuned.frameMax == agreed)
    }

    // 65,535 channels are what the protocol's numbers allow, and zero is no limit.
    @Test(arguments: [
        (ours: 2_047, theirs: 0, agreed: 2_047), (ours: 2_047, theirs: 3, agreed: 3),
        (ours: 100, theirs: 65_535, agreed: 100),
    ])
    func `wire contract 2.1: the smaller number of channels is agreed to, and none is no limit`(
        ours: Int,
        theirs: Int,
        agreed: Int
    ) async throws {
        let tuned = try await self.tuneOK(channelMax: UInt16(theirs), frameMax: 0, heartbeat: 0) {
            $0.channelMax = ours
        }
        #expect(tuned.channelMax == agreed)
    }

    @Test(arguments: [
        (ours: Duration.milliseconds(1), theirs: 60, agreed: 1), (.milliseconds(999), 0, 1),
        (.milliseconds(1_001), 0, 2),
        (.seconds(60), 30, 30), (.seconds(20), 30, 20), (.zero, 30, 0),
    ])
    func `wire contract 2.1: heartbeats are the smaller wish in whole seconds, and a fraction is not zero`(
        ours: Duration,
        theirs: Int,
        agreed: Int
    ) async throws {
        let tuned = try await self.tuneOK(frameMax: 0, heartbeat: UInt16(theirs)) { $0.heartbeat = ours }
        #expect(tuned.heartbeat == agreed)
    }

    @Test func `wire contract 5.5: heartbeats are sent as often as the configuration says`() async throws {
        let heartbeats = Collector<ContinuousClock.Instant>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn(heartbeat: 1)
            while true {
                let frame = try peer.receiveFrame()
                if frame.type == 8 { heartbeats.add(.now) }
                try peer.send([8, 0, 0, 0, 0, 0, 0, 0xCE])
            }
        } _: { _, url in
            let configure: (inout AMQPConfiguration) -> Void = { configuration in
                configuration.heartbeat = .seconds(1)
                configuration.heartbeatRate = 10
                configuration.closeTimeout = .milliseconds(100)
            }
            try await withConnection(url: url, configure) { _ in
                let came = try await heartbeats.wait(for: 6)
                // Twice a second, as by default, would take 2.5 s.
                #expect(came[5] - came[0] < .seconds(2))
            }
        }
    }

    /// What the client answers to connection.tune.
    private func tuneOK(
        channelMax: UInt16 = 0,
        frameMax: UInt32,
        heartbeat: UInt16,
        _ configure: (inout AMQPConfiguration) -> Void
    ) async throws -> (channelMax: Int, frameMax: Int, heartbeat: Int) {
        let seen = Collector<[UInt8]>()
        return try await FakeBroker.with { peer, _ in
            try peer.start()
            try peer.tune(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
            seen.add(try peer.receiveMethod().arguments)
            _ = try peer.receiveMethod()
            try peer.send(Wire.method(0, 10, 41, [0]))
            try peer.serve()
        } _: { _, url in
            try await withConnection(url: url, configure) { _ in }
            let arguments = try await seen.wait(for: 1)[0]
            func number(_ range: Range<Int>) -> Int { arguments[range].reduce(0) { $0 << 8 | Int($1) } }
            return (number(0..<2), number(2..<6), number(6..<8))
        }
    }

    // MARK: Settings that contradict each other

    @Test func `wire contract 5.7: a host name is not verified where the certificate is not`() async throws {
        var configuration = AMQPConfiguration()
        configuration.tls = AMQPConfiguration.TLS(verifiesPeer: false)
        let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
        let error = try await failure { try await connection.open() }
        #expect(error.code == .invalidConfiguration && error.message.contains("verifiesHostName"))
        await connection.close()
    }

    @Test func `settings out of their range are refused before anything is connected`() async throws {
        let changes: [@Sendable (inout AMQPConfiguration) -> Void] = [
            { $0.heartbeatRate = 1 }, { $0.reconnectDelay = .seconds(-1) }, { $0.reconnectSpread = .seconds(-1) },
        ]
        for change in changes {
            var configuration = AMQPConfiguration()
            change(&configuration)
            let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
            #expect(try await failure { try await connection.open() }.code == .invalidConfiguration)
            await connection.close()
        }
    }

    // MARK: Hosts and reconnection

    @Test func `wire contract 5.4: hosts are shuffled once for each connection, and all are tried`() async throws {
        var firsts: Set<Int> = []
        for order in [AMQPConfiguration.HostOrder.shuffled, .random] {
            for _ in 0..<30 {
                var configuration = AMQPConfiguration(hosts: (1...4).map { .init(name: "h", port: $0) })
                configuration.hostOrder = order
                let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
                #expect(Set(connection.configuration.hosts.map(\.port)) == [1, 2, 3, 4])
                firsts.insert(connection.configuration.hosts[0].port)
            }
        }
        #expect(firsts == [1, 2, 3, 4])
        let broker = try TestBroker()
        for order in [AMQPConfiguration.HostOrder.asGiven, .shuffled, .random] {
            let url = "amqp://127.0.0.1:1,127.0.0.1:2,\(broker.user):\(broker.password)@\(broker.host):\(broker.port)"
            try await withConnection(url: url, { $0.hostOrder = order }) { connection in
                _ = try await connection.openChannel()
            }
        }
    }

    @Test func `wire contract 5.4: a reconnection waits for the delay in addition`() async throws {
        try await withVirtualHost { url, name in
            let states = Collector<(state: String, at: ContinuousClock.Instant)>()
            let configure: (inout AMQPConfiguration) -> Void = { configuration in
                configuration.backoff = AMQPConfiguration.Backoff(initial: .milliseconds(1), maximum: .milliseconds(2))
                configuration.reconnectDelay = .milliseconds(1_500)
                configuration.reconnectSpread = .milliseconds(100)
            }
            try await withConnection(url: url, configure) { connection in
                connection.onStateChange { states.add(("\($0)", .now)) }
                try await closeConnections(virtualHost: name)
                let seen = try await states.wait { $0.count >= 2 && $0.last?.state == "open" }
                #expect(seen[seen.count - 1].at - seen[0].at >= .milliseconds(1_400))
            }
        }
    }

    // MARK: Restoring what a peer made otherwise

    @Test func `wire contract 1.3: what a peer made anew otherwise is adopted on reconnection`() async throws {
        try await withVirtualHost { url, name in
            let configure: (inout AMQPConfiguration) -> Void = { configuration in
                configuration.adoptsDurability = true
                configuration.reconnectDelay = .seconds(2)
            }
            try await withImpatientConnection(url, configure) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareExchange("x", type: .topic)
                try await channel.declareQueue("q")
                try await channel.bindQueue("q", to: "x", routingKey: "q")
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", noAck: true, onDelivery: { received.add($0) })
                let states = Collector<String>()
                connection.onStateChange { states.add("\($0)") }
                // A broker that restarts forgets both, and a peer is quicker to make them again.
                try await closeConnections(virtualHost: name)
                let broker = try TestBroker()
                for path in ["exchanges/\(name)/x", "queues/\(name)/q"] {
                    try await broker.request("DELETE", path)
                    try await broker.request("PUT", path, body: #"{"type": "topic", "durable": true}"#)
                }
                try await states.wait { $0.last == "open" }
                try await channel.publish(AMQPMessage("hello"), exchange: "x", routingKey: "q", mandatory: true)
                #expect(try await received.wait(for: 1)[0].message.text == "hello")
            }
        }
    }
}
