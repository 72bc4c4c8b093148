internal import CPostgres
import Glibc
import Synchronization

/// A thread that does one piece of work after the other, and can be woken while it waits for a socket.
///
/// `@unchecked Sendable`: the state is a mutex, and the descriptor is closed only when nobody uses the thread any more.
@safe final class PostgreSQLThread: @unchecked Sendable {
    /// What is to be done; it is handed the thread's wake descriptor.
    typealias Work = @Sendable () -> Void

    private struct State {
        var work: [Work] = []
        var isRunning = false
        var isClosed = false
    }

    private let state = Mutex(State())
    /// Readable when there is something new to look at.
    let wakeDescriptor: Int32

    init() {
        self.wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }

    deinit { if self.wakeDescriptor >= 0 { Glibc.close(self.wakeDescriptor) } }

    /// Has something done; answers whether there is a thread for it.
    func perform(_ work: @escaping Work) -> Bool {
        let mustStart = self.state.withLock { state -> Bool? in
            guard !state.isClosed, self.wakeDescriptor >= 0 else { return nil }
            state.work.append(work)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        switch mustStart {
        case nil: return false
        case true: return self.start()
        default:
            self.wake()
            return true
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

    private func start() -> Bool {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = unsafe Unmanaged.passRetained(self)
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe steward_name_postgresql_thread("postgresql")
                unsafe Unmanaged<PostgreSQLThread>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        guard status != 0 else { return true }
        unsafe context.release()
        self.state.withLock { state in
            state.isRunning = false
            state.work = []
        }
        return false
    }

    private func run() {
        while true {
            let next = self.state.withLock { state -> Work? in
                guard state.work.isEmpty else { return state.work.removeFirst() }
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
