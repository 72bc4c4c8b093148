import InMemoryLogging
import Logging
import MessagingTesting
import Synchronization
import Testing

@testable import Messaging

/// At-least-once requests while something else is broken: the journal, or the broker.
@Suite(.timeLimit(.minutes(3))) struct AtLeastOnceFaultTests {
    typealias Bench = AtLeastOnceTests.Bench
    struct Down: Error {}

    /// A journal that answers only while it is up.
    final class FragileJournal: RequestJournal {
        let isUp = Atomic(true)
        let journal = InMemoryRequestJournal()

        private func check() throws {
            if !self.isUp.load(ordering: .relaxed) { throw Down() }
        }

        func begin(_ delivery: RequestDelivery) async throws -> RequestStanding {
            try self.check()
            return await self.journal.begin(delivery)
        }
        func complete(_ key: String, reply: [UInt8]?) async throws {
            try self.check()
            await self.journal.complete(key, reply: reply)
        }
        func withdraw(_ key: String) async throws {
            try self.check()
            await self.journal.withdraw(key)
        }
        func leave(_ key: String, for onward: RequestOnward) async throws -> Bool {
            try self.check()
            return await self.journal.leave(key, for: onward)
        }
        func left(_ key: String) async throws {
            try self.check()
            await self.journal.left(key)
        }
        func forget(_ key: String) async throws {
            try self.check()
            await self.journal.forget(key)
        }
    }

    /// A transport that takes no copies while it is told so.
    final class Refusing: Transport {
        let base: InMemoryTransport
        let refuses = Atomic(true)
        let refused = EventRecorder<Destination>()

        let code: RPCError.Code

        init(_ base: InMemoryTransport, code: RPCError.Code = .rejected) {
            self.base = base
            self.code = code
        }

        var replies: ReplyRouter { self.base.replies }

        func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
            try await self.base.openReplyQueue(deadline: deadline)
        }
        func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
            if self.refuses.load(ordering: .relaxed) {
                self.refused.record(destination)
                throw RPCError(self.code, "no")
            }
            try await self.base.send(message, to: destination, options: options)
        }
        func listen(
            on source: Source,
            prefetch: Int,
            onDeliveries: @escaping @Sendable ([Delivery]) -> Void
        ) async throws(RPCError) -> any Listener {
            try await self.base.listen(on: source, prefetch: prefetch, onDeliveries: onDeliveries)
        }
        func status(
            of destination: Destination,
            deadline: ContinuousClock.Instant?
        ) async throws(RPCError) -> QueueStatus? {
            try await self.base.status(of: destination, deadline: deadline)
        }
        func close() async { await self.base.close() }
    }

    @Test func `FAULTS 44: a journal that is away puts casts off, and stops nothing else`() async throws {
        let bench = Bench()
        let journal = FragileJournal()
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, arguments in
            arguments.text
        } _: { _ in
            journal.isUp.store(false, ordering: .relaxed)
            for number in 1...3 { try await bench.client.cast(AtLeastOnceTests.work, .init(text: "\(number)")) }
            let error = await #expect(throws: RPCError.self) {
                _ = try await bench.client.call(AtLeastOnceTests.work, .init(text: "call"), timeout: .seconds(20))
            }
            #expect(error?.failure?.className == "JournalUnavailable")
            try await bench.client.cast("note", ["text": "noted"])
            #expect(try await bench.runs.first(1) == ["noted"])
            journal.isUp.store(true, ordering: .relaxed)
            // They come back after a second, and no attempt was counted.
            #expect(Set(try await bench.runs.first(4)) == ["noted", "1 1", "2 1", "3 1"])
            #expect(try await bench.client.call(AtLeastOnceTests.work, .init(text: "call")) == "call")
        }
    }

    @Test func `FAULTS 44: a journal's failure is told once, and its recovery once`() {
        let (handler, lines) = self.recorder()
        let health = JournalHealth(logger: Logger(label: "test") { _ in handler })
        health.worked()
        for _ in 1...5 { health.failed(Down()) }
        for _ in 1...5 { health.worked() }
        health.failed(Down())
        #expect(lines().count == 3)
    }

    @Test func `FAULTS 44: what was run is acknowledged although its end cannot be noted`() async throws {
        let bench = Bench()
        let journal = FragileJournal()
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, arguments in
            journal.isUp.store(false, ordering: .relaxed)
            return arguments.text
        } _: { _ in
            let answer = try await bench.client.call(AtLeastOnceTests.work, .init(text: "x"))
            #expect(answer == "x")
        }
        #expect(bench.runs.events == ["x 1"])
        #expect(bench.broker.depth(of: "t") == 0)
    }

    @Test func `a copy that the broker does not take leaves the request where it was`() async throws {
        let bench = Bench()
        let transport = Refusing(InMemoryTransport(bench.broker))
        try await bench.serve(over: transport) { context, _ in
            if context.request?.attempt == 1 { throw Down() }
            return ""
        } _: { _ in
            try await bench.client.cast(AtLeastOnceTests.work, .init(text: "x"))
            // Three tries, then it is given back, and its copy is tried again; the handler does not run meanwhile.
            #expect(try await transport.refused.first(4) == Array(repeating: .queue("t"), count: 4))
            #expect(bench.runs.events == ["x 1"])
            transport.refuses.store(false, ordering: .relaxed)
            #expect(try await bench.runs.first(2) == ["x 1", "x 2"])
            try await bench.settled()
        }
        #expect(bench.runs.events == ["x 1", "x 2"])
    }

    @Test func `a server that stops while the broker takes nothing gives the request back`() async throws {
        let bench = Bench()
        let transport = Refusing(InMemoryTransport(bench.broker))
        try await bench.serve(over: transport) { _, _ in
            throw Down()
        } _: { server in
            try await bench.client.cast(AtLeastOnceTests.work, .init(text: "x"))
            try await transport.refused.first(1)
            server.stop()
        }
        #expect(bench.broker.depth(of: "t") == 1)
    }

    private func recorder() -> (InMemoryLogHandler, () -> [String]) {
        let handler = InMemoryLogHandler()
        return (handler, { handler.entries.map { "\($0.message)" } })
    }
}
