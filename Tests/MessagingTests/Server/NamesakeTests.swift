import InMemoryLogging
import Logging
import MessagingTesting
import Testing

@testable import Messaging

/// Servers of one name.
@Suite(.timeLimit(.minutes(3))) struct NamesakeTests {
    private let broker = InMemoryBroker()
    private let target = Target.topic("t", server: "a")

    /// Runs a server until it is stopped, or refuses to start.
    private func run(
        _ namesakes: NamesakePolicy,
        logs: InMemoryLogHandler = InMemoryLogHandler(),
        _ body: (RPCServer) async throws -> Void
    ) async throws {
        var configuration = RPCServer.Configuration()
        configuration.namesakes = namesakes
        let server = RPCServer(
            InMemoryTransport(self.broker),
            target: self.target,
            endpoints: [],
            configuration: configuration,
            logger: Logger(label: "server") { _ in logs }
        )
        let ready = Eventual<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await server.run { ready.fulfil() }
                } catch {
                    ready.resolve(.failure(error))
                }
            }
            try await ready.value()
            try await body(server)
            server.stop()
            try await group.waitForAll()
        }
    }

    private func warnings(_ logs: InMemoryLogHandler) -> Int {
        logs.entries.count { "\($0.message)".contains("another process has this host's name") }
    }

    @Test func `the second server of a name shares and says so, the third refuses`() async throws {
        let logs = InMemoryLogHandler()
        try await self.run(.refuse) { _ in
            try await self.run(.share, logs: logs) { _ in
                #expect(self.warnings(logs) == 1)
                let error = await #expect(throws: RPCError.self) { try await self.run(.refuse) { _ in } }
                #expect(error?.code == .nameTaken)
                #expect(error?.message.contains("t.a") == true)
            }
        }
    }

    @Test func `a server that drains is no namesake`() async throws {
        try await self.run(.share) { server in
            server.stop()
            try await self.run(.refuse) { _ in }
        }
    }

    @Test func `one that is alone says nothing`() async throws {
        let logs = InMemoryLogHandler()
        try await self.run(.refuse, logs: logs) { _ in }
        #expect(self.warnings(logs) == 0)
    }
}
