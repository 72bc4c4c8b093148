import Testing

@testable import ServiceRuntime

struct PeriodicTaskScheduleTests {
    private func task(
        every spacing: Duration = .seconds(10),
        runImmediately: Bool = false,
        jitter: Double = 0
    ) -> PeriodicTask {
        PeriodicTask("task", every: spacing, runImmediately: runImmediately, jitter: jitter) { _ in }
    }

    @Test func `the first run is one spacing after the start, or at once`() {
        #expect(PeriodicTaskSchedule(of: task(), startingAt: .seconds(3), random: { 0 }).due == .seconds(13))
        let immediate = task(runImmediately: true, jitter: 0.5)
        #expect(PeriodicTaskSchedule(of: immediate, startingAt: .seconds(3), random: { 0.9 }).due == .seconds(3))
    }

    @Test func `runs stay on the grid however long each takes`() {
        var schedule = PeriodicTaskSchedule(of: task(), startingAt: .zero, random: { 0 })
        #expect(schedule.advance(at: .seconds(14), random: { 0 }) == 0)
        #expect(schedule.due == .seconds(20))
        #expect(schedule.advance(at: .seconds(20), random: { 0 }) == 0)
        #expect(schedule.due == .seconds(30))
    }

    @Test func `what a long run missed is left out`() {
        var schedule = PeriodicTaskSchedule(of: task(), startingAt: .zero, random: { 0 })
        #expect(schedule.advance(at: .seconds(25), random: { 0 }) == 1)
        #expect(schedule.due == .seconds(30))
    }

    @Test func `after a long stop there is one run and no burst`() {
        var schedule = PeriodicTaskSchedule(of: task(), startingAt: .zero, random: { 0 })
        #expect(schedule.advance(at: .seconds(3605), random: { 0 }) == 359)
        #expect(schedule.due == .seconds(3610))
    }

    @Test func `the end exactly at a point of the grid still meets it`() {
        var schedule = PeriodicTaskSchedule(of: task(), startingAt: .zero, random: { 0 })
        #expect(schedule.advance(at: .seconds(30), random: { 0 }) == 1)
        #expect(schedule.due == .seconds(30))
    }

    @Test func `jitter delays within its share and never skips a run`() {
        var schedule = PeriodicTaskSchedule(of: task(jitter: 0.05), startingAt: .zero, random: { 0.999 })
        var random = SystemRandomNumberGenerator()
        for run in 1...5000 {
            let planned = Duration.seconds(10 * run)
            #expect(schedule.planned == planned)
            #expect(schedule.due >= planned && schedule.due < planned + .milliseconds(500))
            #expect(schedule.advance(at: schedule.due, random: { Double.random(in: 0..<1, using: &random) }) == 0)
        }
    }

    @Test func `a grid of years does not drift`() {
        let spacing = Duration.milliseconds(333)
        var schedule = PeriodicTaskSchedule(of: task(every: spacing), startingAt: .zero, random: { 0 })
        let late = spacing * 300_000_000 + .milliseconds(100)
        #expect(schedule.advance(at: late, random: { 0 }) == 300_000_000 - 1)
        #expect(schedule.due == spacing * 300_000_001)
    }

    @Test(arguments: [Duration.zero, .seconds(-1)])
    func `a spacing that is not positive is an error that names the task`(spacing: Duration) throws {
        let error = try #require(throws: ServiceError.self) {
            try PeriodicTaskContext(for: TestManager(tasks: [task(every: spacing)]))
        }
        #expect(error.code == .invalidPeriodicTask)
        #expect(error.message.contains("'task'"))
    }

    @Test func `limits, jitter and names are checked too`() {
        let limit = PeriodicTask("limit", every: .seconds(1), timeLimit: .zero) { _ in }
        let jitter = PeriodicTask("jitter", every: .seconds(1), jitter: 1) { _ in }
        for tasks in [[limit], [jitter], [task(), task()]] {
            #expect(throws: ServiceError.self) { try PeriodicTaskContext(for: TestManager(tasks: tasks)) }
        }
    }
}
