import MessagingTesting
import Synchronization
import Testing

@testable import Messaging

/// Requests that may have killed their worker.
@Suite(.timeLimit(.minutes(3))) struct SuspectTests {
    typealias Bench = AtLeastOnceTests.Bench

    @Test func `one at a time passes a turnstile, in order, and a cancelled one gives its place up`() async throws {
        let turnstile = Turnstile()
        let passed = EventRecorder<Int>()
        let first = try #require(await turnstile.enter())
        await withTaskGroup(of: Void.self) { group in
            for number in 1...3 {
                group.addTask {
                    guard let turn = await turnstile.enter() else { return passed.record(-number) }
                    passed.record(number)
                    turn.end()
                    turn.end()
                }
                // One after another.
                try? await Task.sleep(for: .milliseconds(20))
            }
            #expect(passed.events == [])
            first.end()
            await group.waitForAll()
            #expect(passed.events == [1, 2, 3])
        }
        let held = try #require(await turnstile.enter())
        let waiting = Task { await turnstile.enter() == nil }
        try await Task.sleep(for: .milliseconds(20))
        waiting.cancel()
        #expect(await waiting.value)
        held.end()
        // Its place went to nobody.
        #expect(await turnstile.enter() != nil)
    }

    @Test func `a turn that is forgotten ends with its owner`() async {
        let turnstile = Turnstile()
        _ = await turnstile.enter()
        #expect(await turnstile.enter() != nil)
    }

    /// What another life of the server has left in the journal: so many starts without an end.
    private func journal(_ starts: Int, of ids: [String]) async -> InMemoryRequestJournal {
        let journal = InMemoryRequestJournal()
        for id in ids {
            for _ in 1...starts { _ = await journal.begin(.init(key: "work \(id)", method: "work")) }
        }
        return journal
    }

    /// Gives each request out once, unacknowledged, so that it comes again.
    private func crash(_ bench: Bench, _ ids: [String]) async throws {
        let transport = InMemoryTransport(bench.broker)
        let arrived = EventRecorder<Delivery>()
        let listener = try await transport.listen(on: .server(.topic("t", server: "a")), prefetch: 16) {
            for delivery in $0 { arrived.record(delivery) }
        }
        for id in ids { try await bench.send(id, id: id) }
        try await arrived.first(ids.count)
        await listener.close()
    }

    @Test(arguments: [1, 2])
    func `what was begun twice without an end runs alone, what was begun once does not`(starts: Int) async throws {
        let bench = Bench()
        let ids = ["1", "2", "3", "4"]
        var configuration = RPCServer.Configuration()
        configuration.journal = await self.journal(starts, of: ids)
        try await self.crash(bench, ids)
        let running = Mutex(0)
        let most = EventRecorder<Int>()
        try await bench.serve(configuration: configuration) { _, _ in
            most.record(
                running.withLock {
                    $0 += 1
                    return $0
                }
            )
            try await Task.sleep(for: .milliseconds(100))
            running.withLock { $0 -= 1 }
            return ""
        } _: { _ in
            try await most.first(ids.count)
            try await bench.settled()
        }
        let highest = try #require(most.events.max())
        #expect(starts == 1 ? highest > 1 : highest == 1)
        #expect(bench.runs.events.count == 4)
    }

    @Test func `one that never ends holds up neither the others nor what is new`() async throws {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        // Fewer slots than suspects: those that wait have none.
        configuration.concurrency = 2
        configuration.journal = await self.journal(2, of: ["1", "2", "3", "4"])
        try await self.crash(bench, ["1", "2", "3", "4"])
        let ended = EventRecorder<String>()
        let isHeld = Eventual<Void>()
        let hasFirst = Atomic(false)
        let start = ContinuousClock.now
        try await bench.serve(configuration: configuration) { _, item in
            // Whichever of them is the first.
            if item.text != "new", !hasFirst.exchange(true, ordering: .relaxed) { await isHeld.wait() }
            ended.record(item.text)
            return ""
        } _: { _ in
            // At once, although three wait for the first.
            try await bench.send("new", id: "new")
            #expect(try await ended.first(1) == ["new"])
            #expect(ContinuousClock.now - start < .seconds(4))
            #expect(Set(try await ended.first(4)).count == 4)
            isHeld.fulfil()
            try await bench.settled()
        }
        #expect(bench.runs.events.count == 5)
    }

    @Test func `a redelivery that no journal has seen is counted with a copy, and given up after its limit`()
        async throws
    {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        configuration.redeliveryLimit = 1
        try await self.crash(bench, ["x"])
        // Handed out once: it runs, as its copy.
        try await bench.serve(configuration: configuration) { context, _ in
            #expect(context.request?.isRedelivered == true)
            return ""
        } _: { server in
            #expect(try await bench.runs.first(1) == ["x 1"])
            try await bench.settled()
            let work = try #require(server.figures.methods.first { $0.name == "work" })
            #expect(work.redeliveries == 1)
            #expect(work.retries == 1)
            #expect(work.deadLetters == [:])
        }
        // Handed out as often as it may be: it is not run.
        let transport = InMemoryTransport(bench.broker)
        let arrived = EventRecorder<Delivery>()
        let listener = try await transport.listen(on: .server(.topic("t", server: "a")), prefetch: 16) {
            for delivery in $0 { arrived.record(delivery) }
        }
        try await bench.send("y", id: "y", headers: ["steward-redeliveries": "1"])
        try await arrived.first(1)
        await listener.close()
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { server in
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.reason == .workerDied)
            #expect(letter.arguments == ["text": "y"])
            try await bench.settled()
            #expect(server.figures.methods.first { $0.name == "work" }?.deadLetters == ["worker-died": 1])
        }
        #expect(bench.runs.events == ["x 1"])
    }
}
