import AMQPClient
import FaultHarness
import Foundation
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

/// What becomes of messages where the broker takes none, or not all, or takes back what it had handed out.
@Suite(.serialized, .timeLimit(.minutes(4))) struct AlarmFaultTests {
    private static let slow = RPCMethod<FaultService.Item, Void>(
        "slow",
        since: "1.0",
        delivery: .atLeastOnce(attempts: 100, backoff: .constant(.milliseconds(100))),
        timeLimit: .seconds(60)
    )

    /// What raises an alarm of a broker, and ends it again.
    struct Alarm: Sendable, CustomTestStringConvertible {
        let resource: String
        let raise: [String]
        let end: [String]

        var testDescription: String { self.resource }

        static let all = [
            Alarm(
                resource: "memory",
                raise: ["set_vm_memory_high_watermark", "absolute", "1"],
                end: ["set_vm_memory_high_watermark", "0.6"]
            ),
            Alarm(
                resource: "disk",
                raise: ["set_disk_free_limit", "1000000GB"],
                end: ["set_disk_free_limit", "50MB"]
            ),
        ]
    }

    @Test(arguments: Alarm.all)
    func `fault 24: while memory or disk is short work goes on, and senders are told at their deadlines`(
        alarm: Alarm
    ) async throws {
        try await PrivateNode.with { node in
            try await FaultService.with(try node.url) { service in
                _ = try await service.untilAnswered()
                try await node.control(alarm.raise)
                // A broker says it to those who send, and only then.
                try await service.until(within: .seconds(20), "blocked") {
                    await service.cast(timeout: .milliseconds(500))
                    return service.clientTransport.readiness.level == .degraded
                }
                #expect(service.clientTransport.readiness.isReady)
                let publishing = service.clientTransport.figures.connections.first { $0.name == "publish" }
                #expect(publishing?.state == .blocked)
                #expect(publishing?.blocks == 1)
                #expect(
                    "\(service.clientTransport.readiness)".contains(alarm.resource),
                    "\(service.clientTransport.readiness)"
                )

                for send in [
                    { await service.cast(timeout: .seconds(1)) }, { await service.call(timeout: .seconds(1)) },
                ] {
                    let start = ContinuousClock.now
                    // Who sleeps as long is late as well where the machine stands still.
                    async let sleep: Duration = {
                        try await Task.sleep(for: .seconds(1))
                        return .now - start
                    }()
                    let error = await send()
                    let waited = ContinuousClock.now - start
                    let slept = try await sleep
                    #expect(error?.rpcCode == .blocked, "\(String(describing: error))")
                    #expect("\(String(describing: error))".contains(alarm.resource))
                    #expect(waited >= .milliseconds(900) && waited < slept + .seconds(1), "\(waited), \(slept)")
                }
                // It waits for longer than the alarm lasts.
                let patient = Task { await service.call(timeout: .seconds(20)) }
                try await Task.sleep(for: .milliseconds(500))
                try await node.control(alarm.end)
                let ended = ContinuousClock.now
                #expect(await patient.value == nil)
                _ = try await service.untilAnswered(within: .seconds(5))
                try await service.until(within: .seconds(5), "ready") { service.clientTransport.readiness == .ready }
                FaultFigures.record(fault: 24, "sending after the end of the alarm", .now - ended)
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }

    @Test func `fault 24: what was queued before an alarm is done and acknowledged during it`() async throws {
        try await PrivateNode.with(["--management"]) { node in
            let checker = Checker()
            let gate = Gate()
            var logger = Logger(label: "alarm")
            logger.logLevel = .error
            let transport = RabbitMQTransport(try FaultService.configuration(try node.url), logger: logger)
            let endpoint = RPCEndpoint {
                Self.slow.handled { _, item in
                    await gate.wait()
                    checker.executed(item.id)
                    checker.effect(item.id)
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 2
            configuration.prefetch = 4
            let target = Target.topic("alarm", server: "host")
            let server = RPCServer(
                transport,
                target: target,
                endpoints: [endpoint],
                configuration: configuration,
                logger: logger
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                let client = RPCClient(transport, target: target, logger: logger)
                while !server.readiness.isReady { try await Task.sleep(for: .milliseconds(10)) }
                for number in 0..<20 {
                    let item = FaultService.Item("queued-\(number)")
                    checker.offered(item.id, .atLeastOnce)
                    try await client.cast(Self.slow, item)
                    checker.confirmed(item.id)
                }
                try await node.control("set_vm_memory_high_watermark", "absolute", "1")
                gate.open()
                let start = ContinuousClock.now
                while !checker.isSettled, .now - start < .seconds(20) { try await Task.sleep(for: .milliseconds(10)) }
                FaultFigures.record(fault: 24, "20 queued messages done during the alarm", .now - start)
                #expect(checker.executions == 20)
                // Acknowledged: nothing is left, and nothing is handed out again to another one.
                let broker = try TestBroker(environment: node.environment)
                var left = -1
                for _ in 0..<100 where left != 0 {
                    left = try await broker.unsettled(virtualHost: "/")
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(left == 0)
                #expect(checker.violations == [])
                try await node.control("set_vm_memory_high_watermark", "0.6")
                server.stop()
                try await group.waitForAll()
            }
            await transport.close()
        }
    }

    @Test func `fault 25: a full queue that refuses is told as rejected, and the message is nowhere`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let policy =
                #"{"pattern": "^full", "definition": {"max-length": 0, "overflow": "reject-publish"}, "apply-to": "queues"}"#
            let policyPath = "policies/\(name)/full"
            try await FaultService.with(broker.url(virtualHost: name), topic: "full") { service in
                _ = try await service.untilAnswered()
                try await broker.request("PUT", policyPath, body: policy)
                let start = ContinuousClock.now
                // The queue learns of its policy after a moment.
                try await service.until(within: .seconds(10), "refused") {
                    await service.cast()?.rpcCode == .rejected
                }
                let executions = service.checker.executions
                for _ in 0..<5 {
                    #expect(await service.call()?.rpcCode == .rejected)
                    #expect(await service.cast()?.rpcCode == .rejected)
                    #expect(await service.cast(FaultService.once)?.rpcCode == .rejected)
                }
                FaultFigures.record(fault: 25, "15 refusals", .now - start)
                try await broker.request("DELETE", policyPath)
                _ = try await service.untilAnswered(within: .seconds(10))
                try await service.untilSettled()
                // Only what was confirmed was ever run.
                #expect(service.checker.executions <= executions + 1)
                #expect(service.checker.violations == [])
            }
        }
    }

    @Test func `fault 25: a call that expired in its queue is never run`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            // Leaves the queues behind.
            try await FaultService.with(url, topic: "late") { service in _ = try await service.untilAnswered() }
            let checker = Checker()
            let transport = RabbitMQTransport(try FaultService.configuration(url))
            let client = RPCClient(transport, target: .topic("late", server: "host"))
            for number in 0..<5 {
                let item = FaultService.Item("late-\(number)")
                checker.offered(item.id, .call)
                let error = await #expect(throws: RPCError.self) {
                    _ = try await client.prepare { $0.timeout = .milliseconds(300) }.call(FaultService.echo, item)
                }
                #expect(error?.code == .timeout)
                checker.ended(item.id, .deadline)
            }
            try await Task.sleep(for: .milliseconds(500))
            try await FaultService.with(url, topic: "late", checker: checker) { service in
                // What had been queued before would be run before this.
                let answered = try await service.untilAnswered()
                FaultFigures.record(fault: 25, "answering after calls that had expired", answered)
                #expect(checker.executions == 1)
                #expect(checker.violations == [])
            }
            await transport.close()
        }
    }

    @Test func `fault 23: who works for longer than the broker waits is warned, and its message is kept`() async throws
    {
        try await PrivateNode.with(["--management"]) { node in
            // The broker looks once a minute unless it is told otherwise.
            try await node.control("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
            try await node.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
            let checker = Checker()
            let runs = Mutex(0)
            let logs = InMemoryLogHandler()
            let logger = Logger(label: "timeout") { _ in logs }
            var configuration = try FaultService.configuration(try node.url)
            configuration.consumerTimeout = .seconds(1)
            let transport = RabbitMQTransport(configuration, logger: logger)
            let endpoint = RPCEndpoint {
                Self.slow.handled { _, item in
                    let run = runs.withLock {
                        $0 += 1
                        return $0
                    }
                    checker.executed(item.id)
                    // Twice too slow for the broker, and then not.
                    if run <= 2 { try await Task.sleep(for: .seconds(4)) }
                    checker.effect(item.id)
                }
                FaultService.echo.handled { _, item in item }
            }
            let target = Target.topic("slow", server: "host")
            let server = RPCServer(transport, target: target, endpoints: [endpoint], logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                while !server.readiness.isReady { try await Task.sleep(for: .milliseconds(10)) }
                let warnings = logs.entries.filter { $0.level == .warning }
                #expect(warnings.contains { "\($0.metadata)".contains("slow") }, "\(warnings)")

                let changes = Collector<Readiness>()
                transport.onReadinessChange { changes.add($0) }
                let client = RPCClient(transport, target: target, logger: logger)
                checker.offered("slow-1", .atLeastOnce)
                try await client.cast(Self.slow, FaultService.Item("slow-1"))
                checker.confirmed("slow-1")
                let start = ContinuousClock.now
                try await changes.wait(.seconds(15)) { seen in
                    seen.contains { !$0.isReady && "\($0)".contains("acknowledgement") }
                }
                FaultFigures.record(fault: 23, "channel closed by a limit of 1 s", .now - start)
                let closed = ContinuousClock.now
                while !server.readiness.isReady { try await Task.sleep(for: .milliseconds(1)) }
                FaultFigures.record(fault: 23, "ready again after it", .now - closed)
                // Others are served while the broker's limit is exceeded again and again.
                _ = try await client.prepare { $0.timeout = .seconds(5) }
                    .call(FaultService.echo, FaultService.Item("other"))
                // The request is not forgotten, and ends; the journal knows that its effect was had.
                let broker = try TestBroker(environment: node.environment)
                var left = -1
                let limit = ContinuousClock.now + .seconds(40)
                while left != 0, .now < limit {
                    left = try await broker.unsettled(virtualHost: "/")
                    try await Task.sleep(for: .milliseconds(100))
                }
                FaultFigures.record(fault: 23, "settled", .now - start)
                #expect(left == 0)
                #expect(checker.executions == 1 && checker.isSettled)
                #expect(checker.violations == [])
                server.stop()
                try await group.waitForAll()
            }
            await transport.close()
        }
    }
}

/// Keeps handlers waiting until it is opened.
private final class Gate: Sendable {
    private let isOpen = Mutex(false)

    func open() { self.isOpen.withLock { $0 = true } }

    func wait() async {
        while !self.isOpen.withLock(\.self) {
            do {
                try await Task.sleep(for: .milliseconds(5))
            } catch {
                return
            }
        }
    }
}

extension TestBroker {
    /// How many messages the queues of a virtual host hold, those that were handed out included; asked of the node itself.
    fileprivate func unsettled(virtualHost: String) async throws -> Int {
        let output = try await self.controlOutput(
            "--quiet",
            "list_queues",
            "-p",
            virtualHost,
            "--no-table-headers",
            "messages"
        )
        return output.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
    }
}
