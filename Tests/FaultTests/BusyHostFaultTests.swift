import AMQPClient
import FaultHarness
import Foundation
import Glibc
import InMemoryLogging
import Logging
import MessagingRabbitMQ
import TestSupport
import Testing

@testable import Messaging

/// What a worker tells and keeps up while its handlers take all of the processor.
@Suite(.serialized, .timeLimit(.minutes(2))) struct BusyHostFaultTests {
    /// What one run saw.
    private struct Report: Sendable {
        var slowestAnswer = Duration.zero
        var answers = 0
        var unready: [String] = []
        var replies = 0
    }

    @Test func `fault 9: heartbeats and answers to questions go on while handlers burn all cores`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            // One handler alone runs on the thread that reads its connection; more than there are cores take all of them.
            // In a process of their own, because the other tests of this one need the threads that all tasks share.
            for handlers in [1, 2 * ProcessInfo.processInfo.activeProcessorCount] {
                // Its output is not observed: that would block a thread which the other tests of this process need.
                await #expect(processExitsWith: .success) {
                    [url = url as String, handlers = handlers as Int] in
                    let report = try await Self.burn(url, handlers: handlers, for: .seconds(6))
                    #expect(report.unready == [], "\(handlers) handlers: \(report)")
                    #expect(report.replies == handlers, "\(report)")
                    #expect(report.answers >= 10, "\(report)")
                    #expect(report.slowestAnswer < .seconds(3), "\(report)")
                    FaultFigures.record(fault: 9, "slowest answer with \(handlers) handlers", report.slowestAnswer)
                }
            }
        }
    }

    /// Calls so many handlers that compute for a time, and asks the server meanwhile; heartbeats are due every second, and
    /// the broker drops a connection that is silent for four.
    ///
    /// The process gives way to those of other tests, which measure times.
    private static func burn(_ url: String, handlers: Int, for time: Duration) async throws -> Report {
        // Threads that are made later have it from those that make them.
        for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap({ id_t($0) }) {
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread, 15)
        }
        let logs = InMemoryLogHandler()
        var settings = try RabbitMQConfiguration(url: url)
        settings.connection.heartbeat = .seconds(2)
        let served = RabbitMQTransport(settings, logger: Logger(label: "worker") { _ in logs })
        let endpoint = RPCEndpoint {
            RPCHandler("nothing") { _, _ in .null }
            RPCHandler("burn") { _, _ in
                let end = ContinuousClock.now + time
                var number = 0.0
                while .now < end { for step in 0..<10_000 { number += Double(step).squareRoot() } }
                return .double(number)
            }
        }
        let target = Target.topic("busy", server: "host")
        let server = RPCServer(served, target: target, endpoints: [endpoint])
        // Who asks has a thread of his own: he is another process in truth.
        let executor = ThreadExecutor(name: "test-caller")
        let serving = Task { try await server.run() }
        let asking = Task(executorPreference: executor) { () async throws -> Report in
            try await until(within: .seconds(20), "the server is ready") { server.readiness == .ready }
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
            let client = RPCClient(transport, target: target).prepare { $0.timeout = .seconds(60) }
            let control = RPCClient(transport, target: target.control).prepare { $0.timeout = .seconds(20) }
            // Opens all connections that there are.
            _ = try await control.call(ControlRPC.ping)
            _ = try await client.call("nothing")
            let changesBefore = logs.entries.count
            var report = Report()
            let replies = Collector<Void>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<handlers {
                    group.addTask(executorPreference: executor) {
                        _ = try await client.call("burn")
                        replies.add(())
                    }
                }
                while replies.all.count < handlers {
                    let start = ContinuousClock.now
                    let presence = try await control.call(ControlRPC.ping)
                    _ = try await control.call(ControlRPC.stats)
                    report.slowestAnswer = max(report.slowestAnswer, .now - start)
                    report.answers += 1
                    #expect(presence.state == .accepting)
                    if server.readiness != .ready { report.unready.append("\(server.readiness)") }
                    // By the thread: the clock that wakes tasks has to wait for those that compute.
                    usleep(200_000)
                }
                try await group.waitForAll()
            }
            report.replies = replies.all.count
            // A connection that was lost and came back between two looks has left a line.
            let changes = logs.entries[changesBefore...].filter { "\($0.message)".contains("state changed") }
            report.unready += changes.map { "\($0.message) \($0.metadata)" }
            await transport.close()
            return report
        }
        let result = await executor.use { await asking.result }
        server.stop()
        _ = await serving.result
        await served.close()
        return try result.get()
    }
}
