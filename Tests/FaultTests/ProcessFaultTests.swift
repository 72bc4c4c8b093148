import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

/// What becomes of work when its process is told to end, or is killed.
@Suite(.serialized, .timeLimit(.minutes(4))) struct ProcessFaultTests {
    /// Without it a worker's probe of itself would be counted among the messages that wait in its queue.
    private static let noProbes = "self_probe_interval=0"

    @Test func `fault 39: after SIGTERM a worker takes nothing more, ends and answers what runs, and exits with 0`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let checker = Checker()
                let client = RPCClient(transport, target: stage.target)
                let arguments = stage.arguments("executor_thread_pool_size=4", "rpc_prefetch=4", Self.noProbes)
                try await stage.withWorker(arguments) { worker in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for number in 1...4 {
                            checker.offered("\(number)", .call)
                            group.addTask {
                                let answer = try await client.call("once", Self.item(number, milliseconds: 1500))
                                checker.ended("\(number)", answer == .integer(number) ? .reply : .illegal("\(answer)"))
                            }
                        }
                        try await stage.until("four run") { try stage.counts(of: "started").count == 4 }
                        // What comes behind them waits with the worker, and in the broker.
                        for number in 101...140 {
                            checker.offered("\(number)", .atLeastOnce)
                            try await client.cast("act", Self.item(number, milliseconds: 0))
                            checker.confirmed("\(number)")
                        }
                        let start = ContinuousClock.now
                        worker.send(SIGTERM)
                        let cancelled = try await stage.until("its consumers are cancelled", within: .seconds(2)) {
                            try await transport.status(of: stage.queue, deadline: .now + .seconds(5))?.consumers == 0
                        }
                        FaultFigures.record(fault: 39, "consumer cancelled after", cancelled)
                        #expect(worker.end == nil)
                        #expect(try stage.counts(of: "effect").isEmpty, "they ended before the consumer was cancelled")
                        try await group.waitForAll()
                        #expect(try await worker.end(within: .seconds(5)) == .code(0))
                        FaultFigures.record(fault: 39, "exit after, with work of 1.5 s", .now - start)
                    }
                    #expect(try stage.counts(of: "effect") == [1: 1, 2: 1, 3: 1, 4: 1])
                    #expect(try await stage.depth(stage.queue, transport) == 40)
                }
                try await stage.withWorker(arguments) { _ in
                    _ = try await stage.until("the rest") { try stage.counts(of: "effect").count == 44 }
                }
                try stage.report(to: checker)
                #expect(checker.violations == [])
            }
        }
    }

    @Test(arguments: [true, false])
    func `fault 39: after a second SIGTERM, or its limit, a worker gives back what runs and exits`(
        isSecondSignal: Bool
    ) async throws {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let client = RPCClient(transport, target: stage.target)
                let limit = "graceful_shutdown_timeout=\(isSecondSignal ? "60" : "1")"
                let arguments = stage.arguments("executor_thread_pool_size=4", limit, Self.noProbes)
                try await stage.withWorker(arguments) { worker in
                    for number in 1...10 { try await client.cast("act", Self.item(number, milliseconds: 60_000)) }
                    try await stage.until("four run") { try stage.counts(of: "started").count == 4 }
                    let start = ContinuousClock.now
                    worker.send(SIGTERM)
                    try await stage.until("its consumers are cancelled", within: .seconds(2)) {
                        try await transport.status(of: stage.queue, deadline: .now + .seconds(5))?.consumers == 0
                    }
                    if isSecondSignal { worker.send(SIGTERM) }
                    let end = try await worker.end(within: .seconds(10))
                    guard case .code = end else {
                        Issue.record("it ended by \(end)")
                        return
                    }
                    let what = isSecondSignal ? "exit after a second signal" : "exit after a limit of 1 s"
                    FaultFigures.record(fault: 39, what, .now - start)
                    try await stage.until("all is in the broker", within: .seconds(5)) {
                        try await stage.depth(stage.queue, transport) == 10
                    }
                    #expect(try stage.counts(of: "effect").isEmpty)
                }
                #expect(try await DeadLetterQueue(transport, topic: stage.topic).list().isEmpty)
            }
        }
    }

    @Test
    func
        `fault 40: after kill -9 what runs at least once is done, with one effect, and what runs at most once not twice`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let checker = Checker()
                let client = RPCClient(transport, target: stage.target)
                let arguments = stage.arguments("executor_thread_pool_size=8", "rpc_prefetch=8")
                let kills = 2
                for life in 0...kills {
                    try await stage.withWorker(arguments) { worker in
                        if life == 0 { try await Self.sendAll(client, checker) }
                        guard life < kills else {
                            let took = try await stage.until("all is at its end") {
                                guard try stage.counts(of: "effect").keys.count(where: { $0 <= 100 }) == 100,
                                    try await stage.depth(stage.queue, transport) == 0
                                else { return false }
                                return try await client.isIdle(stage, transport)
                            }
                            FaultFigures.record(fault: 40, "work of two killed workers done", took)
                            return
                        }
                        // In the midst of it: some are done, some run, some wait with the worker, some in the broker.
                        let done = try stage.counts(of: "effect").count
                        try await stage.until("some are done") { try stage.counts(of: "effect").count > done + 20 }
                        worker.send(SIGKILL)
                        #expect(try await worker.end(within: .seconds(5)) == .signal(SIGKILL))
                    }
                }
                try stage.report(to: checker)
                #expect(checker.violations == [])
                let started = try stage.counts(of: "started").filter { $0.key > 100 }
                let lost = Set(101...200).subtracting(try stage.counts(of: "effect").keys)
                // Eight run at a time, and a kill takes no more along than these.
                #expect(lost.count <= kills * 8, "\(lost)")
                #expect(started.values.allSatisfy { $0 == 1 })
                FaultFigures.record(fault: 40, "at most once: lost with two workers, of 100", count: lost.count)
                let done = try stage.counts(of: "effect").keys.count { $0 <= 100 }
                FaultFigures.record(fault: 40, "accepted casts never carried out, per cent", count: 100 - done)
                #expect(try await DeadLetterQueue(transport, topic: stage.topic).list().isEmpty)
            }
        }
    }

    @Test func `fault 40: what a killed host had to do a second host of its topic does, with one effect`() async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let checker = Checker()
                let second = "\(stage.directory)/second.sqlite"
                let options = ["executor_thread_pool_size=4", "rpc_prefetch=4", Self.noProbes]
                let arguments = ["serve", stage.topic, "second", second, "sqlite"] + options
                try await stage.withWorker(stage.arguments() + options) { killed in
                    try await stage.withWorker(arguments) { _ in
                        // To the topic, whoever of the two takes it.
                        let client = RPCClient(transport, target: .topic(stage.topic))
                        for number in 1...32 {
                            let isSure = number.isMultiple(of: 2)
                            checker.offered("\(number)", isSure ? .atLeastOnce : .atMostOnce)
                            try await client.cast(isSure ? "act" : "once", Self.item(number, milliseconds: 1000))
                            checker.confirmed("\(number)")
                        }
                        let running = try await Self.midst(of: stage)
                        killed.send(SIGKILL)
                        let start = ContinuousClock.now
                        #expect(try await killed.end(within: .seconds(5)) == .signal(SIGKILL))
                        try await stage.until("the second one has done all", within: .seconds(30)) {
                            let own = try stage.counts(of: "effect", in: second)
                            let done = Set(own.keys).union(try stage.counts(of: "effect").keys)
                            return (1...32).allSatisfy { done.contains($0) || (running.contains($0) && $0 % 2 == 1) }
                        }
                        FaultFigures.record(fault: 40, "work of a killed host done by a second one", .now - start)
                        // What ran there is done here, if it may be done again.
                        let own = try stage.counts(of: "effect", in: second)
                        #expect(running.contains { own[$0] == 1 }, "\(running)")
                        try await stage.until("nothing is left") {
                            try await stage.depth(.topic(stage.topic, exchange: nil), transport) == 0
                        }
                    }
                }
                // One effect in both places together.
                try stage.report(to: checker)
                try stage.report(to: checker, from: second)
                #expect(checker.violations == [])
                #expect(try await DeadLetterQueue(transport, topic: stage.topic).list().isEmpty)
            }
        }
    }

    /// Waits until a worker has as much to do as it takes, and none of it begins or ends just now; what it is.
    ///
    /// An effect whose request the killed worker could not acknowledge any more would be had a second time: that is not known at
    /// another host.
    private static func midst(of stage: Stage) async throws -> Set<Int> {
        var running: Set<Int> = []
        var since = ContinuousClock.now
        try await stage.until("four run") {
            let now = Set(try stage.counts(of: "started").keys).subtracting(try stage.counts(of: "effect").keys)
            if now != running { (running, since) = (now, .now) }
            return running.count == 4 && running.contains { $0.isMultiple(of: 2) } && .now - since > .milliseconds(200)
        }
        return running
    }

    /// Sends all at once: one after the other they could be nearly done before the last is sent.
    private static func sendAll(_ client: RPCClient, _ checker: Checker) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...200 {
                let isAct = number <= 100
                checker.offered("\(number)", isAct ? .atLeastOnce : .atMostOnce)
                group.addTask {
                    try await client.cast(isAct ? "act" : "once", Self.item(number, milliseconds: 100))
                    checker.confirmed("\(number)")
                }
            }
            try await group.waitForAll()
        }
    }

    static func item(_ number: Int, milliseconds: Int) -> [String: JSONValue] {
        ["number": .integer(number), "milliseconds": .integer(milliseconds)]
    }
}

extension RPCClient {
    /// Whether the worker has nothing to do, by its own word.
    fileprivate func isIdle(_ stage: Stage, _ transport: RabbitMQTransport) async throws -> Bool {
        let control = RPCClient(transport, target: stage.target.control)
        let presence = try await control.call(ControlRPC.ping, timeout: .seconds(5))
        return presence.running == 0 && presence.waiting == 0
    }
}
