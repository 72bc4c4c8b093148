public import Messaging
internal import Synchronization

/// A clock that stands still until a test moves it.
///
/// What takes its time from it (an `InMemoryBroker`, and with its transport calls, servers and their retries; the
/// periodic tasks of a service) plays hours in a moment:
///
/// ```swift
/// let clock = VirtualClock()
/// let broker = InMemoryBroker(clock: clock)
/// …
/// await clock.waitForSleepers(1)
/// await clock.advance(by: .seconds(600))
/// ```
///
/// Its instants are those of `ContinuousClock`, beginning at the moment in which it was made.
public final class VirtualClock: MessagingClock, Sendable {
    /// The instants of the clock that is used outside of tests.
    public typealias Instant = ContinuousClock.Instant

    private struct Sleeper {
        let id: UInt64
        let deadline: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct Observer {
        let id: UInt64
        let isSatisfied: @Sendable ([Instant]) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var now: Instant
        var nextID: UInt64 = 0
        /// In the order in which they wake: by deadline, then by who slept first.
        var sleepers: [Sleeper] = []
        var observers: [Observer] = []
        /// Counts what was asked of the clock, which tells whether those who use it are at work.
        var uses: UInt64 = 0
        /// Runs the tasks of ``VirtualClock/run(_:)``.
        var executor: VirtualTimeExecutor?

        mutating func makeID() -> UInt64 {
            defer { self.nextID += 1 }
            return self.nextID
        }

        mutating func add(_ sleeper: Sleeper) {
            let index = self.sleepers.firstIndex { $0.deadline > sleeper.deadline } ?? self.sleepers.endIndex
            self.sleepers.insert(sleeper, at: index)
        }

        mutating func satisfiedObservers() -> [Observer] {
            guard !self.observers.isEmpty else { return [] }
            let deadlines = self.sleepers.map(\.deadline)
            let satisfied = self.observers.filter { $0.isSatisfied(deadlines) }
            self.observers.removeAll { observer in satisfied.contains { $0.id == observer.id } }
            return satisfied
        }
    }

    /// The time at which the clock was made.
    public let start: Instant
    private let state: Mutex<State>

    /// Creates a clock that stands at this moment.
    public init() {
        let start = ContinuousClock.now
        self.start = start
        self.state = Mutex(State(now: start))
    }

    // MARK: A clock

    /// The time to which the clock was moved.
    public var now: Instant {
        self.state.withLock { state in
            state.uses += 1
            return state.now
        }
    }

    /// How far the clock was moved since it was made.
    public var elapsed: Duration { self.start.duration(to: self.state.withLock(\.now)) }

    /// Zero: time has no grain here.
    public let minimumResolution = Duration.zero

