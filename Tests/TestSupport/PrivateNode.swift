import Foundation
import Glibc

/// A RabbitMQ node of one test, which may be stopped, killed and started again.
public struct PrivateNode: Sendable {
    /// The node's folder, by which `scripts/rabbitmq` knows it.
    public let directory: String
    /// What `scripts/rabbitmq start` printed: `AMQP_URL` and others.
    public let environment: [String: String]

    /// A command that did not succeed.
    public struct Failure: Error, CustomStringConvertible {
        /// The command and its output.
        public let description: String
    }

    /// The node's AMQP URL.
    public var url: String { get throws { try self.variable("AMQP_URL") } }

    /// A variable that the node's start printed.
    public func variable(_ name: String) throws -> String {
        guard let value = self.environment[name] else {
            throw TestBroker.Unavailable(description: "the node's start printed no \(name)")
        }
        return value
    }

    /// Starts a node, lends it, and removes it.
    public static func with<Result>(
        _ options: [String] = [],
        _ body: (PrivateNode) async throws -> Result
    ) async throws -> Result {
        let node = try await self.start(options)
        let result: Result
        do {
            result = try await body(node)
        } catch {
            try await node.remove()
            throw error
        }
        try await node.remove()
        return result
    }

    /// Starts a node, which whoever does it removes.
    public static func start(_ options: [String]) async throws -> PrivateNode {
        let name = "steward-node-\(UUID().uuidString)"
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        return PrivateNode(
            directory: directory,
            environment: try await self.script(["start"] + options + [directory])
        )
    }

    /// Ends the node and removes its data.
    public func remove() async throws {
        _ = try await Self.script(["stop", self.directory])
    }

    /// Stops the node in order; its data stay.
    public func stop() async throws {
        _ = try await Self.script(["stop", "--keep", self.directory])
    }

    /// Ends the node as a crash would.
    public func kill() async throws {
        _ = try await Self.script(["kill", self.directory])
    }

    /// The broker's process.
    public var processID: Int32 {
        get throws {
            let text = try String(contentsOfFile: "\(self.directory)/broker.pid", encoding: .utf8)
            guard let id = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw Failure(description: "no process id: \(text)")
            }
            return id
        }
    }

    /// Stops the broker's process where it stands, as a machine does that is paged out: its sockets stay open.
    public func freeze() throws { _ = Glibc.kill(try self.processID, SIGSTOP) }

    /// Lets the broker's process go on.
    public func thaw() throws { _ = Glibc.kill(try self.processID, SIGCONT) }

    /// Starts the node again, with its ports and data.
    public func start() async throws {
        _ = try await Self.script(["start", self.directory])
    }

    /// Runs `rabbitmqctl` against the node.
    public func control(_ arguments: String...) async throws {
        try await self.control(arguments)
    }

    /// Runs rabbitmqctl against the node.
    public func control(_ arguments: [String]) async throws {
        _ = try await Self.script(["ctl", self.directory, "--"] + arguments)
    }

    private static var script: String {
        if let path = ProcessInfo.processInfo.environment["STEWARD_RABBITMQ"] { return path }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("scripts/rabbitmq").path
    }

    private static func script(_ arguments: [String]) async throws -> [String: String] {
        let output = try await self.run(self.script, arguments)
        var variables: [String: String] = [:]
        for line in output.split(separator: "\n") where line.hasPrefix("export ") {
            let parts = line.dropFirst(7).split(separator: "=", maxSplits: 1)
            // What needs no quoting but may have got a backslash from the shell's %q.
            variables[String(parts[0])] = String(parts.last ?? "").replacingOccurrences(of: "\\", with: "")
        }
        return variables
    }

    /// Runs a program to its end and gives its standard output.
    @discardableResult
    public static func run(_ program: String, _ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("steward-output-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        let output = try FileHandle(forWritingTo: file)
        defer {
            // A leftover in the temporary directory does no harm.
            try? FileManager.default.removeItem(at: file)
        }
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do {
                try process.runUnblocked()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        try output.close()
        let text = try String(contentsOf: file, encoding: .utf8)
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(program) \(arguments): \(process.terminationStatus)\n\(text)")
        }
        return text
    }
}
