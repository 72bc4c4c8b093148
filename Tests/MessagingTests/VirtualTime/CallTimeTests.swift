import MessagingTesting
import Testing

@testable import Messaging

@Suite("The time of a call: wire contract 4.1 and 5.1", .timeLimit(.minutes(3)))
struct CallTimeTests {
    private let gate = EventRecorder<Void>()
    private let started = EventRecorder<String>()

    private var endpoint: RPCEndpoint {
        RPCEndpoint {
            RPCHandler("wait") { context, _ in
                self.started.record("wait")
                do {
                    try await self.gate.first(1)
                } catch {
                    self.started.record("cancelled")
                    throw error
                }
                return "done"
            }
            RPCHandler("note") { _, _ in
                self.started.record("note")
                return .null
            }
        }
    }

    private func client(_ bench: VirtualBench, _ change: (inout RPCClient.Options) -> Void = { _ in }) -> RPCClient {
        RPCClient(InMemoryTransport(bench.broker), target: .topic("t")).prepare(change)
    }

    @Test func `wire contract 5.1: a call ends after its timeout, by default after a minute`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            let client = self.client(bench)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let error = await #expect(throws: RPCError.self) { _ = try await client.call("wait") }
                    #expect(error?.code == .timeout)
                }
                try await self.started.first(1)
                await bench.clock.waitForSleepers(1)
                await bench.clock.advance(by: .seconds(59))
                #expect(client.waitingCalls == 1)
                await bench.clock.advance(by: .seconds(1))
                try await group.waitForAll()
            }
            self.gate.record(())
        }
    }

    @Test func `wire contract 5.1: each sign of life begins the monitor's time anew, and none extends the timeout`()
        async throws
    {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            let client = self.client(bench) { $0.callMonitorTimeout = .seconds(4) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await client.call("wait", timeout: .seconds(30))
                    }
                    #expect(error?.code == .timeout)
                    #expect(bench.clock.elapsed == .seconds(30))
                }
                try await self.started.first(1)
                await bench.clock.waitForSleepers(2)
                await bench.clock.advance(by: .seconds(29))
                #expect(client.waitingCalls == 1)
                await bench.clock.advance(by: .seconds(1))
                try await group.waitForAll()
            }
            self.gate.record(())
        }
    }

    @Test func `wire contract 5.1: a server that falls silent ends the call by its monitor, and is told`() async throws
    {
        let bench = try await VirtualBench()
        let faulty = FaultyTransport(InMemoryTransport(bench.broker))
        // From the fourth on nothing of what the server sends arrives.
        faulty.inject(.preceded {}, .first(3))
        faulty.inject(.lost) { $0.reply != nil }
        try await withRPCServer(on: faulty, target: .topic("t", server: "h"), endpoints: [self.endpoint]) { _ in
            let client = self.client(bench) { $0.callMonitorTimeout = .seconds(4) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await client.call("wait", timeout: .seconds(3_600))
                    }
                    #expect(error?.code == .timeout)
                    // Signs of life at 0.1, 2 and 4 s, and then 4 s of silence.
                    #expect(bench.clock.elapsed == .seconds(8))
                }
                try await self.started.first(1)
                await bench.clock.waitForSleepers(2)
                await bench.clock.advance(by: .seconds(10))
                try await group.waitForAll()
            }
            // Nobody waits any more, and its server is told.
            let events = try await self.started.first(2)
            #expect(events == ["wait", "cancelled"])
            self.gate.record(())
        }
    }

    @Test func `wire contract 4.1: a request whose caller has given up is not started`() async throws {
        let bench = try await VirtualBench()
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 1
        try await bench.withServer(self.endpoint, configuration) { _ in
            try await bench.request("wait")
            try await self.started.first(1)
            // They wait in the server, which has taken them from the broker.
            try await bench.request("note", id: "impatient", timeToLive: .seconds(10))
            try await bench.request("note", id: "patient", timeToLive: .seconds(600))
            bench.clock.jump(by: .seconds(11))
            self.gate.record(())
            _ = try await bench.ending(of: "patient")
        }
        #expect(self.started.events == ["wait", "note"])
        #expect(!bench.replies.events.contains { $0.messageID == "impatient" })
    }

    @Test func `wire contract 2.2: a request that nobody takes in time is dropped by the broker`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in }
        try await bench.request("note", id: "impatient", timeToLive: .seconds(10))
        try await bench.request("note", id: "patient", timeToLive: .seconds(600))
        bench.clock.jump(by: .seconds(11))
        try await bench.withServer(self.endpoint) { _ in _ = try await bench.ending(of: "patient") }
        #expect(self.started.events == ["note"])
    }

    @Test func `wire contract 5.1: ten minutes of calls and timeouts leave nobody asleep`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            let client = self.client(bench) { $0.callMonitorTimeout = .seconds(20) }
            await withTaskGroup(of: Void.self) { group in
                for number in 1...60 {
                    group.addTask {
                        let error = await #expect(throws: RPCError.self) {
                            _ = try await client.call("wait", timeout: .seconds(10 * number))
                        }
                        #expect(error?.code == .timeout)
                    }
                }
                await bench.clock.advance(by: .seconds(600))
            }
            self.gate.record(())
            await bench.clock.settle()
            #expect(client.waitingCalls == 0)
        }
        #expect(bench.clock.sleepers == 0)
    }

    @Test func `a thousand good, refused, cancelled and timed-out calls leave nobody asleep and nothing running`()
        async throws
    {
        let bench = try await VirtualBench()
        let outcomes = EventRecorder<String>()
        try await bench.withServer(self.endpoint) { server in
            let client = self.client(bench)
            _ = try await client.call("note")
            let queues = bench.broker.queueNames
            await withTaskGroup(of: Void.self) { group in
                for number in 1...1_000 {
                    group.addTask { outcomes.record(await self.outcome(of: number, client, bench.clock)) }
                }
                await bench.clock.advance(by: .seconds(180))
            }
            #expect(server.runningHandlers == 0)
            #expect(client.waitingCalls == 0)
            #expect(bench.clock.sleepers == 0)
            #expect(bench.broker.queueNames == queues)
            #expect(queues.allSatisfy { bench.broker.depth(of: $0) == 0 })
        }
        for outcome in ["done", "noSuchMethod", "cancelled", "timeout"] {
            #expect(outcomes.events.count { $0 == outcome } == 250, "\(outcome)")
        }
    }

    private func outcome(of number: Int, _ client: RPCClient, _ clock: VirtualClock) async -> String {
        do {
            switch number % 4 {
            case 0: _ = try await client.call("note", timeout: .seconds(120))
            case 1: _ = try await client.call("unknown", timeout: .seconds(120))
            case 2: _ = try await client.call("wait", timeout: .seconds(5))
            default:
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try await client.call("wait", timeout: .seconds(120)) }
                    try await clock.sleep(for: .seconds(1))
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
            return "done"
        } catch is CancellationError {
            return "cancelled"
        } catch let error as RPCError {
            return error.code.description
        } catch {
            return "\(error)"
        }
    }
}

extension RPCClient {
    fileprivate var waitingCalls: Int { self.transport.replies.waitingCalls }
}
