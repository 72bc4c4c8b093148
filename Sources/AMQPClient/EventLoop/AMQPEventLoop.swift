internal import CRabbitMQ
import Glibc
import Synchronization

/// What an event loop waits for besides jobs and timers.
struct EventLoopInterest: Equatable {
    /// The socket, or -1.
    var descriptor: Int32 = -1
    /// `POLLIN`, `POLLOUT`.
    var events: Int16 = 0
    /// Whether input was already read from the socket but not yet handled: then the loop must not sleep.
    var hasBufferedInput = false
}

/// The owner of a loop's socket.
///
/// Everything is called on the loop's thread.
protocol EventLoopClient: AnyObject, Sendable {
    /// All jobs and timers that were due are done: write what they left, and say what to wait for.
    func loopWillWait() -> EventLoopInterest
    /// The socket is ready, or there was buffered input.
    func loopIsReady(_ events: Int16)
}

/// Something to be done on a loop's thread, or in its place.
protocol LoopWork: AnyObject, Sendable {
    func run()
}

/// A thread that is an actor's executor and waits for a socket at the same time.
///
/// The thread exists while there is a client (``attach(_:)``) or a job to run, and ends by itself otherwise. Jobs run
/// in batches: whoever adds one while the thread is busy pays one lock and no system call.
///
/// Between two turns the loop is *at rest*: the thread sleeps, or it serves, which is to run tasks that it has woken (see
/// ``AMQPTaskExecutor``). Then another thread may stand in for it for the time of one piece of work (``submit(_:)``): waking
/// a thread costs more than most of what it is woken for. What is said below of the loop's thread holds for the one that
/// stands in; there is never more than one of them.
///
/// `@unchecked Sendable`: `shared` is a mutex and `threadID` an atomic; `client`, `timers`, `interest` and `plannedWake`
/// are touched only on the loop's thread, of which there is at most one at a time (`Shared.thread`), or by who stands in
/// for it, one at a time (`Shared.isLent`).
final class AMQPEventLoop: SerialExecutor, @unchecked Sendable {
    enum Work {
        case job(UnownedJob)
        case body(@Sendable () -> Void)
        case work(any LoopWork)
    }

    struct Shared {
        var work: [Work] = []
        /// The thread that the loop has; `nil` where there is none.
        var thread: LoopThread?
        var isWaiting = false
        /// The thread runs tasks.
        var isServing = false
        /// Another thread stands in for the loop's.
        var isLent = false
        /// The loop's thread is back, and waits for the one that stands in.
        var isHeldUp = false
        /// How often it was lent since it last did something itself; the maximum in a burst.
        var loans = 0
        var tasks = TaskBacklog()
        /// Whether ``LoopWatch`` looks after it.
        var isWatched = false
        /// Loops that sleep, and have got work from this one's thread that is still to be done.
        var corked: [AMQPEventLoop] = []
        var isCorked = false

        var isAtRest: Bool { (self.isWaiting || self.isServing) && !self.isLent }
    }

    private enum Signal {
        case none, wake, start, lend, cork
    }

    /// A burst is better done by the loop's thread, which writes many messages at once: so many loans make one.
    private static let maximumLoans = 8
    /// As many pieces of work at once mean that the burst goes on.
    private static let burst = 4

    let shared = Mutex(Shared())
    private let threadID = Atomic<UInt>(0)
    private let name: String
    private let wakeDescriptor: Int32

    private var client: (any EventLoopClient)?
    private(set) var timers = TimerQueue()
    /// What the thread waits for while it sleeps, and when it is going to wake by itself.
    private var interest = EventLoopInterest()
    private var plannedWake: ContinuousClock.Instant?
    /// What is being done; kept for its memory.
    private var batch: [Work] = []

    /// Starts no thread.
    init(name: String) {
        self.name = name
        // Without a descriptor (none left in the process) the loop still works: it looks for jobs every few
        // milliseconds instead of being woken.
        self.wakeDescriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    }

