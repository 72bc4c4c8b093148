import Messaging
import MessagingRabbitMQ
import Testing

extension ScaleTests {
    /// Ten thousand calls of one client at the same time.
    @Suite(.serialized) struct InFlightTests {
        @Test func `10,000 calls in flight end each with its own result, and a second round takes no more memory`()
            async throws
        {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { try await Crowd(10_000).endsWithResults($0) }
                }
                ScaleBench.show(result)
            }
        }

        @Test func `10,000 calls in flight all time out, or are all cancelled, and nothing is left of them`()
            async throws
        {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { try await Crowd(10_000).endsWithoutResults($0) }
                }
                ScaleBench.show(result)
            }
        }

        @Test func `a call costs 10,000 callers no more than it costs 64`() async throws {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { try await Crowd(10_000).costsNoMoreThanFew($0) }
                }
                ScaleBench.show(result)
            }
        }
    }
}

/// Callers, and what they find.
private struct Crowd: Sendable {
    struct Number: Codable, Sendable { var value: Int }

    static let hold = RPCMethod<Number, Int>("hold", since: "1.0")
    static let double = RPCMethod<Number, Int>("double", since: "1.0")

    let count: Int

    init(_ count: Int) {
        self.count = count
    }

    // MARK: Results

    func endsWithResults(_ bench: ScaleBench) async throws {
        try await self.makeQueues(bench)
        var rounds: [ProcessFigures] = []
        for round in 1...2 {
            ProcessFigures.resetPeak()
            let before = ProcessFigures()
            let gate = Eventual<Void>()
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                self.addCalls(to: &group, of: bench.rpc)
                try await self.allAreQueued(bench)
                let waiting = ProcessFigures()
                try await bench.serve(concurrency: self.count, prefetch: self.count, [self.holding(gate)]) {
                    server in
                    try await ScaleBench.wait(for: "the handlers") { server.runningHandlers == self.count }
                    let held = ProcessFigures()
                    gate.fulfil()
                    try await ScaleBench.wait(for: "the replies") { bench.client.replies.waitingCalls == 0 }
                    let client = max(0, waiting.residentBytes - before.residentBytes) / self.count
                    let server = max(0, held.residentBytes - waiting.residentBytes) / self.count
                    print(
                        "round \(round): a call in flight takes \(client.kibibytes) of its client, "
                            + "\(server.kibibytes) of its server"
                    )
                    #expect(client < 64 << 10 && server < 64 << 10)
                }
                return try await group.reduce(0, +)
            }
            // Each of them has checked its own result.
            #expect(sum == (1...self.count).reduce(0, +))
            let after = ProcessFigures()
            let cost = (after.processorTime - before.processorTime) / self.count
            print(
                "round \(round): \(cost.microseconds) us of processor time a call, client and server; "
                    + "memory \(after.residentBytes.mebibytes), at most \(after.peakBytes.mebibytes)"
            )
            rounds.append(after)
        }
        // What the first round has left behind would be there twice.
        #expect(rounds[1].residentBytes < rounds[0].residentBytes + rounds[0].residentBytes / 2 + 16 << 20)
        #expect(rounds[1].peakBytes < rounds[0].peakBytes + rounds[0].peakBytes / 2 + 16 << 20)
    }

    /// Starts a server once, so that its queues are there: requests may then wait for it.
    private func makeQueues(_ bench: ScaleBench) async throws {
        try await bench.serve([]) { _ in }
        // The reply queue is opened by the first call; that is not what a call takes.
        await #expect(throws: RPCError.self) { _ = try await bench.rpc.on(host: "nobody").call("any") }
    }

    private func addCalls(to group: inout ThrowingTaskGroup<Int, any Error>, of client: RPCClient) {
        for number in 1...self.count {
            group.addTask {
                let result = try await client.call(Self.hold, .init(value: number))
                #expect(result == 2 * number)
                return number
            }
        }
    }

    private func holding(_ gate: Eventual<Void>) -> RPCHandler {
        Self.hold.handled { _, number in
            _ = try await gate.value()
            return 2 * number.value
        }
    }

    private func allAreQueued(_ bench: ScaleBench) async throws {
        let queue = Destination.server("h", topic: "scale", exchange: nil)
        try await ScaleBench.wait(for: "the requests") {
            guard bench.client.replies.waitingCalls == self.count else { return false }
            return try await bench.client.status(of: queue, deadline: nil)?.messages == self.count
        }
    }

    // MARK: Other ends

    func endsWithoutResults(_ bench: ScaleBench) async throws {
        try await self.makeQueues(bench)
        let gate = Eventual<Void>()
        try await bench.serve(concurrency: self.count, prefetch: self.count, [self.holding(gate)]) { server in
            var memory: [Int] = []
            for (end, outcome) in [(End.timeout, "timeout"), (.cancel, "cancelled")] {
                let outcomes = try await self.outcomes(bench, end, server)
                #expect(outcomes == [outcome: self.count])
                #expect(bench.client.replies.waitingCalls == 0)
                if end == .timeout {
                    // Its server knows as well that nobody waits any more.
                    try await ScaleBench.wait(for: "the handlers' end") { server.runningHandlers == 0 }
                }
                memory.append(ProcessFigures().residentBytes)
            }
            // The second half has its own peak, of handlers that still run.
            #expect(memory[1] < memory[0] + memory[0] / 2 + 16 << 20)
            // The server is not told of all: a word of a cancelled call that is held up is not kept.
            print("\(server.runningHandlers) of \(self.count) handlers were not told that their call was cancelled")
            gate.fulfil()
            try await ScaleBench.wait(for: "the handlers' end") { server.runningHandlers == 0 }
        }
    }

    private enum End { case timeout, cancel }

    /// Brings all calls to their handlers, then to their end; answers how often each outcome came.
    private func outcomes(
        _ bench: ScaleBench,
        _ end: End,
        _ server: RPCServer
    ) async throws -> [String: Int] {
        let before = ProcessFigures()
        // All end at the same time, however long it took to make them.
        let deadline = ContinuousClock.now + (end == .timeout ? .seconds(15) : .seconds(100))
        let client = bench.rpc
        return try await withThrowingTaskGroup(of: String.self) { group in
            for number in 1...self.count {
                group.addTask {
                    do {
                        _ = try await client.call(Self.hold, .init(value: number), timeout: deadline - .now)
                        return "answered"
                    } catch is CancellationError {
                        return "cancelled"
                    } catch let error as RPCError {
                        return error.code.description
                    }
                }
            }
            try await ScaleBench.wait(for: "the handlers") { server.runningHandlers == self.count }
            let held = ProcessFigures()
            let start = ContinuousClock.now
            if end == .cancel { group.cancelAll() }
            let outcomes = try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            let after = ProcessFigures()
            let waited = end == .cancel ? ContinuousClock.now - start : ContinuousClock.now - deadline
            let cost = (after.processorTime - held.processorTime) / self.count
            let total = (after.processorTime - before.processorTime) / self.count
            print(
                "\(self.count) calls \(end == .cancel ? "are cancelled" : "time out") within \(waited.inTenths) s, for \(cost.microseconds) us each "
                    + "(\(total.microseconds) with what led there); memory \(after.residentBytes.mebibytes)"
            )
            #expect(waited < .seconds(30))
            return outcomes
        }
    }

    // MARK: Cost

    func costsNoMoreThanFew(_ bench: ScaleBench) async throws {
        let double = Self.double.handled { _, number in 2 * number.value }
        try await bench.serve([double]) { _ in
            _ = try await self.cost(of: 1_000, callers: 64, bench)
            let few = try await self.cost(of: self.count / 2, callers: 64, bench)
            let many = try await self.cost(of: self.count, callers: self.count, bench)
            let ratio = (many / few * 100).rounded() / 100
            print(
                "a call costs 64 callers \(few.microseconds) us, \(self.count) callers \(many.microseconds) us: "
                    + "\(ratio) times as much"
            )
            #expect(ratio < 2.5)
        }
    }

    /// Processor time of a call, of client and server together.
    private func cost(of calls: Int, callers: Int, _ bench: ScaleBench) async throws -> Duration {
        let client = bench.rpc
        let before = ProcessFigures()
        let tickets = Tickets()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1...callers {
                group.addTask {
                    while true {
                        let number = tickets.take()
                        guard number < calls else { return }
                        let result = try await client.call(Self.double, .init(value: number))
                        #expect(result == 2 * number)
                    }
                }
            }
            try await group.waitForAll()
        }
        return (ProcessFigures().processorTime - before.processorTime) / calls
    }
}
