#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// What becomes of a process that writes to a peer which has gone.
enum BrokenPipes {
    /// Lets the write fail instead of ending the process: whoever reads our log, or serves a socket, may leave at any time.
    static func ignore() {
        _ = signal(SIGPIPE, SIG_IGN)
    }
}
