import Foundation
import Synchronization

/// A program that runs beside a test, with its standard streams; ended by its id, whatever happens.
final class ChildProcess: Sendable {
    /// A program that ended where it should have answered.
    struct Ended: Error, CustomStringConvertible {
        let program: String
        let code: Int32
        let standardError: String

        var description: String {
            "\(self.program) ended with \(self.code) instead of answering\n\(self.standardError)"
        }
    }

    /// The code with which a program ended, once it has.
    private final class ExitCode: Sendable {
        private struct State {
            var code: Int32?
            var waiters: [CheckedContinuation<Int32, Never>] = []
        }

        private let state = Mutex(State())

        func set(_ code: Int32) {
            let waiters = self.state.withLock { state in
                state.code = code
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume(returning: code) }
        }

        func value() async -> Int32 {
            await withCheckedContinuation { continuation in
                let code: Int32? = self.state.withLock { state in
                    if state.code == nil { state.waiters.append(continuation) }
                    return state.code
                }
                if let code { continuation.resume(returning: code) }
            }
        }

        /// Does something to a program that has not ended; its id cannot be another's meanwhile.
        func ifRunning(_ body: () -> Void) {
            self.state.withLock { if $0.code == nil { body() } }
        }
    }

    /// What it writes to standard output.
    let output: LineReader
    /// What it writes to standard error.
    let errors: LineReader
    private let program: String
    private let processIdentifier: Int32
    private let input: FileHandle
    private let exitCode = ExitCode()

    /// Starts a program; without an environment of its own it has this process's.
    init(_ program: String, _ arguments: [String], environment: [String: String]? = nil) throws {
        let process = Process()
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        if let environment { process.environment = environment }
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        let exit = self.exitCode
        // waitUntilExit() would spin in a run loop that has nothing to do.
        process.terminationHandler = { exit.set($0.terminationStatus) }
        try process.run()
        self.program = ([program] + arguments.prefix(1)).map { URL(filePath: $0).lastPathComponent }
            .joined(separator: " ")
        self.processIdentifier = process.processIdentifier
        self.input = input.fileHandleForWriting
        self.output = LineReader(output)
        self.errors = LineReader(errors)
    }

    // MARK: Talking

    /// Writes a line to standard input and waits for the next line of standard output; asked from several tasks at once,
    /// each gets the answer to its own line.
    func ask(_ line: String) async throws -> String {
        try await self.required(await self.output.next { self.write(line + "\n") })
    }

    /// Waits for the next line of standard output.
    func nextLine() async throws -> String {
        try await self.required(await self.output.next())
    }

    private func required(_ line: String?) async throws -> String {
        if let line { return line }
        throw Ended(program: self.program, code: await self.exit(), standardError: await self.errors.remainder())
    }

    /// Writes to standard input.
    func write(_ text: String) {
        do {
            try self.input.write(contentsOf: Data(text.utf8))
        } catch {
            // The program has ended; whoever waits for its answer hears of that.
        }
    }

    /// Closes standard input.
    func closeInput() {
        do {
            try self.input.close()
        } catch {
            // It was closed before.
        }
    }

    // MARK: Ending

    /// Waits until the program has ended, and answers its exit code.
    func exit() async -> Int32 { await self.exitCode.value() }

    /// Sends a signal, unless the program has ended.
    func send(signal: Int32) {
        self.exitCode.ifRunning { kill(self.processIdentifier, signal) }
    }

    /// Closes standard input, which ends the peer programs, and kills the program if it goes on for another 5 s.
    func stop() async {
        self.closeInput()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await self.exit() }
            group.addTask {
                do {
                    try await Task.sleep(for: .seconds(5))
                    self.send(signal: SIGKILL)
                } catch {
                    // It ended by itself.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
