import Glibc
import Synchronization

/// The requests that are still to be made, shared by all callers.
final class Tickets: Sendable {
    private let remaining: Atomic<Int>

    init(_ count: Int) {
        self.remaining = Atomic(count)
    }

    /// Takes one; false when there is none left.
    func take() -> Bool {
        self.remaining.wrappingSubtract(1, ordering: .relaxed).oldValue > 0
    }
}

/// Why a payload could not be read.
struct FileError: Error, CustomStringConvertible {
    let description: String
}

/// Reads a file.
///
/// - Throws: ``FileError``.
func contents(ofFile path: String) throws(FileError) -> [UInt8] {
    guard let file = fopen(path, "r") else {
        throw FileError(description: "'\(path)' cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        guard count > 0 else { break }
        bytes += buffer[..<count]
    }
    guard ferror(file) == 0 else { throw FileError(description: "'\(path)' cannot be read") }
    return bytes
}
