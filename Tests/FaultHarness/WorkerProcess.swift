import Foundation
import Synchronization
import TestSupport

/// A program that a test starts beside itself, to be hurt by signals.
package final class WorkerProcess: Sendable {
    /// How a program ended.
    package enum End: Sendable, Hashable { case code(Int32), signal(Int32) }

    /// Something that did not come.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) {
            self.description = description
        }
    }

    private struct State {
        var lines: [String] = []
        var log = ""
        var end: End?
    }

    /// The process, on this machine.
    package let processID: Int32
    private let shared: Shared

    /// What the threads that read from the program write down.
    private final class Shared: Sendable {
        let mutex = Mutex(State())
    }

    /// Starts a program that was built beside the tests.
    ///
    /// - Parameters:
    ///   - program: Its name.
    ///   - arguments: What it is given.
    ///   - url: The broker.
    /// - Throws: Why it could not be started.
    package init(_ program: String, _ arguments: [String], url: String) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let process = Process()
        process.executableURL = URL(filePath: tests).deletingLastPathComponent().appending(path: program)
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["STEWARD_TRANSPORT_URL"] = url
        environment["STEWARD_URL"] = url
        // It is to die at once, and not to look for its symbols first.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = environment
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        let state = Shared()
        process.terminationHandler = { process in
            let status = process.terminationStatus
            let end: End = process.terminationReason == .exit ? .code(status) : .signal(status)
            state.mutex.withLock { $0.end = end }
        }
        try process.runUnblocked()
        self.shared = state
        self.processID = process.processIdentifier
        Self.read(output) { line in state.mutex.withLock { $0.lines.append(line) } }
        Self.read(errors) { line in state.mutex.withLock { $0.log += line + "\n" } }
    }

    /// Lends a program, and kills it afterwards if it has not ended.
    package static func with<Value>(
        _ program: String,
        _ arguments: [String],
        url: String,
        _ body: (WorkerProcess) async throws -> Value
    ) async throws -> Value {
        let worker = try WorkerProcess(program, arguments, url: url)
        defer { worker.send(SIGKILL) }
        return try await body(worker)
    }

    private static func read(_ pipe: Pipe, _ onLine: @escaping @Sendable (String) -> Void) {
        let descriptor = dup(pipe.fileHandleForReading.fileDescriptor)
        // The process object outlives the process, and its pipe with it.
        try? pipe.fileHandleForReading.close()
        // Reading blocks: a thread of its own, which ends with the program.
        PosixThread.detach {
            guard let file = fdopen(descriptor, "r") else { return }
            defer { fclose(file) }
            var line: UnsafeMutablePointer<CChar>?
            var size = 0
            defer { free(line) }
            while getline(&line, &size, file) > 0, let line {
                onLine(String(cString: line).trimmingCharacters(in: .newlines))
            }
        }
    }

    /// What it has written to standard output.
    package var lines: [String] { self.shared.mutex.withLock(\.lines) }
    /// What it has written to standard error.
    package var log: String { self.shared.mutex.withLock(\.log) }
    /// How it ended, if it has.
    package var end: End? { self.shared.mutex.withLock(\.end) }

    /// Waits for a line that begins so, and answers what follows.
    @discardableResult
    package func line(_ start: String, within limit: Duration = .seconds(30)) async throws -> String {
        let deadline = ContinuousClock.now + limit
        while true {
            if let line = self.lines.first(where: { $0.hasPrefix(start) }) {
                return String(line.dropFirst(start.count))
            }
            guard .now < deadline, self.end == nil else {
                throw Missing(description: "no line '\(start)', end \(String(describing: self.end)): \(self.log)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits for its end.
    @discardableResult
    package func end(within limit: Duration) async throws -> End {
        let deadline = ContinuousClock.now + limit
        while true {
            if let end = self.end { return end }
            guard .now < deadline else { throw Missing(description: "it runs after \(limit): \(self.log)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Sends a signal, unless it has ended.
    package func send(_ signal: Int32) {
        self.shared.mutex.withLock { if $0.end == nil { kill(self.processID, signal) } }
    }
}
