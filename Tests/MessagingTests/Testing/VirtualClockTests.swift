import MessagingTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
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
            await self.clock.waitForSleepers(3)
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
        await self.clock.waitForSleepers(1)
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

    @Test func `a wait for sleepers can be cancelled`() async {
        let waiter = Task { await self.clock.waitForSleeper(until: .seconds(1)) }
        waiter.cancel()
        await waiter.value
    }

    @Test func `ten minutes of a task that repeats each second are played in full`() async throws {
        let times = EventRecorder<Duration>()
        let start = ContinuousClock.now
        await self.clock.run {
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        try await self.clock.sleep(for: .seconds(1))
                        times.record(self.clock.elapsed)
                    }
                }
                await self.clock.advance(by: .seconds(600))
                group.cancelAll()
            }
        }
        #expect(ContinuousClock.now - start < .seconds(50))
        #expect(times.events == (1...600).map { .seconds($0) })
    }

    @Test func `time passes by itself, from sleeper to sleeper, and only when nobody can go on`() async throws {
        let order = EventRecorder<String>()
        let start = ContinuousClock.now
        let result = await self.clock.passing {
            await withTaskGroup(of: Void.self) { group in
                for (name, seconds) in [("a", 3_600), ("b", 60), ("c", 86_400)] {
                    group.addTask {
                        // Work that takes its time, and does not look at the clock: no time passes meanwhile.
                        let end = ContinuousClock.now + .milliseconds(20)
                        while ContinuousClock.now < end { await Task.yield() }
                        do {
                            try await self.clock.sleep(for: .seconds(seconds))
                            order.record("\(name) at \(self.clock.elapsed)")
                        } catch {
                            order.record("\(error)")
                        }
                    }
                }
            }
            return "done"
        }
        #expect(result == "done")
        #expect(order.events == ["b at 60.0 seconds", "a at 3600.0 seconds", "c at 86400.0 seconds"])
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test func `a thousand repetitions of several tasks come in the same order each time`() async {
        func course() async -> [String] {
            let clock = VirtualClock()
            let order = EventRecorder<String>()
            await clock.run {
                await withTaskGroup(of: Void.self) { group in
                    for seconds in 1...5 {
                        group.addTask {
                            do {
                                while true {
                                    try await clock.sleep(for: .seconds(seconds))
                                    order.record("\(seconds)")
                                }
                            } catch {
                                // The end.
                            }
                        }
                    }
                    await clock.waitForSleepers(5)
                    await clock.advance(by: .seconds(438))
                    group.cancelAll()
                }
            }
            return order.events
        }
        let first = await course()
        // 438 / 1 + 438 / 2 + 438 / 3 + …
        #expect(first.count == 999)
        let second = await course()
        #expect(second == first)
    }

    @Test func `those who sleep to the same time wake in the order in which they lay down`() async throws {
        // One after another: the clock sees them in this order.
        let tasks = await (0..<20).asyncMap { number in
            let task = Task {
                try await self.clock.sleep(for: .seconds(1))
            }
            await self.clock.waitForSleepers(number + 1)
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
