import Glibc
import Synchronization

/// Tasks that a loop's thread has woken and that it runs itself.
struct TaskBacklog {
    private var jobs = Queue<UnownedJob>()
    /// How many were taken out; by it is seen whether one takes long.
    private(set) var started: UInt64 = 0
    /// Whether the one that was taken out last runs.
    private(set) var runsOne = false
    /// Until when tasks are not for this thread, in nanoseconds of the monotonic clock: they take too long.
    var bannedUntil: UInt64 = 0

    var isEmpty: Bool { self.jobs.isEmpty }

    mutating func append(_ job: UnownedJob) {
        self.jobs.append(job)
    }

    /// Takes out the next one, which is to be run at once.
    mutating func next() -> UnownedJob? {
        let job = self.jobs.popFirst()
        self.runsOne = job != nil
        if self.runsOne { self.started += 1 }
        return job
    }

    /// Notes that the thread runs none any more.
    mutating func rest() {
        self.runsOne = false
    }

    /// Takes all out, and takes none for a while.
    mutating func ban(until instant: UInt64) -> [UnownedJob] {
        self.bannedUntil = instant
        self.runsOne = false
        return self.jobs.drain()
    }
}

/// What the current thread has done so far.
private struct ThreadUsage {
    /// Processor time, in nanoseconds.
    var computed: UInt64
    /// How often it gave up the processor because it had to wait for something.
    var waits: Int

    static var current: ThreadUsage {
        var usage = rusage()
        // It cannot fail with these arguments. The C library hides the name RUSAGE_THREAD of Linux by default.
        _ = unsafe getrusage(1, &usage)
        return ThreadUsage(computed: usage.ru_utime.nanoseconds + usage.ru_stime.nanoseconds, waits: usage.ru_nvcsw)
    }
}

extension timeval {
    fileprivate var nanoseconds: UInt64 { UInt64(self.tv_sec) * 1_000_000_000 + UInt64(self.tv_usec) * 1_000 }
}

/// What has to be known of the thread that runs: whose it is.
final class LoopThread: Sendable {
    let loop: AMQPEventLoop

    init(_ loop: AMQPEventLoop) {
        self.loop = loop
    }

    /// Nil where the process has no key left: then no task finds a loop's thread, and the shared pool runs them all.
    private static let key: pthread_key_t? = {
        var key = pthread_key_t()
        return unsafe pthread_key_create(&key, nil) == 0 ? key : nil
    }()

    /// The loop's thread that the caller is on.
    static var current: LoopThread? {
        guard let key, let pointer = unsafe pthread_getspecific(key) else { return nil }
        return unsafe Unmanaged<LoopThread>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Is the current thread for the time of `body`.
    func begin(_ body: () -> Void) {
        if let key = Self.key { unsafe pthread_setspecific(key, Unmanaged.passUnretained(self).toOpaque()) }
        body()
        if let key = Self.key { pthread_setspecific(key, nil) }
    }
}

extension AMQPEventLoop {
    /// A turn serves no longer than this, in nanoseconds, so that the socket is not left alone.
    private static let servingTime: UInt64 = 1_000_000
    /// A turn that takes so long and computes little is taken to have a task that blocks the thread.
    private static let blockingTime: UInt64 = 5_000_000
    /// Tasks that compute longer than this on average are better run by many threads.
    private static let longTask: UInt64 = 100_000
    /// For how long the shared pool runs them then.
    private static let banTime: UInt64 = 100_000_000

    /// The monotonic clock, in nanoseconds.
    private static var now: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Takes a task that was woken on this loop's thread; false where it is to be run elsewhere.
    func adopt(_ job: UnownedJob, by thread: LoopThread) -> Bool {
        self.shared.withLock { shared in
            guard shared.thread === thread else { return false }
            if shared.tasks.bannedUntil > 0 {
                guard Self.now >= shared.tasks.bannedUntil else { return false }
                shared.tasks.bannedUntil = 0
            }
            shared.tasks.append(job)
            return true
        }
    }

