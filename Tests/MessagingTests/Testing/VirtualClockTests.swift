import MessagingTesting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct VirtualClockTests {
    private let clock = VirtualClock()
    private let woken = EventRecorder<Int>()

    @Test func `time stands still`() async throws {
        let now = self.clock.now
        try await Task.sleep(for: .milliseconds(5))
        #expect(self.clock.now == now)
        #expect(self.clock.elapsed == .zero)
        self.clock.jump(by: .seconds(3))
        #expect(now.duration(to: self.clock.now) == .seconds(3))
    }

    @Test func `sleepers wake when their time has come, and not before`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    try await self.clock.sleep(for: .seconds(seconds))
                    self.woken.record(seconds)
                }
            }
            try await self.clock.waitForSleepers(3)
            #expect(self.clock.nextWake == .seconds(1))
            self.clock.jump(by: .milliseconds(1_999))
            #expect(try await self.woken.first(1) == [1])
            #expect(self.clock.sleepers == 2)
            self.clock.jump(by: .milliseconds(1))
            #expect(try await self.woken.first(2) == [1, 2])
            try await self.clock.advanceToNextSleeper()
            #expect(self.clock.elapsed == .seconds(3))
            try await group.waitForAll()
        }
        #expect(self.woken.events == [1, 2, 3])
    }

    @Test func `a time that has come is not waited for`() async throws {
        try await self.clock.sleep(for: .zero)
        try await self.clock.sleep(until: self.clock.now - .seconds(1), tolerance: nil)
        #expect(self.clock.sleepers == 0)
    }

    @Test func `a cancelled sleeper wakes, and is gone`() async throws {
        let sleeper = Task { try await self.clock.sleep(for: .seconds(1)) }
        try await self.clock.waitForSleepers(1)
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(self.clock.sleepers == 0)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await self.clock.sleep(for: .seconds(1))
        }
        await #expect(throws: CancellationError.self) { try await late.value }
        #expect(self.clock.sleepers == 0)
    }

    @Test func `a wait for sleepers can be cancelled`() async throws {
        let waiter = Task { try await self.clock.waitForSleeper(until: .seconds(1)) }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
    }

    @Test func `ten minutes of a task that repeats each second are played in full`() async throws {
        let times = EventRecorder<Duration>()
        let repeating = Task {
            while true {
                try await self.clock.sleep(for: .seconds(1))
                times.record(self.clock.elapsed)
            }
        }
        let start = ContinuousClock.now
        await self.clock.advance(by: .seconds(600))
        #expect(ContinuousClock.now - start < .seconds(50))
        #expect(times.events == (1...600).map { .seconds($0) })
        repeating.cancel()
    }

    @Test func `those who sleep to the same time wake in the order in which they lay down`() async throws {
        // One after another: the clock sees them in this order.
        let tasks = try await (0..<20).asyncMap { number in
            let task = Task {
                try await self.clock.sleep(for: .seconds(1))
            }
            try await self.clock.waitForSleepers(number + 1)
            return task
        }
        #expect(self.clock.hasSleeper(until: .seconds(1)))
        #expect(try await self.clock.advanceToNextSleeper() == .seconds(1))
        for task in tasks { try await task.value }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
