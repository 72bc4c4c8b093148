internal import Logging
internal import Messaging

/// The periodic tasks of one manager, and the loops that run them.
final class PeriodicTaskTable: Sendable {
    let entries: [PeriodicTaskEntry]
    private let clock: MonotonicClock
    private let logger: Logger

    /// How long cancelled bodies may take to end before they are left behind.
    private static let cancellationGrace = Duration.seconds(1)
    /// The longest idle time that is answered, as in oslo.service (wire contract 8).
    private static let longestIdleTime = Duration.seconds(60)

    init(
        _ tasks: [PeriodicTask],
        clock: MonotonicClock,
        logger: Logger,
        random: @escaping @Sendable () -> Double
    ) throws(ServiceError) {
        var names: Set<String> = []
        for task in tasks {
            try task.validate()
            guard names.insert(task.name).inserted else {
                throw ServiceError(
                    .invalidPeriodicTask,
                    "there are two periodic tasks named '\(task.name)'; give each its own name"
                )
            }
        }
        self.entries = tasks.map { PeriodicTaskEntry($0, clock: clock, logger: logger, random: random) }
        self.clock = clock
        self.logger = logger
    }

    private var enabled: [PeriodicTaskEntry] { self.entries.filter(\.task.isEnabled) }

    // MARK: The service's loops

    /// Runs each task by its own loop until `stop` comes or the task is cancelled; then waits for the runs that are going
    /// on, for the grace period at most.
    ///
    /// The grids start when this is called.
    func run(_ context: PeriodicTaskContext, until stop: Eventual<Void>, gracePeriod: Duration) async {
        for entry in self.enabled { entry.restart() }
        await withTaskGroup(of: Void.self) { group in
            for entry in self.enabled {
                group.addTask { await self.loop(entry, context) }
            }
            await stop.wait()
            // This ends the loops; bodies are not their children and go on.
            group.cancelAll()
        }
        await self.drain(gracePeriod: gracePeriod)
    }

    private func loop(_ entry: PeriodicTaskEntry, _ context: PeriodicTaskContext) async {
        while !Task.isCancelled {
            guard await self.clock.sleep(until: entry.due) else { return }
            guard let run = entry.start(context.forTask(entry.task.name)) else {
                // Somebody else has started it: a task never overlaps itself.
                await entry.currentRun?.ended.wait()
                continue
            }
            _ = await entry.result(of: run)
            // An overdue run may go on although it was cancelled; the next one waits for its end.
            await run.ended.wait()
        }
    }

    /// Waits for running bodies, cancels those that take too long, and leaves behind those that do not care.
    private func drain(gracePeriod: Duration) async {
        let runs = self.entries.compactMap { entry in entry.currentRun.map { (entry, $0) } }
        guard !runs.isEmpty else { return }
        let clock = self.clock
        let hurry = Eventual<Void>()
        // A task of its own, awaited on the spot: cancellation shortens the wait for the bodies but must not skip it.
        let cleanup = Task(executorPreference: preferredTaskExecutor) {
            let allEnded: @Sendable () async -> Void = {
                await withTaskGroup(of: Void.self) { group in
                    for (entry, run) in runs {
                        group.addTask {
                            // A time limit holds at the end of the service too: its loop does not watch it any more.
                            _ = await entry.result(of: run)
                            await run.ended.wait()
                        }
                    }
                }
            }
            await firstOf([allEnded, { _ = await clock.sleep(for: gracePeriod) }, { await hurry.wait() }])
            let late = runs.filter { $0.1.ended.current == nil }.map(\.0)
            guard !late.isEmpty else { return }
            for entry in late { entry.cancel() }
            await firstOf([allEnded, { _ = await clock.sleep(for: Self.cancellationGrace) }])
            let left = runs.filter { $0.1.ended.current == nil }.map(\.0.task.name)
            guard !left.isEmpty else { return }
            self.logger.info("periodic tasks do not end and are left behind", metadata: ["tasks": "\(left)"])
        }
        await withTaskCancellationHandler {
            await cleanup.value
        } onCancel: {
            hurry.fulfil()
        }
    }

    // MARK: One round

    /// Runs once what is due; see ``Manager/periodicTasks(context:raiseOnError:)``.
    func runDue(_ context: PeriodicTaskContext, raiseOnError: Bool) async throws -> Duration {
        let now = self.clock.now()
        let due = self.enabled.filter { $0.due <= now }
        let firstError = await withTaskGroup(of: (any Error)?.self) { group -> (any Error)? in
            for entry in due {
                group.addTask {
                    guard let run = entry.start(context.forTask(entry.task.name)) else { return nil }
                    switch await entry.result(of: run) {
                    case .success: return nil
                    case .failure(let error): return error
                    case nil:
                        // Cancelled: here, unlike in the service, the caller is the only one who runs the body.
                        entry.cancel()
                        return CancellationError()
                    }
                }
            }
            var first: (any Error)?
            for await error in group { first = first ?? error }
            return first
        }
        try Task.checkCancellation()
        if raiseOnError, let firstError { throw firstError }
        let end = self.clock.now()
        return self.enabled.map { max(.zero, $0.due - end) }.reduce(Self.longestIdleTime, min)
    }
}

extension PeriodicTaskContext {
    func runDue(raiseOnError: Bool) async throws -> Duration {
        try await self.table.runDue(self, raiseOnError: raiseOnError)
    }
}
