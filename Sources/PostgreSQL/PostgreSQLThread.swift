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

    private struct State {
        var items: [Item] = []
        var isRunning = false
        var isClosed = false
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
            let next = self.state.withLock { state -> Work? in
                guard state.items.isEmpty else { return state.items.removeFirst().work }
                if state.isClosed { state.isRunning = false }
                return nil
            }
            if let next {
                next()
                continue
            }
            guard self.state.withLock(\.isRunning) else { return }
            var descriptor = pollfd(fd: self.wakeDescriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&descriptor, 1, -1)
            self.clearWake()
        }
    }
}
