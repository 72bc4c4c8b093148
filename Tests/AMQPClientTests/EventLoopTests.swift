import Glibc
import Synchronization
import Testing

@testable import AMQPClient

/// Keeps a loop's thread alive, and has no socket.
private final class IdleClient: EventLoopClient {
    func loopWillWait() -> EventLoopInterest { EventLoopInterest() }
    func loopIsReady(_ events: Int16) {}
}

private final class Errand: LoopWork {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }

    func run() { self.body() }
}

/// What was seen of the work of one loop.
private final class Ledger: Sendable {
    let handedOver = Atomic(0)
    let done = Atomic(0)
    let overlaps = Atomic(0)
    let disorders = Atomic(0)
    private let isInside = Atomic(false)
    private let last = Mutex<[Int: Int]>([:])

    func enter(task: Int, number: Int) {
        if self.isInside.exchange(true, ordering: .acquiring) { self.overlaps.add(1, ordering: .relaxed) }
        self.last.withLock { last in
            if last[task, default: 0] >= number { self.disorders.add(1, ordering: .relaxed) }
            last[task] = number
        }
    }

    /// Whether so much is done, soon.
    func hasDone(_ count: Int) async throws -> Bool {
        let start = ContinuousClock.now
        while self.done.load(ordering: .relaxed) < count {
            if .now - start > .seconds(20) { return false }
            try await Task.sleep(for: .milliseconds(2))
        }
        return true
    }

    func leave() {
        self.done.add(1, ordering: .relaxed)
        self.isInside.store(false, ordering: .releasing)
    }
}

@Suite(.timeLimit(.minutes(3))) struct EventLoopTests {
    /// Lends loops whose threads wait for work.
    private func withLoops(_ count: Int, _ body: ([AMQPEventLoop]) async throws -> Void) async throws {
        let loops = (0..<count).map { AMQPEventLoop(name: "loop-\($0)") }
        for loop in loops { loop.execute { loop.attach(IdleClient()) } }
        defer { for loop in loops { loop.execute { loop.attach(nil) } } }
        try await Task.sleep(for: .milliseconds(20))
        try await body(loops)
    }

    @Test func `work that comes of work at a second loop is done at a third`() async throws {
        try await self.withLoops(3) { loops in
            let ledger = Ledger()
            loops[0].execute {
                loops[1].submit(Errand { loops[2].submit(Errand { ledger.leave() }) })
            }
            let isDone = try await ledger.hasDone(1)
            #expect(isDone)
            loops[2].submit(Errand { ledger.leave() })
            let isDoneAgain = try await ledger.hasDone(2)
            #expect(isDoneAgain)
        }
    }

    @Test func `a loop goes on after another's long work was done by its thread`() async throws {
        try await self.withLoops(2) { loops in
            let ledger = Ledger()
            for round in 1...5 {
                // The second loop's work holds the first one's thread after its tasks, longer than a task may.
                await withTaskExecutorPreference(AMQPTaskExecutor.shared) {
                    await withCheckedContinuation { continuation in loops[0].execute { continuation.resume() } }
                    loops[1].submit(Errand { usleep(50_000) })
                }
                try await Task.sleep(for: .milliseconds(30))
                loops[0].submit(Errand { usleep(40_000) })
                loops[0].execute { ledger.leave() }
                let isDone = try await ledger.hasDone(round)
                #expect(isDone)
            }
        }
    }

    @Test func `tasks of three loops that work for each other lose nothing, overtake nothing and never meet`()
        async throws
    {
        let end = ContinuousClock.now + .seconds(3)
        try await self.withLoops(3) { loops in
            let ledgers = loops.map { _ in Ledger() }

            @Sendable func submit(_ number: Int, of task: Int, to index: Int, then body: @escaping @Sendable () -> Void)
            {
                ledgers[index].handedOver.add(1, ordering: .relaxed)
                loops[index].submit(
                    Errand {
                        ledgers[index].enter(task: task, number: number)
                        body()
                        ledgers[index].leave()
                    }
                )
            }

            await withTaskExecutorPreference(AMQPTaskExecutor.shared) {
                await withDiscardingTaskGroup { group in
                    for task in 0..<30 {
                        group.addTask {
                            var number = 0
                            while .now < end {
                                for _ in 0..<Int.random(in: 0..<4) {
                                    number += 1
                                    submit(number, of: task, to: Int.random(in: 0..<3)) {}
                                }
                                switch Int.random(in: 0..<2_000) {
                                case 0: usleep(30_000)
                                case 1..<10: await Task.yield()
                                default: break
                                }
                                number += 1
                                let now = number
                                await withCheckedContinuation { continuation in
                                    submit(now, of: task, to: now % 3) { continuation.resume() }
                                }
                            }
                        }
                    }
                }
            }
            for (loop, ledger) in zip(loops, ledgers) {
                let handedOver = ledger.handedOver.load(ordering: .relaxed)
                let isDone = try await ledger.hasDone(handedOver)
                #expect(isDone)
                #expect(ledger.overlaps.load(ordering: .relaxed) == 0)
                #expect(ledger.disorders.load(ordering: .relaxed) == 0)
                let state = loop.shared.withLock { ($0.work.count, $0.corked.count, $0.isLent, $0.isHeldUp) }
                #expect(state == (0, 0, false, false))
            }
        }
    }
}
