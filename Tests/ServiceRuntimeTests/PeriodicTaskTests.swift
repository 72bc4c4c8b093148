import Logging
import Messaging
import MessagingTesting
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3)))
struct PeriodicTaskTests {
    private let clock = VirtualClock()
    private let events = Events()
    private let log = TestLog()

    private func task(
        _ name: String,
        every spacing: Duration = .seconds(10),
        runImmediately: Bool = false,
        isEnabled: Bool = true,
        timeLimit: Duration? = nil,
        _ body: @escaping @Sendable () async throws -> Void = {}
    ) -> PeriodicTask {
        PeriodicTask(
            name,
            every: spacing,
            runImmediately: runImmediately,
            isEnabled: isEnabled,
            timeLimit: timeLimit,
            jitter: 0
        ) { [events] _ in
            events.add(name)
            try await body()
        }
    }

    private func context(_ tasks: PeriodicTask...) throws -> PeriodicTaskContext {
        try PeriodicTaskContext(for: TestManager(tasks: tasks), clock: self.clock, logger: self.log.logger)
    }

    /// Runs the loops for the time of `body`, as a service does.
    private func withLoops(
        _ context: PeriodicTaskContext,
        gracePeriod: Duration = .seconds(5),
        _ body: () async throws -> Void
    ) async rethrows {
        let stop = Eventual<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await context.table.run(context, until: stop, gracePeriod: gracePeriod) }
            defer { stop.fulfil() }
            try await body()
        }
    }

    @Test func `how long runs took and when one succeeded last is told, and that one runs now`() async throws {
        let held = Eventual<Void>()
        let isFailing = Mutex(false)
        let context = try context(
            task("a") { [clock] in
                await clock.advance(by: .seconds(2))
                if isFailing.withLock(\.self) { throw TestFailure("no") }
            },
            task("b", every: .seconds(1000)) { await held.wait() }
        )
        let entries = context.table.entries
        #expect(entries[0].figures.lastSuccessAge == nil)
        #expect(entries[0].figures.duration.count == 0)
        await self.clock.advance(by: .seconds(10))
        _ = try await context.runDue(raiseOnError: true)
        await self.clock.advance(by: .seconds(5))
        #expect(entries[0].figures.lastSuccessAge == .seconds(5))
        isFailing.withLock { $0 = true }
        await self.clock.advance(by: .seconds(20))
        _ = try await context.runDue(raiseOnError: false)
        let figures = entries[0].figures
        #expect(figures.status.failures == 1)
        #expect(figures.duration.count == 2)
        #expect(figures.duration.totalSeconds == 4)
        #expect(figures.lastSuccessAge == .seconds(27))
        await self.clock.advance(by: .seconds(1000))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await context.runDue(raiseOnError: false) }
            await self.events.wait(for: "b")
            #expect(entries[1].figures.status.isRunning)
            held.fulfil()
            try await group.waitForAll()
        }
        #expect(!entries[1].figures.status.isRunning)
        #expect(entries[1].figures.duration.count == 1)
    }

    // MARK: The loops

    @Test func `a task runs once each spacing`() async throws {
        let context = try context(task("a"))
        await withLoops(context) {
            for run in 1...3 {
                await self.clock.waitForSleeper(until: .seconds(10 * run))
                #expect(self.events.count(of: "a") == run - 1)
                self.clock.jump(by: .seconds(10))
                await self.events.wait(for: "a", count: run)
            }
        }
        #expect(context.status(of: "a")?.runs == 3)
        #expect(context.status(of: "a")?.lastStart == .seconds(30))
    }

    @Test func `a task that runs immediately does not wait`() async throws {
        let context = try context(task("a", runImmediately: true))
        await withLoops(context) { await self.events.wait(for: "a") }
        #expect(self.clock.elapsed == .zero)
    }

    @Test func `a task that is not enabled never runs`() async throws {
        let context = try context(task("off", runImmediately: true, isEnabled: false), task("on"))
        await withLoops(context) {
            await self.clock.waitForSleeper(until: .seconds(10))
            self.clock.jump(by: .seconds(10))
            await self.events.wait(for: "on")
        }
        #expect(self.events.all == ["on"])
        #expect(context.status(of: "off")?.nextRun == nil)
    }

    @Test func `a failing task goes on, its error is kept and logged once`() async throws {
        let context = try context(task("bad") { throw TestFailure("no disk") }, task("good", every: .seconds(11)))
        await withLoops(context) {
            for run in 1...3 {
                await self.clock.waitForSleeper(until: .seconds(10 * run))
                await self.clock.waitForSleeper(until: .seconds(11 * run))
                self.clock.jump(by: .seconds(10 * run) - self.clock.elapsed)
                await self.events.wait(for: "bad", count: run)
                self.clock.jump(by: .seconds(run))
                await self.events.wait(for: "good", count: run)
            }
            await self.clock.waitForSleeper(until: .seconds(40))
        }
        let status = try #require(context.status(of: "bad"))
        #expect(status.failures == 3)
        #expect(status.lastError is TestFailure)
        #expect(context.status(of: "good")?.failures == 0)
        #expect(self.log.count(of: "periodic task failed") == 1)
    }

    @Test func `a recovery is logged and forgets the error`() async throws {
        let events = self.events
        let context = try context(task("a") { if events.count(of: "a") == 1 { throw TestFailure("once") } })
        await withLoops(context) {
            for run in 1...3 {
                await self.clock.waitForSleeper(until: .seconds(10 * run))
                self.clock.jump(by: .seconds(10))
                await self.events.wait(for: "a", count: run)
            }
            await self.clock.waitForSleeper(until: .seconds(40))
        }
        #expect(context.status(of: "a")?.lastError == nil)
        #expect(self.log.count(of: "periodic task failed") == 1)
        #expect(self.log.count(of: "periodic task recovered") == 1)
    }

    @Test func `a slow task overlaps neither itself nor holds up another, and is next run on the grid`() async throws {
        let hang = Hang()
        let context = try context(task("slow") { await hang.wait() }, task("quick", every: .seconds(5)))
        await withLoops(context) {
            for run in 1...6 {
                await self.clock.waitForSleeper(until: .seconds(5 * run))
                if run == 2 { await self.clock.waitForSleeper(until: .seconds(10)) }
                self.clock.jump(by: .seconds(5))
                await self.events.wait(for: "quick", count: run)
                if run == 2 { await self.events.wait(for: "slow") }
            }
            #expect(self.events.count(of: "slow") == 1)
            #expect(context.status(of: "slow")?.isRunning == true)
            self.clock.jump(by: .seconds(4))
            hang.release()
            // The points at 20 s and 30 s went by.
            await self.clock.waitForSleeper(until: .seconds(40))
            self.clock.jump(by: .seconds(6))
            await self.events.wait(for: "slow", count: 2)
        }
        let status = try #require(context.status(of: "slow"))
        #expect(status.overruns == 1)
        #expect(status.skippedRuns == 2)
        #expect(status.lastStart == .seconds(40))
    }

    @Test func `after a long stop a task runs once and is on the grid again`() async throws {
        let context = try context(task("a"))
        await withLoops(context) {
            await self.clock.waitForSleeper(until: .seconds(10))
            self.clock.jump(by: .seconds(3604))
            await self.events.wait(for: "a")
            await self.clock.waitForSleeper(until: .seconds(3610))
            self.clock.jump(by: .seconds(6))
            await self.events.wait(for: "a", count: 2)
        }
        #expect(self.events.count(of: "a") == 2)
    }

    @Test func `a run over its limit is cancelled and reported`() async throws {
        let events = self.events
        let context = try context(
            task("long", timeLimit: .seconds(3)) {
                do {
                    try await Task.sleep(for: .seconds(600))
                } catch {
                    events.add("cancelled")
                    throw error
                }
            }
        )
        await withLoops(context) {
            await self.clock.waitForSleeper(until: .seconds(10))
            self.clock.jump(by: .seconds(10))
            await self.clock.waitForSleeper(until: .seconds(13))
            self.clock.jump(by: .seconds(3))
            await self.events.wait(for: "cancelled")
            await self.clock.waitForSleeper(until: .seconds(20))
        }
        let status = try #require(context.status(of: "long"))
        #expect(status.failures == 1)
        #expect((status.lastError as? ServiceError)?.code == .timeLimitExceeded)
        #expect(status.lastDuration == .seconds(3))
    }

    @Test func `a body that ignores its cancellation is reported, not started again, and left behind`() async throws {
        let hang = Hang()
        defer { hang.release() }
        let context = try context(
            task("stuck", every: .seconds(5), timeLimit: .seconds(3)) { await hang.wait() },
            task("other")
        )
        let stop = Eventual<Void>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await context.table.run(context, until: stop, gracePeriod: .seconds(4)) }
            await self.clock.waitForSleeper(until: .seconds(5))
            self.clock.jump(by: .seconds(5))
            await self.clock.waitForSleeper(until: .seconds(8))
            self.clock.jump(by: .seconds(3))
            while context.status(of: "stuck")?.failures == 0 { await Task.yield() }
            for run in 1...2 {
                await self.clock.waitForSleeper(until: .seconds(10 * run))
                self.clock.jump(by: .seconds(10 * run) - self.clock.elapsed)
                await self.events.wait(for: "other", count: run)
            }
            #expect(context.status(of: "stuck")?.failures == 1)
            #expect(context.status(of: "stuck")?.isRunning == true)
            stop.fulfil()
            // The grace period, and what is given to the cancelled.
            await self.clock.waitForSleeper(until: .seconds(24))
            self.clock.jump(by: .seconds(4))
            await self.clock.waitForSleeper(until: .seconds(25))
            self.clock.jump(by: .seconds(1))
        }
        #expect(self.events.count(of: "stuck") == 1)
        #expect(self.log.count(of: "periodic tasks do not end and are left behind") == 1)
    }

    @Test func `a stop lets a running task finish`() async throws {
        let hang = Hang()
        let events = self.events
        let context = try context(
            task("a") {
                await hang.wait()
                events.add(Task.isCancelled ? "cancelled" : "finished")
            }
        )
        let stop = Eventual<Void>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await context.table.run(context, until: stop, gracePeriod: .seconds(5)) }
            await self.clock.waitForSleeper(until: .seconds(10))
            self.clock.jump(by: .seconds(10))
            await self.events.wait(for: "a")
            stop.fulfil()
            // The grace period is running.
            await self.clock.waitForSleeper(until: .seconds(15))
            hang.release()
        }
        #expect(self.events.all == ["a", "finished"])
    }

    // MARK: One round

    @Test func `a round runs what is due and answers the idle time`() async throws {
        let manager = TestManager(tasks: [task("a"), task("b", every: .seconds(25))])
        let context = try PeriodicTaskContext(for: manager, clock: self.clock, logger: self.log.logger)
        #expect(try await manager.periodicTasks(context: context) == .seconds(10))
        #expect(self.events.all == [])
        self.clock.jump(by: .seconds(12))
        #expect(try await manager.periodicTasks(context: context) == .seconds(8))
        #expect(self.events.all == ["a"])
        self.clock.jump(by: .seconds(13))
        #expect(try await manager.periodicTasks(context: context) == .seconds(5))
        #expect(self.events.all.sorted() == ["a", "a", "b"])
    }

    @Test func `the idle time is 60 s at most`() async throws {
        let manager = TestManager(tasks: [task("a", every: .seconds(3600))])
        let context = try PeriodicTaskContext(for: manager, clock: self.clock)
        #expect(try await manager.periodicTasks(context: context) == .seconds(60))
    }

    @Test func `a round throws the error of a task only when asked to, after all have run`() async throws {
        let manager = TestManager(tasks: [task("bad") { throw TestFailure("no") }, task("good")])
        let context = try PeriodicTaskContext(for: manager, clock: self.clock, logger: self.log.logger)
        self.clock.jump(by: .seconds(10))
        try await manager.periodicTasks(context: context)
        self.clock.jump(by: .seconds(10))
        await #expect(throws: TestFailure.self) {
            try await manager.periodicTasks(context: context, raiseOnError: true)
        }
        #expect(self.events.count(of: "good") == 2)
        #expect(context.status(of: "bad")?.failures == 2)
    }
}
