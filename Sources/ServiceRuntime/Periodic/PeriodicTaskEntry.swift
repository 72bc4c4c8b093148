internal import Logging
internal import Messaging
internal import Synchronization
internal import Tracing

/// One periodic task: its schedule, its status, and the run that is going on, if any.
final class PeriodicTaskEntry: Sendable {
    /// A run that was started and has not ended.
    struct Run: Sendable {
        let startedAt: Duration
        /// Comes when the body has ended, however long that takes.
        let ended = Eventual<Result<Void, any Error>>()
        /// Whether the time limit has passed, so that the result no longer counts.
        var isOverdue = false
    }

    private struct State {
        var schedule: PeriodicTaskSchedule
        var status: PeriodicTaskStatus
        var durations = LatencyHistogram()
        var run: Run?
        var body: Task<Void, Never>?
        /// The text of the error that was logged last; a task that fails each time is logged once.
        var loggedError: String?
    }

    let task: PeriodicTask
    private let clock: MonotonicClock
    private let logger: Logger
    private let random: @Sendable () -> Double
    private let state: Mutex<State>
    /// The program's tracer, if it had one when the service was made.
    private let tracer: ProgramTracer?

    init(_ task: PeriodicTask, clock: MonotonicClock, logger: Logger, random: @escaping @Sendable () -> Double) {
        var logger = logger
        logger[metadataKey: "task"] = "\(task.name)"
        self.task = task
        self.clock = clock
        self.logger = logger
        self.random = random
        self.tracer = .current
        self.state = Mutex(
            State(
                schedule: PeriodicTaskSchedule(of: task, startingAt: clock.now(), random: random),
                status: PeriodicTaskStatus(name: task.name, isEnabled: task.isEnabled)
            )
        )
    }

    var status: PeriodicTaskStatus {
        self.state.withLock { state in
            var status = state.status
            status.nextRun = self.task.isEnabled ? state.schedule.due : nil
            return status
        }
    }

    /// What metrics say of the task.
    var figures: PeriodicTaskFigures {
        let status = self.status
        return PeriodicTaskFigures(
            status: status,
            duration: RPCServerFigures.Distribution(self.state.withLock(\.durations)),
            lastSuccessAge: status.lastSuccess.map { max(self.clock.now() - $0, .zero) }
        )
    }

    /// When the next run is due.
    var due: Duration { self.state.withLock(\.schedule.due) }

    /// When the next run is due, and the point of the grid that it belongs to.
    var plan: (planned: Duration, due: Duration) { self.state.withLock { ($0.schedule.planned, $0.schedule.due) } }

    /// The run that is going on.
    var currentRun: Run? { self.state.withLock(\.run) }

    /// Lets the grid start now.
    func restart() {
        let now = self.clock.now()
        self.state.withLock { $0.schedule = PeriodicTaskSchedule(of: self.task, startingAt: now, random: self.random) }
    }

    /// Starts a run, unless one is going on.
    func start(_ context: PeriodicTaskContext) -> Run? {
        let run = Run(startedAt: self.clock.now())
        let isStarted = self.state.withLock { state -> Bool in
            guard state.run == nil else { return false }
            state.run = run
            state.status.runs += 1
            state.status.isRunning = true
            state.status.lastStart = run.startedAt
            return true
        }
        guard isStarted else { return nil }
        // Not a child task: a body that ignores its cancellation must hold up neither the other tasks nor the end of the
        // service, and a parent cannot leave a child behind. The table waits for it as long as the shutdown allows.
        let body = Task(executorPreference: preferredTaskExecutor) {
            let result: Result<Void, any Error>
            do {
                result = .success(try await self.perform(context))
            } catch {
                result = .failure(error)
            }
            self.finish(run, result)
        }
        self.state.withLock { state in
            // Nothing to keep if the body has ended already.
            if state.run?.ended === run.ended { state.body = body }
        }
        return run
    }

    /// Does what the task does, with a tracer as the beginning of a trace.
    private func perform(_ context: PeriodicTaskContext) async throws {
        guard let tracer = self.tracer else { return try await self.task.body(context) }
        let attributes: [String: String?] = ["steward.periodic_task": self.task.name, "server.address": context.host]
        try await tracer.withSpan("periodic \(self.task.name)", .internal, in: .topLevel, attributes) { _ in
            try await self.task.body(context)
        }
    }

    /// Waits for a run for as long as its task allows, and cancels it then.
    ///
    /// - Returns: Its result; `nil` when the waiting task was cancelled, which leaves the run alone.
    func result(of run: Run) async -> Result<Void, any Error>? {
        guard let limit = self.task.timeLimit else { return await run.ended.wait() }
        let clock = self.clock
        await firstOf([
            { await run.ended.wait() },
            { _ = await clock.sleep(until: run.startedAt + limit) },
        ])
        if let result = run.ended.current { return result }
        guard !Task.isCancelled else { return nil }
        let error = ServiceError(
            .timeLimitExceeded,
            "periodic task '\(self.task.name)' exceeded its time limit of \(limit) and was cancelled"
        )
        guard self.markOverdue(error) else { return run.ended.current }
        return .failure(error)
    }

    /// Cancels the run that is going on.
    func cancel() {
        self.state.withLock(\.body)?.cancel()
    }

    /// Counts the run as failed although it has not ended; answers `false` if it just did.
    private func markOverdue(_ error: ServiceError) -> Bool {
        let body = self.state.withLock { state -> Task<Void, Never>? in
            guard state.run != nil else { return nil }
            state.run?.isOverdue = true
            state.status.failures += 1
            state.status.lastError = error
            return state.body
        }
        guard let body else { return false }
        body.cancel()
        self.log(error)
        return true
    }

    private func finish(_ run: Run, _ result: Result<Void, any Error>) {
        let now = self.clock.now()
        let duration = now - run.startedAt
        let isOverdue = self.state.withLock { state -> Bool in
            let isOverdue = state.run?.isOverdue ?? false
            state.run = nil
            state.body = nil
            state.status.isRunning = false
            state.status.lastDuration = duration
            state.durations.record(duration)
            if duration > self.task.spacing { state.status.overruns += 1 }
            state.status.skippedRuns += state.schedule.advance(at: now, start: run.startedAt, random: self.random)
            guard !isOverdue else { return true }
            switch result {
            case .success:
                state.status.lastError = nil
                state.status.lastSuccess = now
            case .failure(let error):
                state.status.failures += 1
                state.status.lastError = error
            }
            return false
        }
        if isOverdue {
            self.logger.debug("overdue run has ended", metadata: ["duration": "\(duration)"])
        } else {
            switch result {
            case .success: self.log(nil)
            case .failure(let error): self.log(error)
            }
        }
        run.ended.fulfil(result)
    }

    /// Logs what is new: another error than the last time, or none any more.
    private func log(_ error: (any Error)?) {
        let text = error.map { String(describing: $0) }
        let previous = self.state.withLock { state -> String? in
            defer { state.loggedError = text }
            return state.loggedError
        }
        guard text != previous else { return }
        if let text {
            self.logger.info("periodic task failed", metadata: ["error": "\(text)"])
        } else {
            self.logger.info("periodic task recovered")
        }
    }
}
