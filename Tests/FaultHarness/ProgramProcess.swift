import Foundation
import Synchronization

/// A program of this package in a process of its own, whose log can be read while it runs; ended by its id, whatever
/// happens.
package final class ProgramProcess: Sendable {
    /// Something that the process did not do in time.
    package struct TooLate: Error, CustomStringConvertible {
        package let description: String
    }

    private let log: String
    private let processID: Int32
    private let ending: Ending

    /// Lends a program that runs.
    ///
    /// - Parameters:
    ///   - program: The program's name, among the products of this package.
    ///   - arguments: Its arguments.
    ///   - environment: What goes beside the environment of this process.
    ///   - directory: Where its log is kept.
    ///   - body: What is done while it runs.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws; where the program cannot be started, why.
    package static func with<Value>(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        in directory: String,
        _ body: (ProgramProcess) async throws -> Value
    ) async throws -> Value {
        let worker = try ProgramProcess(program, arguments, environment, directory)
        do {
            let value = try await body(worker)
            await worker.end()
            return value
        } catch {
            await worker.end()
            throw error
        }
    }

    private init(
        _ program: String,
        _ arguments: [String],
        _ environment: [String: String],
        _ directory: String
    ) throws {
        let process = Process()
        self.log = "\(directory)/\(program)-\(UUID().uuidString).log"
        process.executableURL = Self.products.appendingPathComponent(program)
        process.arguments = arguments
        // The backtracer of a child that crashes may hang for minutes.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
            .merging(environment) { $1 }
        _ = FileManager.default.createFile(atPath: self.log, contents: nil)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: self.log))
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        let ending = Ending()
        process.terminationHandler = { _ in ending.come() }
        try process.run()
        try output.close()
        self.processID = process.processIdentifier
        self.ending = ending
    }

    /// What the termination handler, which may run before the initializer has ended, tells.
    private final class Ending: Sendable {
        private struct State {
            var hasCome = false
            var waiters: [CheckedContinuation<Void, Never>] = []
        }

        private let state = Mutex(State())

        var hasCome: Bool { self.state.withLock(\.hasCome) }

        func come() {
            let waiters = self.state.withLock { state in
                state.hasCome = true
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }

        func wait() async {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLock { state in
                    if !state.hasCome { state.waiters.append(continuation) }
                    return state.hasCome
                }
                if isOver { continuation.resume() }
            }
        }

        /// Does something to a process that has not ended; its id cannot be another's meanwhile.
        func ifRunning(_ body: () -> Void) {
            self.state.withLock { if !$0.hasCome { body() } }
        }
    }

    /// Whether the process runs.
    package var isRunning: Bool { !self.ending.hasCome }

    /// Sends a signal, unless the process has ended.
    package func send(_ signal: Int32) {
        self.ending.ifRunning { kill(self.processID, signal) }
    }

    /// The lines that the process has written, with a text in them.
    package func lines(with text: String) throws -> [String] {
        try String(contentsOfFile: self.log, encoding: .utf8).split(separator: "\n").map(String.init)
            .filter { $0.contains(text) }
    }

    /// Waits until there are so many lines with a text in them.
    @discardableResult
    package func waitForLines(_ count: Int = 1, with text: String, within limit: Duration = .seconds(30)) async throws
        -> [String]
    {
        let start = ContinuousClock.now
        while true {
            let lines = try self.lines(with: text)
            if lines.count >= count { return lines }
            guard .now - start < limit, self.isRunning || lines.count >= count else {
                let all = try String(contentsOfFile: self.log, encoding: .utf8)
                throw TooLate(description: "no \(count) lines with '\(text)' within \(limit):\n\(all)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Asks the process to end, and kills it if it goes on for 5 s.
    private func end() async {
        self.send(SIGTERM)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.ending.wait() }
            group.addTask {
                do {
                    try await Task.sleep(for: .seconds(5))
                    self.send(SIGKILL)
                } catch {
                    // It ended by itself.
                }
            }
            await group.next()
            group.cancelAll()
        }
        await self.ending.wait()
    }

    /// Where the products of this package are.
    private static var products: URL {
        if let path = ProcessInfo.processInfo.environment["STEWARD_BIN"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(".build/debug")
    }
}

/// A new directory for the time of `body`.
package func withFaultDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("steward-fault-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    let outcome: Result<Value, any Error>
    do {
        outcome = .success(try await body(directory.path))
    } catch {
        outcome = .failure(error)
    }
    try FileManager.default.removeItem(at: directory)
    return try outcome.get()
}

/// Waits until something is so, and answers how long it took.
@discardableResult
package func until(
    within limit: Duration,
    _ what: @autoclosure () -> String,
    _ condition: () async throws -> Bool
) async throws -> Duration {
    let start = ContinuousClock.now
    while try await !condition() {
        guard .now - start < limit else { throw FaultService.TooLate(description: "not within \(limit): \(what())") }
        try await Task.sleep(for: .milliseconds(10))
    }
    return .now - start
}
