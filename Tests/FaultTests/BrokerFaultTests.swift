import AMQPClient
import FaultHarness
import Foundation
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import TestSupport
import Testing

/// What becomes of services when their broker is not there, goes and comes, or throws them out.
@Suite(.serialized, .timeLimit(.minutes(5))) struct BrokerFaultTests {
    /// What is promised: ready again so long after the broker is.
    static let promise = Duration.seconds(5)

    @Test func `fault 1: a worker that is started before its broker waits for it, and says so once`() async throws {
        try await PrivateNode.with { node in
            let url = try node.url
            try await node.stop()
            let logs = InMemoryLogHandler()
            let transport = RabbitMQTransport(
                try FaultService.configuration(url),
                logger: Logger(label: "worker") { _ in logs }
            )
            let server = RPCServer(transport, target: .topic("early", server: "host"), endpoints: [])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                // Long enough for several attempts; the pauses between them grow to the configured maximum.
                for _ in 0..<30 {
                    try await Task.sleep(for: .milliseconds(100))
                    #expect(!server.readiness.isReady)
                }
                #expect("\(server.readiness)".contains("connection"), "\(server.readiness)")
                let changes = logs.entries.filter { "\($0.message)".contains("state changed") }
                // One that it is connecting; each further line would be repeated for as long as the broker is away.
                #expect((1...2).contains(changes.count), "\(logs.entries)")

                try await node.start()
                let returned = ContinuousClock.now
                while !server.readiness.isReady {
                    try await Task.sleep(for: .milliseconds(5))
                    guard .now - returned < .seconds(30) else { break }
                }
                #expect(server.readiness == .ready)
                #expect(.now - returned < Self.promise)
                FaultFigures.record(fault: 1, "ready after the broker", .now - returned)
                server.stop()
                try await group.waitForAll()
            }
            await transport.close()
        }
    }

    /// What nobody reports again by itself for an hour.
    private struct Reporter: SchedulerDependentManager {
        let host = "node-1"
        let serviceName = "volume"
        let serviceCapabilities = ServiceCapabilities()
        var endpoint: RPCEndpoint { RPCEndpoint(version: "3.0") {} }
    }

    @Test func `fault 15: a host whose connections were closed reports what it can do again`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let transport = RabbitMQTransport(try FaultService.configuration(broker.url(virtualHost: name)))
            let reports = Collector<String>()
            let endpoint = RPCEndpoint(version: "3.12") {
                SchedulerAPI.updateServiceCapabilities.handled { _, report in reports.add(report.host) }
            }
            let scheduler = Target.topic("cinder-scheduler", server: "scheduler-1")
            try await withRPCServer(on: transport, target: scheduler, endpoints: [endpoint]) { _ in
                let configuration = try ServiceConfiguration(overrides: ["report_interval": "3600"], environment: [:])
                let manager = Reporter()
                manager.updateServiceCapabilities(["free_capacity_gb": 1])
                let service = ManagerService(
                    manager,
                    topic: "cinder-volume",
                    transport: transport,
                    configuration: configuration
                )
                try await withManagerService(service) { _ in
                    try await until(within: .seconds(10), "the first report") { reports.all.count >= 1 }
                    // Those of the start have been sent when no more come.
                    try await Task.sleep(for: .seconds(1))
                    let before = reports.all.count
                    try await until(within: .seconds(10), "a connection") {
                        try await broker.closeConnections(virtualHost: name) >= 2
                    }
                    let again = try await until(within: .seconds(10), "a report again") { reports.all.count > before }
                    FaultFigures.record(fault: 15, "capabilities reported again", again)
                }
            }
            await transport.close()
        }
    }

    @Test func `faults 2 and 3: a broker that is restarted or killed costs no confirmed message`() async throws {
        try await PrivateNode.with(["--management"]) { node in
            let url = try node.url
            try await FaultService.with(url) { service in
                try await Self.watched(service, at: url) { watch, group in
                    for _ in 0..<4 { group.addTask { await service.traffic() } }
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 50 }
                    for (fault, end) in [(2, node.stop), (3, node.kill)] {
                        try await end()
                        // A fault that the process sees at once: its sockets are closed.
                        try await service.untilReady(false, within: .seconds(4))
                        try await node.start()
                        let ready = try await service.untilReady(within: Self.promise)
                        let answered = try await service.untilAnswered(within: Self.promise)
                        try await watch.untilAgreed(within: Self.promise)
                        FaultFigures.record(fault: fault, "ready after the broker", ready)
                        FaultFigures.record(fault: fault, "answering after the broker", ready + answered)
                        let replies = service.checker.replies
                        try await service.until(within: .seconds(20), "traffic") {
                            service.checker.replies > replies + 50
                        }
                    }
                    group.cancelAll()
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
                #expect(service.checker.confirmations > 100)
                print("calls that failed: \(service.checker.failures)")
                try await Self.expectOneConsumer(on: node, of: service)
            }
        }
    }

    @Test func `fault 15: connections that an operator closes are made anew with all that was on them`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultService.with(broker.url(virtualHost: name)) { service in
                try await Self.watched(service, at: broker.url(virtualHost: name)) { watch, group in
                    for _ in 0..<4 { group.addTask { await service.traffic() } }
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 20 }
                    // The management learns of connections late.
                    try await service.until(within: .seconds(20), "connections") {
                        try await broker.closeConnections(virtualHost: name) >= 3
                    }
                    let answered = try await service.untilAnswered(within: Self.promise)
                    FaultFigures.record(fault: 15, "answering after the fault", answered)
                    try await service.untilReady(within: Self.promise)
                    try await watch.untilAgreed(within: Self.promise)
                    let replies = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > replies + 20 }
                    group.cancelAll()
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
            let left = try await broker.consumersByQueue(virtualHost: name)
            #expect(left.values.allSatisfy { $0 == 0 }, "\(left)")
        }
    }

    /// The exchange of a fanout goes with the queue of its last server, while the next one is about to bind its own.
    @Test func `fault 18: servers that come while others go find their exchange`() async throws {
        try await TestBroker().withVirtualHost { name in
            let url = try TestBroker().url(virtualHost: name)
            let transports = try (0..<2).map { _ in RabbitMQTransport(try FaultService.configuration(url)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, transport) in transports.enumerated() {
                    group.addTask {
                        for _ in 0..<40 {
                            try await withRPCServer(
                                on: transport,
                                target: .topic("turns", server: "host-\(number)"),
                                endpoints: []
                            ) { _ in }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for transport in transports { await transport.close() }
        }
    }

    /// Tasks beside a watch over the service's consumers: while one is missing the service is not ready.
    private static func watched(
        _ service: FaultService,
        at url: String,
        _ body: (ConsumerWatch, inout ThrowingTaskGroup<Void, any Error>) async throws -> Void
    ) async throws {
        try await ConsumerWatch.with([service], at: url) { watch in
            try await withThrowingTaskGroup(of: Void.self) { group in try await body(watch, &group) }
            #expect(watch.violations == [])
            print("consumers: \(watch.figures)")
        }
    }

    /// As many consumers as there are queues of the server: a consumer that is made twice takes messages for nobody.
    private static func expectOneConsumer(on node: PrivateNode, of service: FaultService) async throws {
        let broker = try TestBroker(environment: node.environment)
        let consumers = try await broker.consumersByQueue(virtualHost: "/")
        for (queue, count) in consumers where queue.hasPrefix(service.client.target.topic) {
            #expect(count == 1, "\(queue): \(consumers)")
        }
        #expect(consumers.keys.count { $0.hasPrefix(service.client.target.topic) } >= 3, "\(consumers)")
    }
}
