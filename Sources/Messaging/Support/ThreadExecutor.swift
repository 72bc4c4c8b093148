internal import Glibc
internal import Synchronization

/// A thread of its own for tasks that must go on while others hold every thread of the shared pool.
///
/// The thread exists while somebody uses the executor (``use(_:)``) or a job is left to run.
///
/// `@unchecked Sendable`: `state` is a mutex, and `wake` points to a semaphore, which any thread may post to.
final class ThreadExecutor: TaskExecutor, @unchecked Sendable {
    /// The thread that all servers of the process share for what they are asked about themselves.
    static let control = ThreadExecutor(name: "steward-control")

    private struct State {
        var jobs: [UnownedJob] = []
        var users = 0
        var isRunning = false
        var isWaiting = false
        /// There while the last user waits for the end of the thread.
        var ended: Eventual<Void>?
    }

    private enum Signal {
        case none, wake, start
    }

    private let name: String
    private let wake: UnsafeMutablePointer<sem_t>
    private let state = Mutex(State())

    /// Starts no thread.
    init(name: String) {
        self.name = name
        self.wake = .allocate(capacity: 1)
        sem_init(self.wake, 0, 0)
    }

    deinit {
        sem_destroy(self.wake)
        self.wake.deallocate()
    }

    /// Whether there is a thread at present.
    var isRunning: Bool { self.state.withLock(\.isRunning) }

    /// Keeps the thread for the time of `body`, which need not run on it; when the last user is done, its thread has
    /// ended.
    func use<Value: Sendable>(_ body: () async throws -> Value) async rethrows -> Value {
        // Who has left does not wait for the next one.
        self.enter()?.fulfil()
        do {
            let value = try await body()
            await self.leave()
            return value
        } catch {
            await self.leave()
            throw error
        }
    }

    private func enter() -> Eventual<Void>? {
        self.state.withLock { state in
            state.users += 1
            defer { state.ended = nil }
            return state.ended
        }
    }

    private func leave() async {
        let ended = Eventual<Void>()
        self.signal { state in
            state.users -= 1
            if state.users == 0 { state.ended = ended }
            if state.users > 0 || !state.isRunning { ended.fulfil() }
        }
        await ended.wait()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.signal { $0.jobs.append(job) }
    }

    private func signal(_ change: (inout State) -> Void) {
        let signal = self.state.withLock { state -> Signal in
            change(&state)
            if !state.isRunning {
                guard !state.jobs.isEmpty else { return .none }
                state.isRunning = true
                return .start
            }
            defer { state.isWaiting = false }
            return state.isWaiting ? .wake : .none
        }
        switch signal {
        case .none: break
        case .wake: sem_post(self.wake)
        case .start: self.start()
        }
    }

    // MARK: The thread

    private func start() {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let executor = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let status = pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument else { return nil }
                let executor = Unmanaged<ThreadExecutor>.fromOpaque(argument).takeRetainedValue()
                ThreadExecutor.nameThread(executor.name)
                executor.run()
                return nil
            },
            executor.toOpaque()
        )
        guard status != 0 else { return }
        executor.release()
        // The system has no thread left: then what was to run here waits its turn among the others.
        let (jobs, ended) = self.state.withLock { state in
            state.isRunning = false
            defer { (state.jobs, state.ended) = ([], nil) }
            return (state.jobs, state.ended)
        }
        for job in jobs { globalConcurrentExecutor.enqueue(job) }
        ended?.fulfil()
    }

    /// Names the current thread for those who look at the process; `pthread_setname_np` is not seen by Swift.
    private static func nameThread(_ name: String) {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        var text = name
        // A thread without a name works as well.
        _ = text.withUTF8 { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    private enum Step {
        case run([UnownedJob])
        case wait
        case end(Eventual<Void>?)
    }

    private func run() {
        while true {
            switch self.nextStep() {
            case .run(let jobs): for job in jobs { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
            // It fails where a signal handler interrupts it, and then the state is looked at once more.
            case .wait: sem_wait(self.wake)
            case .end(let ended):
                ended?.fulfil()
                return
            }
        }
    }

    private func nextStep() -> Step {
        self.state.withLock { state in
            if !state.jobs.isEmpty {
                defer { state.jobs = [] }
                return .run(state.jobs)
            }
            if state.users > 0 {
                state.isWaiting = true
                return .wait
            }
            // Under the lock: whoever adds a job finds either a thread that will take it, or none.
            state.isRunning = false
            defer { state.ended = nil }
            return .end(state.ended)
        }
    }
}
