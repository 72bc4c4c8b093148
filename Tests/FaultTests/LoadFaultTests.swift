import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import Synchronization
import Testing

/// More work than a worker can do.
@Suite(.serialized, .timeLimit(.minutes(4))) struct LoadFaultTests {
    /// Runs requests of a given length, and counts them by host.
    private final class Host: Sendable {
        private let done = Count()
        let server: RPCServer
        let ready = Eventual<Void>()

        init(_ name: String, _ stage: Stage, _ transport: RabbitMQTransport, work: Duration) {
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 2
            configuration.prefetch = 4
            let done = self.done
            self.server = RPCServer(
                transport,
                target: .topic(stage.topic, server: name),
                endpoints: [
                    RPCEndpoint {
                        RPCHandler("work") { _, _ in
                            try await Task.sleep(for: work)
                            done.add()
                            return .null
                        }
                    }
                ],
                configuration: configuration
            )
        }

        var count: Int { self.done.value }
        func run() async throws { try await self.server.run { self.ready.fulfil() } }
    }

    @Test func `fault 37: what a slow consumer cannot take stays in the broker, where other hosts take it`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                try await stage.withTransport { other in
                    let slow = Host("slow", stage, transport, work: .milliseconds(200))
                    let fast = Host("fast", stage, other, work: .milliseconds(10))
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await slow.run() }
                        await slow.ready.wait()
                        let client = RPCClient(transport, target: .topic(stage.topic))
                        let start = ContinuousClock.now
                        for _ in 1...300 { try await client.cast("work") }
                        #expect(.now - start < .seconds(20))
                        let control = RPCClient(transport, target: Target.topic(stage.topic, server: "slow").control)
                        let presence = try await control.call(ControlRPC.ping, timeout: .seconds(5))
                        // Four are handed out and not started, and two run; the rest is the broker's.
                        #expect(presence.waiting <= 4)
                        #expect(presence.running <= 2)
                        let depth = try await stage.depth(.topic(stage.topic, exchange: nil), transport)
                        #expect(depth + slow.count + 6 >= 300)
                        #expect(depth > 200)
                        FaultFigures.record(fault: 37, "requests that stay in the broker, of 300", count: depth)
                        let before = slow.count
                        group.addTask { try await fast.run() }
                        await fast.ready.wait()
                        let took = try await stage.until("all are done") { slow.count + fast.count == 300 }
                        FaultFigures.record(fault: 37, "backlog done with a second host", took)
                        #expect(fast.count > 5 * (slow.count - before))
                        slow.server.stop()
                        fast.server.stop()
                        try await group.waitForAll()
                    }
                }
            }
        }
    }

    @Test
    func `fault 38: 10,000 calls in flight take bounded memory, are served fairly, and leave the control lane free`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withWorker { worker in
                let before = try Self.peakKiB(of: worker)
                let arguments = ["call", stage.topic, stage.host, "5000", "100", "5", "2"]
                try await WorkerProcess.with("FaultWorker", arguments, url: stage.url()) { first in
                    try await WorkerProcess.with("FaultWorker", arguments, url: stage.url()) { second in
                        // All are in flight before the first is answered: the worker is stopped so long.
                        worker.send(SIGSTOP)
                        for caller in [first, second] { try await caller.line("CALLING", within: .seconds(60)) }
                        // Otherwise half time would be a question of who was earlier with his calls. What the worker was
                        // handed out before it was stopped is not in its queue any more.
                        try await stage.withTransport { transport in
                            _ = try await stage.until("all calls are in the queue", within: .seconds(60)) {
                                try await stage.depth(stage.queue, transport) >= 10_000 - 64
                            }
                        }
                        let start = ContinuousClock.now
                        worker.send(SIGCONT)
                        try await Self.watch(stage, first, second)
                        FaultFigures.record(fault: 38, "20,000 calls, 10,000 at a time", .now - start)
                        for caller in [first, second] {
                            let end = try await caller.end(within: .seconds(20))
                            #expect(end == .code(0))
                            let answered = caller.lines.filter { $0.hasPrefix("ANSWERED") }
                            // Each with its own result, and each once.
                            #expect(Set(answered).count == 10_000 && answered.count == 10_000)
                        }
                    }
                }
                let growth = try Self.peakKiB(of: worker) - before
                FaultFigures.record(fault: 38, "memory of the worker, in KiB", count: growth)
                #expect(growth < 64 << 10)
            }
        }
    }

    /// Asks the worker how it is until its callers have their answers.
    private static func watch(_ stage: Stage, _ first: WorkerProcess, _ second: WorkerProcess) async throws {
        try await stage.withTransport { transport in
            let control = RPCClient(transport, target: stage.target.control)
            var slowest = Duration.zero
            var waiting = 0
            var half: [Int] = []
            let limit = ContinuousClock.now + .seconds(100)
            while first.end == nil || second.end == nil {
                let start = ContinuousClock.now
                try #require(start < limit)
                let presence = try await control.call(ControlRPC.ping, timeout: .seconds(20))
                slowest = max(slowest, .now - start)
                waiting = max(waiting, presence.waiting)
                let counts = [first.lines.count, second.lines.count]
                if half.isEmpty, counts.reduce(0, +) >= 10_000 { half = counts }
                try await Task.sleep(for: .milliseconds(20))
            }
            FaultFigures.record(fault: 38, "slowest answer of the control lane", slowest)
            // Behind ten thousand calls it would take as long as they do.
            #expect(slowest < .seconds(5))
            // Each of three queues hands out its prefetch, and no more.
            #expect(waiting <= 3 * 64)
            // First come, first served: nobody's second call goes before the other's first one, so that both have half, but for
            // answers that wait for a process of which a busy machine thinks less.
            let fewer = try #require(half.min())
            let share = fewer * 100 / half.reduce(0, +)
            FaultFigures.record(fault: 38, "the slower caller's share at half time, in %", count: share)
            #expect(share >= 25, "\(half)")
        }
    }

    /// The most memory that a process has had.
    private static func peakKiB(of worker: WorkerProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(worker.processID)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }

    /// A number that several tasks count up.
    private final class Count: Sendable {
        private let number = Atomic(0)
        var value: Int { self.number.load(ordering: .relaxed) }
        func add() { self.number.add(1, ordering: .relaxed) }
    }
}
