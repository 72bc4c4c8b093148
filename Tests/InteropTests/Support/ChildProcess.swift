import Foundation
import Synchronization

/// A program that runs beside a test, with its standard streams; ended by its id, whatever happens.
final class ChildProcess: Sendable {
    /// How a program ended.
    struct Exit: Sendable {
        let code: Int32
        let standardError: String
    }

    struct Ended: Error, CustomStringConvertible {
        let program: String
        let exit: Exit

        var description: String {
            "\(self.program) ended with \(self.exit.code) instead of answering\n\(self.exit.standardError)"
        }
    }

    private struct State {
        /// Lines that nobody has asked for yet.
        var lines: [String] = []
        var readers: [CheckedContinuation<String?, Never>] = []
        var isAtEnd = false
        var exit: Exit?
        var exitReaders: [CheckedContinuation<Exit, Never>] = []
    }

    let processIdentifier: Int32
    private let program: String
    private let input: FileHandle
    private let state = Mutex(State())

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
        try process.run()
        self.program = ([program] + arguments.prefix(1)).map { URL(filePath: $0).lastPathComponent }
            .joined(separator: " ")
        self.processIdentifier = process.processIdentifier
        self.input = input.fileHandleForWriting
        let descriptors = (output.fileHandleForReading, errors.fileHandleForReading)
        // Reading blocks, and the pool that runs the tests must not: these threads live as long as the program.
        Thread.detachNewThread { self.readLines(from: descriptors.0) }
        Thread.detachNewThread {
            let text = String(decoding: descriptors.1.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            self.ended(Exit(code: process.terminationStatus, standardError: text))
        }
    }

    // MARK: Talking

    /// Writes a line to standard input and waits for the next line of standard output; asked from several tasks at once,
    /// each gets the answer to its own line.
    func ask(_ line: String) async throws -> String {
        try await self.required(
            await withCheckedContinuation { continuation in
                self.state.withLock { state in
                    self.read(&state, continuation)
                    self.write(line + "\n")
                }
            }
        )
    }

    /// Waits for the next line of standard output.
    func nextLine() async throws -> String {
        try await self.required(
            await withCheckedContinuation { continuation in
                self.state.withLock { self.read(&$0, continuation) }
            }
        )
    }

    /// Waits for all of standard output that was not read yet.
    func remainingOutput() async -> String {
        var text = ""
        while let line = await withCheckedContinuation({ continuation in
            self.state.withLock { self.read(&$0, continuation) }
        }) {
            text += line + "\n"
        }
        return text
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

    private func required(_ line: String?) async throws -> String {
        if let line { return line }
        throw Ended(program: self.program, exit: await self.exit())
    }

    private func read(_ state: inout State, _ continuation: CheckedContinuation<String?, Never>) {
        if !state.lines.isEmpty {
            continuation.resume(returning: state.lines.removeFirst())
        } else if state.isAtEnd {
            continuation.resume(returning: nil)
        } else {
            state.readers.append(continuation)
        }
    }

    private func readLines(from output: FileHandle) {
        var buffer = Data()
        while true {
            let chunk = output.availableData
            if chunk.isEmpty { break }
            buffer += chunk
            while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                self.arrived(String(decoding: buffer[..<end], as: UTF8.self))
                buffer = Data(buffer[(end + 1)...])
            }
        }
        if !buffer.isEmpty { self.arrived(String(decoding: buffer, as: UTF8.self)) }
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

    // MARK: Ending

    /// Waits until the program has ended.
    func exit() async -> Exit {
        await withCheckedContinuation { continuation in
            let exit: Exit? = self.state.withLock { state in
                if state.exit == nil { state.exitReaders.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    private func ended(_ exit: Exit) {
        let readers = self.state.withLock { state in
            state.exit = exit
            defer { state.exitReaders = [] }
            return state.exitReaders
        }
        for reader in readers { reader.resume(returning: exit) }
    }

    /// Sends a signal, unless the program has ended.
    func send(signal: Int32) {
        self.state.withLock { state in
            if state.exit == nil { kill(self.processIdentifier, signal) }
        }
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
