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
        endpoints: [RPCEndpoint] = [],
        _ body: (RPCServer) async throws -> Void
    ) async throws {
        var configuration = RPCServer.Configuration()
        configuration.prefetch = 1
        configuration.namesakes = namesakes
        let server = RPCServer(
            InMemoryTransport(self.broker),
            target: self.target,
            endpoints: endpoints,
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

    private static func pause() async {
        do {
            try await Task.sleep(for: .seconds(5))
        } catch {
            // The other one was refused.
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

    @Test func `a server that refuses to start has taken nothing`() async throws {
        let work = RPCMethod<Void, Void>("work", since: "1.0", delivery: .atLeastOnce)
        let runs = EventRecorder<Bool>()
        let isHeld = Eventual<Void>()
        let endpoint = RPCEndpoint {
            work.handled { context in
                runs.record(context.request?.isRedelivered == true)
                await isHeld.wait()
            }
        }
        try await self.run(.refuse, endpoints: [endpoint]) { _ in
            let client = RPCClient(InMemoryTransport(self.broker), target: self.target)
            for _ in 1...5 { try await client.cast(work) }
            try await runs.first(1)
            let error = await #expect(throws: RPCError.self) {
                try await self.run(.refuse, endpoints: [endpoint]) { _ in }
            }
            #expect(error?.code == .nameTaken)
            isHeld.fulfil()
            #expect(try await runs.first(5) == [false, false, false, false, false])
        }
    }

    @Test func `of two that start at the same time one gets the name`() async throws {
        for _ in 1...20 {
            let ready = EventRecorder<String>()
            let refused = Eventual<Void>()
            await withTaskGroup(of: Void.self) { group in
                for _ in 1...2 {
                    group.addTask {
                        do {
                            try await self.run(.refuse) { server in
                                ready.record(server.life.incarnation)
                                // Not for ever: two that both serve are what must not be.
                                await withTaskGroup(of: Void.self) { group in
                                    group.addTask { await refused.wait() }
                                    group.addTask { await Self.pause() }
                                    await group.next()
                                    group.cancelAll()
                                }
                            }
                        } catch {
                            #expect((error as? RPCError)?.code == .nameTaken)
                            refused.fulfil()
                        }
                    }
                }
                await group.waitForAll()
            }
            #expect(ready.events.count == 1)
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