    deinit {
        if self.wakeDescriptor >= 0 {
            close(self.wakeDescriptor)
        }
    }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        self.add(.job(UnownedJob(job)))
    }

    func checkIsolated() {
        precondition(self.isCurrent, "not on the thread of this AMQP connection")
    }

    func isIsolatingCurrentContext() -> Bool? {
        self.isCurrent
    }

    /// Whether the caller is on the loop's thread, within a turn.
    var isCurrent: Bool {
        self.threadID.load(ordering: .relaxed) == Self.currentThreadID
    }

    private static var currentThreadID: UInt { UInt(pthread_self()) }

    /// Runs a closure on the loop's thread, after what was added before.
    func execute(_ body: @escaping @Sendable () -> Void) {
        self.add(.body(body))
    }

    /// Does a piece of work in place of the sleeping thread, or leaves it to the thread.
    ///
    /// It is done at once; or, where another loop's thread adds it, together with all that this one adds in the same turn.
    func submit(_ work: any LoopWork) {
        self.add(.work(work), mayStandIn: true)
    }

    private func add(_ work: Work, mayStandIn: Bool = false) {
        let thread = mayStandIn ? LoopThread.current : nil
        let signal = self.shared.withLock { shared -> Signal in
            shared.work.append(work)
            guard shared.thread != nil else {
                shared.thread = LoopThread(self)
                return .start
            }
            guard shared.isAtRest else { return .none }
            if mayStandIn, self.wakeDescriptor >= 0 {
                if let thread, thread.loop !== self {
                    guard !shared.isCorked else { return .none }
                    shared.isCorked = true
                    return .cork
                }
                if thread == nil, shared.loans < Self.maximumLoans {
                    shared.isLent = true
                    shared.loans += 1
                    return .lend
                }
            }
            guard shared.isWaiting else { return .none }
            shared.isWaiting = false
            return .wake
        }
        switch signal {
        case .none: break
        case .wake: self.wake()
        case .start: self.start()
        case .lend: self.standIn()
        case .cork: if thread?.loop.cork(self, by: thread) != true { self.uncork() }
        }
    }

    /// Does what another thread's turn has left here, in place of the sleeping thread.
    func uncork() {
        let isLent = self.shared.withLock { shared in
            shared.isCorked = false
            guard shared.isAtRest, !shared.work.isEmpty else { return false }
            shared.isLent = true
            return true
        }
        if isLent { self.standIn() }
    }

    /// Does all that was added; the loop was lent to the caller.
    private func standIn() {
        self.threadID.store(Self.currentThreadID, ordering: .relaxed)
        self.shared.withLock { swap(&self.batch, &$0.work) }
        self.performBatch()
        let interest = self.client?.loopWillWait() ?? EventLoopInterest()
        let wakesSooner = self.timers.nextDeadline.map { next in self.plannedWake.map { next < $0 } ?? true } ?? false
        let hasChanged = interest != self.interest || wakesSooner || self.client == nil
        self.interest = interest
        self.threadID.store(0, ordering: .relaxed)
        let isNeeded = self.shared.withLock { shared in
            shared.isLent = false
            if shared.isHeldUp {
                shared.isHeldUp = false
                return true
            }
            guard shared.isWaiting, hasChanged || !shared.work.isEmpty else { return false }
            shared.isWaiting = false
            return true
        }
        if isNeeded { self.wake() }
    }

    private func performBatch() {
        for work in self.batch {
            switch work {
            case .job(let job): unsafe job.runSynchronously(on: self.asUnownedSerialExecutor())
            case .body(let body): body()
            case .work(let work): work.run()
            }
        }
        self.batch.removeAll(keepingCapacity: true)
    }

    private func wake() {
        guard self.wakeDescriptor >= 0 else { return }
        var one: UInt64 = 1
        // It can only fail when the counter is full, and then the thread is going to wake anyway.
        _ = unsafe write(self.wakeDescriptor, &one, 8)
    }

    private func start() {
        // An executor must run its jobs. When the system has no thread left, it usually has one soon again.
        for _ in 0..<1_000 {
            if self.startThread() { return }
            usleep(10_000)
        }
        fatalError("no thread could be started for an AMQP connection within 10 s")
    }

    /// Starts the thread that ``shared`` names; answers whether the system could.
    func startThread() -> Bool {
        guard let thread = self.shared.withLock(\.thread) else { return false }
        return PosixThread.start(name: self.name) { thread.begin { self.run(as: thread) } }
    }

    // MARK: On the thread

    /// Gives the loop a client, which it holds and keeps running for, or takes it away.
    func attach(_ client: (any EventLoopClient)?) {
        self.client = client
    }

    func add(_ timer: LoopTimer, at deadline: ContinuousClock.Instant) {
        self.timers.insert(timer, at: deadline)
    }

    func remove(_ timer: LoopTimer) {
        self.timers.remove(timer)
    }

    private func run(as thread: LoopThread) {
        var events: Int16 = 0
        repeat {
            self.takeOver()
            if events != 0 || self.interest.hasBufferedInput {
                self.client?.loopIsReady(events)
            }
            self.performBatch()
            self.fireTimers()
            self.interest = self.client?.loopWillWait() ?? EventLoopInterest()
            self.threadID.store(0, ordering: .relaxed)
            guard self.serve(as: thread) else { return }
        } while self.wait(&events)
    }

    /// Begins a turn: takes what is to be done.
    private func takeOver() {
        self.awaitReturn { shared in
            shared.isWaiting = false
            shared.loans = shared.work.count < Self.burst ? 0 : Self.maximumLoans
            swap(&self.batch, &shared.work)
        }
        self.threadID.store(Self.currentThreadID, ordering: .relaxed)
    }

    /// Changes the state when nobody stands in for this thread any more.
    func awaitReturn(_ change: (inout Shared) -> Void) {
        while self.shared.withLock({ shared in
            guard shared.isLent else {
                change(&shared)
                return false
            }
            shared.isHeldUp = true
            return true
        }) {
            self.awaitWake()
        }
    }

    /// Sleeps until ``wake()`` is called, or was.
    private func awaitWake() {
        var descriptor = pollfd(fd: self.wakeDescriptor, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&descriptor, 1, -1) > 0 { self.clearWake() }
    }

    private func clearWake() {
        var count: UInt64 = 0
        // A failure means that somebody's wake was already read; there is nothing to do about it.
        _ = unsafe read(self.wakeDescriptor, &count, 8)
    }

    private func fireTimers() {
        guard !self.timers.isEmpty else { return }
        let now = ContinuousClock.now
        while let timer = self.timers.popDue(now) {
            timer.fire()
        }
    }

    /// Sleeps until something happens; false when the thread has nothing left to live for.
    private func wait(_ events: inout Int16) -> Bool {
        let interest = self.interest
        var timeout: Int32 = -1
        self.plannedWake = self.timers.nextDeadline
        if let deadline = self.plannedWake {
            let pause = (deadline - .now) / .milliseconds(1)
            timeout = Int32(min(max(pause.rounded(.up), 0), 60_000))
        }
        if self.wakeDescriptor < 0 {
            timeout = timeout < 0 ? 5 : min(timeout, 5)
        }
        let hasClient = self.client != nil
        let goesOn = self.shared.withLock { shared in
            if !shared.work.isEmpty || !shared.tasks.isEmpty || !shared.corked.isEmpty || interest.hasBufferedInput {
                timeout = 0
            } else if !hasClient {
                // Under the lock: the next job finds no thread and starts one.
                shared.thread = nil
                return false
            } else {
                shared.isWaiting = true
            }
            return true
        }
        guard goesOn else { return false }
        events = 0
        let socket = pollfd(fd: interest.descriptor, events: interest.events, revents: 0)
        let wake = pollfd(fd: self.wakeDescriptor, events: Int16(POLLIN), revents: 0)
        var descriptors: [2 of pollfd] = [socket, wake]
        var span = descriptors.mutableSpan
        let ready = unsafe span.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, timeout) }
        if ready > 0 {
            events = descriptors[0].revents
            if descriptors[1].revents != 0 { self.clearWake() }
        }
        return true
    }
}
