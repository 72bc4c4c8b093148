import Foundation
import Synchronization

/// The lines that a program writes, read as they come and kept until somebody asks.
final class LineReader: Sendable {
    private struct State {
        /// Lines that nobody has asked for yet.
        var lines: [String] = []
        var readers: [CheckedContinuation<String?, Never>] = []
        var isAtEnd = false
    }

    private let state = Mutex(State())

    /// Reads from a pipe until its end.
    init(_ pipe: Pipe) {
        let file = pipe.fileHandleForReading
        // Reading blocks, and the pool that runs the tests must not: this thread lives as long as the program.
        Thread.detachNewThread { self.readAll(of: file) }
    }

    /// The next line, or `nil` at the end; asked from several tasks at once, each gets its own.
    ///
    /// - Parameter begin: Called once the caller stands in the line of readers.
    /// - Returns: The line, without its break.
    func next(after begin: @Sendable () -> Void = {}) async -> String? {
        await withCheckedContinuation { continuation in
            self.state.withLock { state in
                if !state.lines.isEmpty {
                    continuation.resume(returning: state.lines.removeFirst())
                } else if state.isAtEnd {
                    continuation.resume(returning: nil)
                } else {
                    state.readers.append(continuation)
                }
                begin()
            }
        }
    }

    /// All that was not asked for yet, up to the end.
    func remainder() async -> String {
        var text = ""
        while let line = await self.next() { text += line + "\n" }
        return text
    }

    private func readAll(of file: FileHandle) {
        var line: [UInt8] = []
        while true {
            // Lines may be megabytes long: each byte is looked at once.
            let chunk = [UInt8](file.availableData)
            if chunk.isEmpty { break }
            var rest = chunk[...]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                self.arrived(String(decoding: line + rest[..<end], as: UTF8.self))
                line = []
                rest = rest[(end + 1)...]
            }
            line += rest
        }
        if !line.isEmpty { self.arrived(String(decoding: line, as: UTF8.self)) }
        let readers = self.state.withLock { state in
            state.isAtEnd = true
            defer { state.readers = [] }
            return state.readers
        }
        for reader in readers { reader.resume(returning: nil) }
    }

    private func arrived(_ line: String) {
        let reader: CheckedContinuation<String?, Never>? = self.state.withLock { state in
            if state.readers.isEmpty {
                state.lines.append(line)
                return nil
            }
            return state.readers.removeFirst()
        }
        reader?.resume(returning: line)
    }
}
