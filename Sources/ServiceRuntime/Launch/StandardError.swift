#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Where something is said before there is a log.
enum StandardError {
    /// Writes a text; where nobody takes it, there is nobody to be told.
    static func print(_ text: String) {
        // By its descriptor: the C stream is a mutable global, which Swift 6 does not let several tasks touch.
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}
