internal import Glibc
internal import Synchronization

/// Runs tasks one after another on a thread of its own, and knows when none of them can go on: then, and not some
/// while later, virtual time may pass.
final class VirtualTimeExecutor: TaskExecutor {
    private let queue = JobQueue()

    init() {
        self.queue.startThread()
    }

    deinit {
        self.queue.stop()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        self.queue.add(UnownedJob(job), of: self.asUnownedTaskExecutor())
    }

    /// How many jobs were run so far.
    var jobsRun: UInt64 { self.queue.jobsRun }

    /// Waits until there is nothing to run.
    func waitUntilIdle() async {
        await self.queue.waitUntilIdle()
    }
}

/// Jobs that wait for their thread.
///
/// The mutex and the condition are POSIX's, since the thread has to sleep between jobs; all else is only touched under
/// the mutex, which is what `@unchecked` stands for.
private final class JobQueue: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
    private let condition: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
    private var jobs: [(UnownedJob, UnownedTaskExecutor)] = []
    private var idleWaiters: [CheckedContinuation<Void, Never>] = []
    private var isRunning = false
    private var isStopped = false
    private var count: UInt64 = 0

    init() {
        pthread_mutex_init(self.mutex, nil)
        pthread_cond_init(self.condition, nil)
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    private func withLock<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        return body()
    }

    var jobsRun: UInt64 { self.withLock { self.count } }

    func add(_ job: UnownedJob, of executor: UnownedTaskExecutor) {
        self.withLock {
            self.jobs.append((job, executor))
            pthread_cond_signal(self.condition)
        }
    }

    func stop() {
        self.withLock {
            self.isStopped = true
            pthread_cond_signal(self.condition)
        }
    }

    func waitUntilIdle() async {
        await withCheckedContinuation { continuation in
            let isIdle = self.withLock {
                if self.jobs.isEmpty, !self.isRunning { return true }
                self.idleWaiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    func startThread() {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<JobQueue>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        precondition(status == 0, "no thread can be started for virtual time: error \(status)")
        pthread_detach(thread)
    }

    /// The thread's work.
    private func run() {
        while let (jobs, waiters) = self.next() {
            for waiter in waiters { waiter.resume() }
            for (job, executor) in jobs { job.runSynchronously(on: executor) }
        }
    }

    /// Waits for jobs, or for somebody to be told that there are none; `nil` at the end.
    private func next() -> ([(UnownedJob, UnownedTaskExecutor)], [CheckedContinuation<Void, Never>])? {
        self.withLock {
            self.isRunning = false
            while true {
                if !self.jobs.isEmpty {
                    defer { self.jobs = [] }
                    self.isRunning = true
                    self.count += UInt64(self.jobs.count)
                    return (self.jobs, [])
                }
                if !self.idleWaiters.isEmpty {
                    defer { self.idleWaiters = [] }
                    return ([], self.idleWaiters)
                }
                if self.isStopped { return nil }
                pthread_cond_wait(self.condition, self.mutex)
            }
        }
    }
}
