#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// What becomes of a process that writes what nobody takes.
enum ProcessSignals {
    /// Lets the write fail instead of ending the process: whoever reads our log, or serves a socket, may leave at any time,
    /// and a file may have grown as far as it is allowed to.
    static func ignoreFailedWrites() {
        _ = signal(SIGPIPE, SIG_IGN)
        _ = signal(SIGXFSZ, SIG_IGN)
    }
}