    /// Notes another loop that has got work from this one's thread; false where the thread is not this loop's any more.
    func cork(_ other: AMQPEventLoop, by thread: LoopThread?) -> Bool {
        self.shared.withLock { shared in
            guard shared.thread === thread else { return false }
            shared.corked.append(other)
            return true
        }
    }

    /// Runs the tasks that the turn has woken, and has done what they left at other loops.
    ///
    /// - Returns: Whether the thread is still the loop's.
    func serve(as thread: LoopThread) -> Bool {
        let (first, isNeeded, isUnknown) = self.shared.withLock { shared in
            let first = shared.tasks.next()
            shared.isServing = first != nil || !shared.corked.isEmpty
            defer { if first != nil { shared.isWatched = true } }
            return (first, shared.isServing, first != nil && !shared.isWatched)
        }
        guard isNeeded else { return true }
        if let first {
            if isUnknown, !LoopWatch.shared.watch(self) {
                // A task that nobody looks after is not run here.
                let others = self.shared.withLock { $0.tasks.ban(until: Self.now + Self.banTime) }
                for job in [first] + others { globalConcurrentExecutor.enqueue(job) }
            } else if !self.run(first, as: thread) {
                return false
            }
        }
        for loop in self.shared.withLock({ shared in
            defer { shared.corked.removeAll(keepingCapacity: true) }
            return shared.corked
        }) {
            loop.uncork()
        }
        var isOurs = false
        self.awaitReturn { shared in
            isOurs = shared.thread === thread
            if isOurs { shared.isServing = false }
        }
        return isOurs
    }

    /// Runs a task and those behind it, as long as they are short.
    private func run(_ first: UnownedJob, as thread: LoopThread) -> Bool {
        let executor = unsafe AMQPTaskExecutor.shared.asUnownedTaskExecutor()
        let usage = ThreadUsage.current
        let start = Self.now
        var count: UInt64 = 0
        var next: UnownedJob? = first
        while let job = next {
            unsafe job.runSynchronously(on: executor)
            count += 1
            let now = Self.now
            let isOver = now - start > Self.servingTime
            let areLong = isOver && Self.areLong(count, lasting: now - start, since: usage)
            let (isOurs, banned) = self.shared.withLock { shared in
                next = nil
                guard shared.thread === thread else { return (false, [UnownedJob]()) }
                if areLong { return (true, shared.tasks.ban(until: now + Self.banTime)) }
                if isOver { shared.tasks.rest() } else { next = shared.tasks.next() }
                return (true, [])
            }
            for job in banned { globalConcurrentExecutor.enqueue(job) }
            if !isOurs { return false }
        }
        return true
    }

    /// Whether the tasks of a turn that is over are better run elsewhere.
    ///
    /// The time that passed does not say it: on a busy machine the thread may have waited for a processor.
    private static func areLong(_ count: UInt64, lasting time: UInt64, since earlier: ThreadUsage) -> Bool {
        let usage = ThreadUsage.current
        let computed = usage.computed - earlier.computed
        if computed > Self.servingTime { return computed / count > Self.longTask }
        return time > Self.blockingTime && usage.waits > earlier.waits
    }

    /// Gives the loop another thread, which is to be started, if its own still runs the task that was the last of
    /// `started`; answers whether it did.
    ///
    /// The old thread finds out when the task returns, and ends. It must be within a task: elsewhere it may wait for the
    /// one that stands in, and a wake that is meant for the new thread would be taken by it.
    func relieve(_ started: UInt64) -> Bool {
        let backlog = self.shared.withLock { shared -> [UnownedJob]? in
            guard shared.tasks.runsOne, !shared.isLent, shared.tasks.started == started else { return nil }
            shared.isServing = false
            shared.thread = LoopThread(self)
            // Where one blocks the next ones may as well.
            return shared.tasks.ban(until: Self.now + Self.banTime)
        }
        guard let backlog else { return false }
        for job in backlog { globalConcurrentExecutor.enqueue(job) }
        return true
    }

    /// Ends the watch, unless the thread runs tasks just now.
    func unwatch() -> Bool {
        self.shared.withLock { shared in
            guard !shared.tasks.runsOne else { return false }
            shared.isWatched = false
            return true
        }
    }
}
