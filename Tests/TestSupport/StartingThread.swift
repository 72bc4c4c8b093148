public import Foundation
import Glibc
import Synchronization

extension Process {
    /// Runs the program with no signal blocked.
    ///
    /// A program inherits the signals that are blocked in the thread that starts it, and the threads of tasks block nearly
    /// all: what is started there would not be ended by SIGTERM.
    public func runUnblocked() throws {
        try StartingThread.shared.run { try self.run() }
    }
}

/// The one thread that starts programs: Foundation gives each thread that starts one a run loop, whose three descriptors are held
/// for as long as the thread lives, and who counts descriptors would take them for a leak.
private final class StartingThread: Sendable {
    static let shared = StartingThread()

    private let jobs = Mutex<[@Sendable () -> Void]>([])
    private let isDue = DispatchSemaphore(value: 0)

    private init() {
        let thread = Thread { [self] in
            var none = sigset_t()
            sigemptyset(&none)
            pthread_sigmask(SIG_SETMASK, &none, nil)
            while true {
                self.isDue.wait()
                let job = self.jobs.withLock { $0.removeFirst() }
                job()
            }
        }
        thread.start()
    }

    /// Does something there, and returns when it is done.
    func run(_ body: @escaping @Sendable () throws -> Void) throws {
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        let isDone = DispatchSemaphore(value: 0)
        self.jobs.withLock { jobs in
            jobs.append {
                let result = Result { try body() }
                outcome.withLock { $0 = result }
                isDone.signal()
            }
        }
        self.isDue.signal()
        isDone.wait()
        try outcome.withLock { try $0?.get() }
    }
}
