import Messaging
import MessagingRabbitMQ
import Synchronization
import Testing

extension ScaleTests {
    /// A queue that has become long.
    @Suite struct DrainTests {
        @Test func `a queue of 200,000 messages is drained, each is handled once, and memory stays flat`() async throws
        {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { try await Backlog(200_000).isDrained($0) }
                }
                ScaleBench.show(result)
            }
        }
    }
}

/// Casts that wait for their server.
private struct Backlog: Sendable {
    struct Number: Codable, Sendable { var number: Int }

    static let note = RPCMethod<Number, Void>("note", since: "1.0")

    /// What was handled, and what memory that took on its way.
    struct Progress {
        var seen: [Bool]
        var handled = 0
        var repeated = 0
        /// Resident memory at each tenth.
        var memory: [Int] = []
    }

    let count: Int

    init(_ count: Int) {
        self.count = count
    }

    func isDrained(_ bench: ScaleBench) async throws {
        try await bench.serve([]) { _ in }
        try await self.fill(bench)
        let queue = Destination.topic("scale", exchange: nil)
        let waiting = try await bench.client.status(of: queue, deadline: nil)?.messages
        #expect(waiting == self.count)
        let progress = Mutex(Progress(seen: Array(repeating: false, count: self.count)))
        let isOver = Eventual<Void>()
        let note = Self.note.handled { _, arguments in
            let isLast = progress.withLock { progress in
                progress.repeated += progress.seen[arguments.number] ? 1 : 0
                progress.seen[arguments.number] = true
                progress.handled += 1
                if progress.handled.isMultiple(of: self.count / 10) {
                    progress.memory.append(ProcessFigures().residentBytes)
                }
                return progress.handled == self.count
            }
            if isLast { isOver.fulfil() }
        }
        ProcessFigures.resetPeak()
        let before = ProcessFigures()
        let start = ContinuousClock.now
        try await bench.serve([note]) { _ in
            _ = try await isOver.value(until: .now + .seconds(120))
        }
        let after = ProcessFigures()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let cost = (after.processorTime - before.processorTime) / self.count
        let end = progress.withLock { $0 }
        print(
            "\(end.handled) messages drained in \((seconds * 10).rounded() / 10) s, \(cost.microseconds) us of processor "
                + "time each; memory \(before.residentBytes.mebibytes) before, by tenths \(end.memory.map(\.mebibytes)), at most "
                + "\(after.peakBytes.mebibytes)"
        )
        #expect(end.handled == self.count && end.repeated == 0 && end.seen.allSatisfy { $0 })
        #expect(try await bench.client.status(of: queue, deadline: nil)?.messages == 0)
        // What came with the first tenth is all that a drain takes: it is the prefetch that counts, not the queue.
        #expect(end.memory[9] < end.memory[0] + 16 << 20)
        #expect(after.peakBytes < before.residentBytes + 64 << 20)
    }

    /// Casts, so many at a time that the broker is kept busy.
    private func fill(_ bench: ScaleBench) async throws {
        let client = RPCClient(bench.client, target: .topic("scale"))
        let tickets = Tickets()
        let start = ContinuousClock.now
        let before = ProcessFigures()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1...256 {
                group.addTask {
                    while true {
                        let number = tickets.take()
                        guard number < self.count else { return }
                        try await client.cast(Self.note, .init(number: number))
                    }
                }
            }
            try await group.waitForAll()
        }
        let after = ProcessFigures()
        let cost = (after.processorTime - before.processorTime) / self.count
        print(
            "\(self.count) messages cast in \((ContinuousClock.now - start).inTenths) s, \(cost.microseconds) us each; "
                + "memory \(before.residentBytes.mebibytes) before, \(after.residentBytes.mebibytes) after"
        )
        #expect(after.residentBytes < before.residentBytes + 48 << 20)
    }
}
