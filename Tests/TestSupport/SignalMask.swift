public import Foundation
import Glibc

extension Process {
    /// Runs the program with no signal blocked.
    ///
    /// A program inherits the signals that are blocked in the thread that starts it, and the threads of tasks block nearly
    /// all: what is started there would not be ended by SIGTERM.
    public func runUnblocked() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try self.run()
    }
}
