internal import CPostgres
import Glibc
import Synchronization

/// A thread that does one piece of work after the other, and can be woken while it waits for a socket.
///
/// `@unchecked Sendable`: the state is a mutex, and the descriptor is closed only when nobody uses the thread any more.
@safe final class PostgreSQLThread: @unchecked Sendable {
    /// What is to be done.
    typealias Work = @Sendable () -> Void

    private struct Item {
        let work: Work
        let refusal: Work
    }

    private enum Step {
        case perform(Work)
        case wait(until: ContinuousClock.Instant?)
        case end
    }

    private struct State {
        var items: [Item] = []
        /// What is done at a time unless other work comes first.
        var alarm: (time: ContinuousClock.Instant, work: Work)?
        var isRunning = false
        var isClosed = false

        mutating func next() -> Step {
            if !self.items.isEmpty {
                self.alarm = nil
                return .perform(self.items.removeFirst().work)
            }
            if let alarm = self.alarm, self.isClosed || alarm.time <= .now {
                self.alarm = nil
                return .perform(alarm.work)
            }
            guard self.isClosed else { return .wait(until: self.alarm?.time) }
            self.isRunning = false
            return .end
        }
    }

    private let state = Mutex(State())
    private let starter: DetachedThread.Starter
    /// Readable when there is something new to look at.
    let wakeDescriptor: Int32

    /// Describes a thread; it is started with the first work.
    init(starter: @escaping DetachedThread.Starter = { DetachedThread.start(name: "postgresql", $0) }) {
        self.starter = starter
        self.wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }

    deinit { if self.wakeDescriptor >= 0 { Glibc.close(self.wakeDescriptor) } }

    /// Has something done.
    ///
    /// - Parameters:
    ///   - work: What is done, on the thread.
    ///   - refusal: What is done in its place, by whoever finds it out, where there is no thread for it. One of the two
    ///     is done, once.
    func perform(_ work: @escaping Work, orElse refusal: @escaping Work) {
        let mustStart = self.state.withLock { state -> Bool? in
            guard !state.isClosed, self.wakeDescriptor >= 0 else { return nil }
            state.items.append(Item(work: work, refusal: refusal))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        switch mustStart {
        case nil: refusal()
        case true: self.start()
        default: self.wake()
        }
    }

    /// Has something done when the thread was idle for a time; to be called by its work.
    ///
    /// - Parameters:
    ///   - time: For how long; other work that comes meanwhile takes the order back.
    ///   - work: What is done then, on the thread; at once where the thread is to end.
    func whenIdle(for time: Duration, _ work: @escaping Work) {
        self.state.withLock { $0.alarm = (.now + time, work) }
    }

    /// Lets the thread end when it has done what it was given.
    func close() {
        self.state.withLock { $0.isClosed = true }
        self.wake()
    }

    /// Has the thread look around, whatever it waits for.
    func wake() { _ = eventfd_write(self.wakeDescriptor, 1) }

    /// Takes back what was written to wake it.
    func clearWake() {
        var count: eventfd_t = 0
        _ = unsafe eventfd_read(self.wakeDescriptor, &count)
    }

    private func start() {
        if self.starter({ self.run() }) { return }
        // Others may have relied on this start meanwhile.
        let items = self.state.withLock { state in
            state.isRunning = false
            defer { state.items = [] }
            return state.items
        }
        for item in items { item.refusal() }
    }

    private func run() {
        while true {
            switch self.state.withLock({ $0.next() }) {
            case .perform(let work): work()
            case .end: return
            case .wait(let time):
                let milliseconds = time.map { Int32(max(0, min(($0 - .now) / .milliseconds(1), 60_000)).rounded(.up)) }
                var descriptor = pollfd(fd: self.wakeDescriptor, events: Int16(POLLIN), revents: 0)
                _ = unsafe poll(&descriptor, 1, milliseconds ?? -1)
                self.clearWake()
            }
        }
    }
}
