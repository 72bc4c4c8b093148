import Foundation
import Messaging
import Testing

/// A program of `Peer/`: the real oslo.messaging in a Python process.
struct PythonPeer: Sendable {
    let process: ChildProcess

    /// The values that the program prints, one a line.
    func next() async throws -> JSONValue {
        try JSONValue(parsing: await self.process.nextLine())
    }

    /// Gives the client program a command, and waits for what came of it.
    func ask(_ command: JSONValue) async throws -> JSONValue {
        try JSONValue(parsing: await self.process.ask(command.description))
    }
}

/// Runs a program of `Peer/` for the time of `body`: it is ready when `body` begins, and has ended when this returns.
func withPythonPeer<Value: Sendable>(
    _ program: String,
    _ arguments: [String] = [],
    options: String = "",
    _ body: (PythonPeer) async throws -> Value
) async throws -> Value {
    let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Peer/\(program)")
    let url = try InteropEnvironment.brokerURL(options: options)
    let process = try ChildProcess(InteropEnvironment.python, [script.path, "--url", url] + arguments)
    do {
        #expect(try await process.nextLine() == "READY")
        let value = try await body(PythonPeer(process: process))
        await process.stop()
        return value
    } catch {
        await process.stop()
        throw error
    }
}

/// An oslo.messaging server that a suite shares, because each costs a second to start.
struct PythonServer: SuiteTrait, TestScoping {
    /// Where the server of the running suite listens.
    @TaskLocal static var current: (topic: String, hosts: [String])?

    let hosts: [String]

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let topic = InteropEnvironment.uniqueTopic("python")
        try await self.start(self.hosts[...], topic: topic) {
            try await Self.$current.withValue((topic, self.hosts)) { try await function() }
        }
    }

    private func start(
        _ hosts: ArraySlice<String>,
        topic: String,
        _ body: () async throws -> Void
    ) async throws {
        guard let host = hosts.first else { return try await body() }
        try await withPythonPeer("server.py", ["--topic", topic, "--server", host]) { _ in
            try await self.start(hosts.dropFirst(), topic: topic, body)
        }
    }
}

/// An oslo.messaging client that a suite shares.
struct PythonClient: SuiteTrait, TestScoping {
    /// The client of the running suite.
    @TaskLocal static var current: PythonPeer?

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await withPythonPeer("client.py") { peer in
            try await Self.$current.withValue(peer) { try await function() }
        }
    }
}

extension Trait where Self == PythonServer {
    /// Two Python servers of one topic, `one` and `two`.
    static var pythonServers: Self { PythonServer(hosts: ["one", "two"]) }
}

extension Trait where Self == PythonClient {
    static var pythonClient: Self { PythonClient() }
}
