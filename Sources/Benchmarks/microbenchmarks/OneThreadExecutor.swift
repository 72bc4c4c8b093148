import Messaging
import Synchronization

/// Runs tasks on the thread that asks for it: with threads of the runtime's, no two runs would count the same.
final class OneThreadExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.jobs.withLock { $0.append(job) }
    }

    /// Runs an operation until nothing is left to do.
    ///
    /// - Returns: What became of it; `nil` when it waits for something that does not come.
    func run(_ operation: @escaping @Sendable () async throws -> Void) -> Result<Void, any Error>? {
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        Task(executorPreference: self) {
            do {
                try await operation()
                outcome.withLock { $0 = .success(()) }
            } catch {
                outcome.withLock { $0 = .failure(error) }
            }
        }
        while let job = self.next() { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        return outcome.withLock { $0 }
    }

    private func next() -> UnownedJob? {
        self.jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
}

/// A clock that stands still: nothing that waits for it goes on, and it needs no thread.
struct StillClock: MessagingClock {
    let now = ContinuousClock.now
    let minimumResolution = Duration.nanoseconds(1)

    func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
        try await Eventual<Void>().value()
    }
}
