import AMQPClient
import FaultHarness
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What becomes of services whose exchanges and queues are deleted, made otherwise or held by somebody else.
@Suite(.serialized, .timeLimit(.minutes(3))) struct QueueFaultTests {
    /// Ready again so long after the fault.
    static let promise = Duration.seconds(5)

    /// Lends a service in a virtual host of its own, and the topic that it serves.
    private func withService(
        configure: (inout RabbitMQConfiguration) -> Void = { _ in },
        _ body: (FaultService, TestBroker, String) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultService.with(broker.url(virtualHost: name), configure: configure) { service in
                _ = try await service.untilAnswered()
                try await body(service, broker, name)
            }
        }
    }

    @Test func `fault 17: a queue deleted under its consumer is declared and consumed again under its name`()
        async throws
    {
        try await self.withService { service, broker, name in
            try await ConsumerWatch.with([service], at: broker.url(virtualHost: name)) { watch in
                try await self.deleteEachQueue(of: service, broker, name, watch)
                #expect(watch.violations == [])
                print("consumers: \(watch.figures)")
            }
        }
    }

    private func deleteEachQueue(
        of service: FaultService,
        _ broker: TestBroker,
        _ name: String,
        _ watch: ConsumerWatch
    ) async throws {
        let before = try await broker.consumersByQueue(virtualHost: name)
        let topic = service.client.target.topic
        for queue in before.keys.sorted() where queue.hasPrefix(topic) || queue.hasPrefix("reply_") {
            let changes = Collector<Bool>()
            service.serverTransport.onReadinessChange { changes.add($0.isReady) }
            service.clientTransport.onReadinessChange { changes.add($0.isReady) }
            try await broker.deleteQueue(queue, virtualHost: name)
            let deleted = ContinuousClock.now
            // It dips for some milliseconds only: whoever looks from time to time may well miss it.
            try await changes.wait(.seconds(5)) { $0.contains(false) }
            _ = try await service.untilAnswered(within: Self.promise)
            FaultFigures.record(fault: 17, "answering after the fault", .now - deleted)
            try await service.until(within: Self.promise, "ready") {
                service.server.readiness == .ready && service.clientTransport.readiness == .ready
            }
            let kind = queue == topic ? "topic" : queue.hasPrefix("\(topic).") ? "host" : "transient"
            FaultFigures.record(fault: 17, "\(kind) queue back after its deletion", .now - deleted)
            #expect(.now - deleted < Self.promise)
            try await watch.untilAgreed(within: Self.promise)
        }
        let after = try await broker.consumersByQueue(virtualHost: name)
        #expect(after == before)
        #expect(service.checker.violations == [])
    }

    @Test func `fault 17: what was confirmed before and after a deletion reaches the worker's new queue`() async throws
    {
        try await self.withService { service, broker, name in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 { group.addTask { await service.traffic() } }
                try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 20 }
                // A queue that is deleted takes its messages along, so nothing is under way to it just then.
                try await service.pause()
                try await service.untilSettled()
                try await broker.deleteQueue("\(service.client.target.topic).host", virtualHost: name)
                service.resume()
                let replies = service.checker.replies
                try await service.until(within: .seconds(10), "traffic") { service.checker.replies > replies + 20 }
                group.cancelAll()
            }
            try await service.untilSettled()
            #expect(service.checker.violations == [])
        }
    }

    @Test func `fault 18: after its exchange is deleted a call ends with a typed error, and the worker heals itself`()
        async throws
    {
        try await self.withService(configure: { $0.topologyCheckInterval = .seconds(3) }) { service, broker, name in
            try await broker.request("DELETE", "exchanges/\(name)/openstack")
            let deleted = ContinuousClock.now
            // The publisher meets a 404, declares the exchange again, and nothing is bound to it yet.
            let error = await service.call(timeout: .seconds(5))
            let told = ContinuousClock.now - deleted
            #expect(error?.rpcCode == .noSuchServer, "\(String(describing: error))")
            #expect(told < .seconds(2))
            FaultFigures.record(fault: 18, "typed error after the deletion of the exchange", told)
            _ = try await service.untilAnswered(within: Self.promise)
            FaultFigures.record(fault: 18, "answering after the deletion of the exchange", .now - deleted)
            #expect(service.checker.violations == [])
        }
    }

    @Test func `fault 18: a worker to which nobody sends finds out by itself that its exchange is gone`() async throws {
        try await self.withService(configure: { $0.topologyCheckInterval = .seconds(1) }) { service, broker, name in
            let changes = Collector<Readiness>()
            service.serverTransport.onReadinessChange { changes.add($0) }
            try await broker.request("DELETE", "exchanges/\(name)/openstack")
            let deleted = ContinuousClock.now
            let seen = try await changes.wait(Self.promise) { $0.contains { !$0.isReady } }
            // Whichever of exchange and bindings is asked for first.
            #expect(seen.contains { "\($0)".contains("no exchange 'openstack'") }, "\(seen)")
            try await service.untilReady(within: Self.promise)
            FaultFigures.record(fault: 18, "ready again without any message, checked each second", .now - deleted)
            _ = try await service.untilAnswered(within: .milliseconds(500))
        }
    }

    @Test(arguments: ["host", "fanout"])
    func `fault 18: a binding that is removed is made again within the time between two checks`(of kind: String)
        async throws
    {
        try await self.withService { service, broker, name in
            let topic = service.client.target.topic
            let configuration = try FaultService.configuration(broker.url(virtualHost: name))
            let transport = RabbitMQTransport(configuration)
            let plain = AMQPConnection(
                try AMQPConfiguration(url: broker.url(virtualHost: name)),
                logger: Logger(label: "operator")
            )
            try await plain.open()
            let channel = try await plain.openChannel()
            let queues = try await broker.consumersByQueue(virtualHost: name).keys
            let start = kind == "host" ? "\(topic).host" : "\(topic)_fanout_"
            let queue = try #require(queues.first { $0.hasPrefix(start) })
            let exchange = kind == "host" ? "openstack" : "\(topic)_fanout"
            try await channel.unbindQueue(queue, from: exchange, routingKey: kind == "host" ? queue : topic)
            let removed = ContinuousClock.now
            // Nobody tells of it: the next look comes after up to this time, and takes its own.
            let limit = configuration.topologyCheckInterval + Self.promise
            if kind == "host" {
                #expect(await service.call()?.rpcCode == .noSuchServer)
                _ = try await service.untilAnswered(within: limit)
            } else {
                // Its exchange went with its last binding.
                let client = RPCClient(transport, target: Target(topic: topic, isFanout: true))
                try await service.until(within: limit, "a fanout cast arrives") {
                    let item = FaultService.Item("fanout-\(UInt32.random(in: 0...UInt32.max))")
                    let executions = service.checker.executions
                    service.checker.offered(item.id, .atMostOnce)
                    try await client.prepare { $0.timeout = .seconds(1) }.cast(FaultService.once, item)
                    try await Task.sleep(for: .milliseconds(20))
                    return service.checker.executions > executions
                }
            }
            FaultFigures.record(fault: 18, "\(kind) reached after the binding was removed", .now - removed)
            #expect(.now - removed < limit)
            #expect(service.checker.violations == [])
            await plain.close()
            await transport.close()
        }
    }

    @Test func `fault 19: a queue that exists otherwise stops the start with a plan, and keeps its messages`()
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            let plain = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "operator"))
            try await plain.open()
            let channel = try await plain.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("taken.host", durable: true, arguments: ["x-max-length": 100])
            for _ in 0..<3 { try await channel.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "taken.host") }
            let start = ContinuousClock.now
            let error = await #expect(throws: RPCError.self) {
                try await FaultService.with(url, topic: "taken", waitsForServer: false) { service in
                    try await service.until(within: .seconds(10), "ended") {
                        "\(service.server.readiness)".contains("stopped")
                    }
                }
            }
            FaultFigures.record(fault: 19, "start refused", .now - start)
            let conflict = try #require((error?.cause as? AMQPError)?.cause as? TopologyConflict)
            #expect(conflict.name == "taken.host" && conflict.messages == 3)
            #expect(conflict.differences.map(\.property) == ["x-max-length"])
            #expect(error?.message.contains("Nothing was changed") == true, "\(String(describing: error))")
            let status = try await channel.declareQueuePassively("taken.host")
            #expect(status.messageCount == 3)
            await plain.close()
        }
    }

    @Test func `fault 20: a queue that a dead connection still holds is waited for, with pauses`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultProxy.with(port: broker.port) { proxy in
                let url = "amqp://\(broker.user):\(broker.password)@127.0.0.1:\(proxy.port)/\(name)"
                let connection = AMQPConnection(try Self.shortHeartbeats(url), logger: Logger(label: "holder"))
                try await connection.open()
                let channel = try await connection.openChannel()
                try await channel.declareQueue("mine", exclusive: true)
                let attempts = Collector<ContinuousClock.Instant>()
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "mine", onDelivery: { received.add($0) })
                proxy.onFrame { frame in
                    if frame.direction == .toBroker, frame.method == 0x0032_000A { attempts.add(.now) }
                    return .pass
                }
                // The client loses its connection, and the broker does not see it.
                proxy.abandon()
                let lost = ContinuousClock.now
                try await Self.until(.seconds(2), "recovering") {
                    if case .recovering = connection.state { true } else { false }
                }
                try await Self.until(.seconds(20), "open") { if case .open = connection.state { true } else { false } }
                FaultFigures.record(fault: 20, "exclusive queue back from a connection that died unseen", .now - lost)
                // Between attempts there is at least a tenth of a pause; a tight loop would make thousands.
                #expect((2...30).contains(attempts.all.count), "\(attempts.all.count)")
                FaultFigures.record(fault: 20, "declarations until then", count: attempts.all.count)
                try await channel.confirmPublishes()
                try await channel.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "mine", mandatory: true)
                try await received.wait(for: 1)
                await connection.close()
            }
        }
    }

    @Test func `fault 20: a worker with stable names waits for what its dead connection consumes`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultProxy.with(port: broker.port) { proxy in
                let url = "rabbit://\(broker.user):\(broker.password)@127.0.0.1:\(proxy.port)/\(name)"
                let direct = broker.url(virtualHost: name, scheme: "rabbit")
                let process = "fault-\(UInt32.random(in: 0...UInt32.max))"
                try await FaultService.with(
                    url,
                    clientURL: direct,
                    configure: { $0.stableNames = .init(host: "host", process: process) }
                ) { service in
                    _ = try await service.untilAnswered()
                    let attempts = Collector<ContinuousClock.Instant>()
                    proxy.onFrame { frame in
                        if frame.direction == .toBroker, frame.method == 0x003C_0014 { attempts.add(.now) }
                        return .pass
                    }
                    proxy.abandon()
                    let lost = ContinuousClock.now
                    try await service.untilReady(false, within: .seconds(2))
                    try await service.untilReady(within: .seconds(20))
                    FaultFigures.record(fault: 20, "stable names back from a connection that died unseen", .now - lost)
                    #expect(attempts.all.count < 60, "\(attempts.all.count)")
                    #expect(await service.call() == nil)
                    #expect(service.checker.violations == [])
                }
            }
        }
    }

    private static func shortHeartbeats(_ url: String) throws -> AMQPConfiguration {
        var configuration = try AMQPConfiguration(url: url)
        configuration.heartbeat = .seconds(1)
        return configuration
    }

    private static func until(_ limit: Duration, _ what: String, _ condition: () -> Bool) async throws {
        let start = ContinuousClock.now
        while !condition() {
            guard .now - start < limit else { throw FaultService.TooLate(description: "not within \(limit): \(what)") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