    /// Sleeps until the clock is moved to a time, or beyond.
    ///
    /// - Parameters:
    ///   - deadline: When to wake.
    ///   - tolerance: Without a meaning here.
    /// - Throws: `CancellationError`.
    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let id = self.state.withLock { $0.makeID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (outcome, observers) = self.state.withLock { state -> (Result<Void, any Error>?, [Observer]) in
                    state.uses += 1
                    if Task.isCancelled { return (.failure(CancellationError()), []) }
                    if deadline <= state.now { return (.success(()), []) }
                    state.add(Sleeper(id: id, deadline: deadline, continuation: continuation))
                    return (nil, state.satisfiedObservers())
                }
                if let outcome { continuation.resume(with: outcome) }
                for observer in observers { observer.continuation.resume() }
            }
        } onCancel: {
            let sleeper = self.state.withLock { state -> Sleeper? in
                state.uses += 1
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else { return nil }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    // MARK: Who sleeps

    /// How many tasks sleep.
    public var sleepers: Int { self.state.withLock(\.sleepers.count) }

    /// When the next sleeper wakes, counted from the clock's start; `nil` where nobody sleeps.
    public var nextWake: Duration? {
        self.state.withLock { $0.sleepers.first.map { self.start.duration(to: $0.deadline) } }
    }

    /// Whether somebody sleeps until a time.
    ///
    /// - Parameter time: The time, counted from the clock's start.
    /// - Returns: Whether a task will wake exactly then.
    public func hasSleeper(until time: Duration) -> Bool {
        let deadline = self.start + time
        return self.state.withLock { $0.sleepers.contains { $0.deadline == deadline } }
    }

    /// Waits until at least so many tasks sleep: then what they did before is done, and the clock may be moved.
    ///
    /// It ends early where the waiting task is cancelled.
    ///
    /// - Parameter count: How many.
    public func waitForSleepers(_ count: Int) async {
        await self.wait { $0.count >= count }
    }

    /// Waits until a task sleeps until a time.
    ///
    /// It ends early where the waiting task is cancelled.
    ///
    /// - Parameter time: The time, counted from the clock's start.
    public func waitForSleeper(until time: Duration) async {
        let deadline = self.start + time
        await self.wait { $0.contains(deadline) }
    }

    private func wait(until isSatisfied: @escaping @Sendable ([Instant]) -> Bool) async {
        let id = self.state.withLock { $0.makeID() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLock { state in
                    if Task.isCancelled || isSatisfied(state.sleepers.map(\.deadline)) { return true }
                    state.observers.append(Observer(id: id, isSatisfied: isSatisfied, continuation: continuation))
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let observer = self.state.withLock { state -> Observer? in
                guard let index = state.observers.firstIndex(where: { $0.id == id }) else { return nil }
                return state.observers.remove(at: index)
            }
            observer?.continuation.resume()
        }
    }

    // MARK: Moving it

    /// Moves the clock at once, and wakes in order whoever has slept long enough.
    ///
    /// Those who wake see the new time, and what they do then happens after this has returned: what repeats within the
    /// span happens once. ``advance(by:)`` plays a span with all that happens in it.
    ///
    /// - Parameter duration: How far; not negative.
    public func jump(by duration: Duration) {
        precondition(duration >= .zero, "time does not run backwards")
        let woken = self.state.withLock { state in
            state.now += duration
            let count = state.sleepers.prefix { $0.deadline <= state.now }.count
            defer { state.sleepers.removeFirst(count) }
            return Array(state.sleepers.prefix(count))
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    /// Moves the clock through a span of time: from sleeper to sleeper, and each time lets those who woke do their work
    /// before it goes on, so that what repeats within the span happens as often as it should.
    ///
    /// That is known of tasks within ``run(_:)``. Outside of it "their work" is what they do until nobody has used the clock
    /// for some milliseconds; a test that can wait for an event does so, and then moves the clock.
    ///
    /// - Parameter duration: How far; not negative.
    public func advance(by duration: Duration) async {
        await self.settle()
        let end = self.state.withLock(\.now) + duration
        while let next = self.state.withLock(\.sleepers.first?.deadline), next <= end {
            self.jump(by: self.state.withLock(\.now).duration(to: next))
            await self.settle()
        }
        self.jump(by: max(.zero, self.state.withLock(\.now).duration(to: end)))
        await self.settle()
    }

    /// Moves the clock to the time at which the next sleeper wakes; waits for one where nobody sleeps yet.
    ///
    /// - Returns: How far the clock was moved.
    /// - Throws: `CancellationError`.
    @discardableResult
    public func advanceToNextSleeper() async throws -> Duration {
        while true {
            await self.waitForSleepers(1)
            try Task.checkCancellation()
            await self.settle()
            try Task.checkCancellation()
            // It may have been cancelled since.
            guard let next = self.state.withLock(\.sleepers.first?.deadline) else { continue }
            let duration = self.state.withLock(\.now).duration(to: next)
            self.jump(by: duration)
            await self.settle()
            return duration
        }
    }

    /// Does something while time passes by itself: whenever no task of it can go on, the clock moves to the time at which the
    /// next sleeper wakes.
    ///
    /// ```swift
    /// let result = try await clock.passing { try await client.call("create", timeout: .seconds(3600)) }
    /// ```
    ///
    /// - Parameter body: What is done.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public func passing<Value: Sendable>(_ body: @Sendable () async throws -> Value) async rethrows -> Value {
        try await self.run {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true { try await self.advanceToNextSleeper() }
                }
                defer { group.cancelAll() }
                return try await body()
            }
        }
    }

    // MARK: Those who use it

    /// Does something so that the clock knows of all its tasks, and moves exactly when none of them can go on.
    ///
    /// The tasks run one after another, on a thread of the clock's own, so that a test takes the same course each time.
    /// Not known are tasks that are made without structure (`Task { }`) and actors with executors of their own; the
    /// clock gives them some time, as it does to all tasks without this function.
    ///
    /// - Parameter body: What is done; the clock is moved from within.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public func run<Value: Sendable>(_ body: @Sendable () async throws -> Value) async rethrows -> Value {
        let executor = self.state.withLock { state in
            let executor = state.executor ?? VirtualTimeExecutor()
            state.executor = executor
            return executor
        }
        return try await withTaskExecutorPreference(executor, operation: body)
    }

    /// Lets tasks run until they can do so no more: within ``run(_:)`` that is known, and else assumed when none of them has
    /// used the clock for some milliseconds.
    public func settle() async {
        let executor = self.state.withLock(\.executor)
        // Outside of the executor, so that the wait itself is nothing that runs there.
        await Task.detached {
            if let executor { await self.settle(executor) } else { await self.settleByTime() }
        }.value
    }

    private func settle(_ executor: VirtualTimeExecutor) async {
        var quietRounds = 0
        for _ in 0..<10_000 where quietRounds < 2 {
            await executor.waitUntilIdle()
            let before = (executor.jobsRun, self.state.withLock(\.uses))
            // For tasks that run elsewhere.
            for _ in 0..<8 { await Task.yield() }
            await executor.waitUntilIdle()
            quietRounds = before == (executor.jobsRun, self.state.withLock(\.uses)) ? quietRounds + 1 : 0
        }
    }

    private func settleByTime() async {
        var quietRounds = 0
        // Bounded, for those who look at the clock again and again.
        for _ in 0..<2_000 where quietRounds < 5 {
            let uses = self.state.withLock(\.uses)
            for _ in 0..<8 { await Task.yield() }
            do {
                try await Task.sleep(for: .milliseconds(2))
            } catch {
                return  // A detached task is not cancelled.
            }
            quietRounds = self.state.withLock(\.uses) == uses ? quietRounds + 1 : 0
        }
    }
}
