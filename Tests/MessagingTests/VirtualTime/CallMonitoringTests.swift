import MessagingTesting
import Testing

@testable import Messaging

@Suite("Signs of life of a long call: wire contract 4.4", .timeLimit(.minutes(3)))
struct CallMonitoringTests {
    private let gate = EventRecorder<Void>()
    private let started = EventRecorder<Void>()

    private struct Failure: Error {}

    private var endpoint: RPCEndpoint {
        let limited = RPCMethod<Void, Void>("limited", since: "1.0", timeLimit: .seconds(7))
        return RPCEndpoint {
            RPCHandler("wait") { _, _ in
                self.started.record(())
                try await self.gate.first(1)
                return "done"
            }
            RPCHandler("fail") { _, _ in
                self.started.record(())
                try await self.gate.first(1)
                throw Failure()
            }
            limited.handled { _ in
                self.started.record(())
                try await self.gate.first(1)
            }
        }
    }

    /// Plays a minute and sees that nothing comes in it.
    private func expectSilence(_ bench: VirtualBench, sourceLocation: SourceLocation = #_sourceLocation) async {
        let count = bench.replies.events.count
        await bench.clock.advance(by: .seconds(60))
        #expect(bench.replies.events.count == count, sourceLocation: sourceLocation)
    }

    @Test(arguments: ["wait", "fail"])
    func `wire contract 4.4: one comes each half of the monitor's time until the method returns or throws`(
        _ method: String
    ) async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request(method, id: "m", monitor: 10)
            try await self.started.first(1)
            await bench.clock.waitForSleeper(until: .seconds(5))
            await bench.clock.advance(by: .seconds(600))
            #expect(bench.heartbeats(of: "m") == 120)
            self.gate.record(())
            let ending = try await bench.ending(of: "m")
            #expect((ending.failure == nil) == (method == "wait"))
            await self.expectSilence(bench)
        }
        #expect(bench.clock.sleepers == 0)
    }

    @Test func `wire contract 4.4: they end with the time limit that ends the method`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("limited", id: "m", monitor: 4)
            try await self.started.first(1)
            await bench.clock.waitForSleepers(2)
            await bench.clock.advance(by: .seconds(6.5))
            #expect(bench.heartbeats(of: "m") == 3)
            await bench.clock.advance(by: .seconds(0.5))
            #expect(try await bench.ending(of: "m").failure?.className == "TimeLimitExceeded")
            await self.expectSilence(bench)
        }
    }

    @Test func `wire contract 4.4: there is none for a method that does not exist`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("unknown", id: "m", monitor: 2)
            #expect(try await bench.ending(of: "m").failure?.className == "NoSuchMethod")
            await self.expectSilence(bench)
        }
    }

    @Test func `wire contract 4.4: there is none for who did not ask, or asks for what is no time`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("wait", id: "a")
            try await bench.request("wait", id: "b", monitor: 0)
            try await bench.request("wait", id: "c", monitor: -5)
            try await self.started.first(3)
            await self.expectSilence(bench)
            self.gate.record(())
        }
    }

    @Test func `wire contract 4.4: they end with the server, and with the grace that it gives`() async throws {
        let bench = try await VirtualBench()
        var configuration = RPCServer.Configuration()
        configuration.gracePeriod = .seconds(20)
        try await bench.withServer(self.endpoint, configuration) { server in
            try await bench.request("wait", id: "m", monitor: 10)
            try await self.started.first(1)
            await bench.clock.waitForSleepers(1)
            server.stop()
            await bench.clock.advance(by: .seconds(19))
            // A stop lets it go on, and says so to the caller.
            #expect(bench.heartbeats(of: "m") == 3)
            #expect(bench.replies.events.count == 3)
            await bench.clock.advance(by: .seconds(1))
            #expect(try await bench.ending(of: "m").failure != nil)
        }
        await self.expectSilence(bench)
        #expect(bench.clock.sleepers == 0)
    }

    @Test func `wire contract 4.4: they end when the server's task is cancelled`() async throws {
        let bench = try await VirtualBench()
        let server = RPCServer(
            InMemoryTransport(bench.broker),
            target: .topic("t", server: "h"),
            endpoints: [self.endpoint]
        )
        let ready = EventRecorder<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { ready.record(()) } }
            try await ready.first(1)
            try await bench.request("wait", id: "m", monitor: 10)
            try await self.started.first(1)
            await bench.clock.waitForSleepers(1)
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(try await bench.ending(of: "m").failure != nil)
        await self.expectSilence(bench)
        #expect(bench.clock.sleepers == 0)
    }

    @Test func `wire contract 4.4: a reply queue that is gone does not keep a method from ending`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { server in
            try await bench.request("wait", id: "m", replyQueue: "gone", monitor: 10)
            try await self.started.first(1)
            await bench.clock.waitForSleepers(1)
            await bench.clock.advance(by: .seconds(30))
            self.gate.record(())
            // The reply is offered for a minute, outside of the handler's slot.
            await bench.clock.advance(by: .seconds(61))
            #expect(server.runningHandlers == 0)
            #expect(bench.clock.sleepers == 0)
        }
    }
}
