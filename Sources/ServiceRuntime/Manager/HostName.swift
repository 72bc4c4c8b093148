#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The machine's name.
public enum HostName {
    /// The name as the system has it (`gethostname`), which is what Python services take too; `localhost` where it has none.
    public static let current: String = {
        // POSIX names have at most 255 bytes; a truncated one need not end in zero, the last byte here always does.
        var bytes = [CChar](repeating: 0, count: 256)
        let status = gethostname(&bytes, bytes.count - 1)
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return status == 0 && !name.isEmpty ? name : "localhost"
    }()
}
