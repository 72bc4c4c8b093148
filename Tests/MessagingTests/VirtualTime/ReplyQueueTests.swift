import MessagingTesting
import Testing

@testable import Messaging

@Suite("Reply queues that are missing: wire contract 4.3", .timeLimit(.minutes(3)))
struct ReplyQueueTests {
    private let ran = EventRecorder<String>()

    private var endpoint: RPCEndpoint {
        RPCEndpoint {
            RPCHandler("work") { context, _ in
                self.ran.record(context.request?.uniqueID ?? "-")
                return .null
            }
        }
    }

    @Test func `wire contract 4.3: a reply is offered each quarter of a second, and comes when its queue is there`()
        async throws
    {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("work", id: "m", replyQueue: "late.raw")
            try await self.ran.first(1)
            await bench.clock.waitForSleeper(until: .milliseconds(250))
            await bench.clock.advance(by: .seconds(30))
            #expect(bench.replies.events.isEmpty)
            try await bench.openReplyQueue("late")
            await bench.clock.advance(by: .milliseconds(250))
            #expect(try await bench.ending(of: "m").failure == nil)
            #expect(bench.clock.sleepers == 0)
        }
    }

    @Test func `wire contract 4.3: it is offered for a minute, and no longer than its caller waits`() async throws {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("work", id: "m1", replyQueue: "gone.raw")
            try await bench.request("work", id: "m2", replyQueue: "impatient.raw", timeToLive: .seconds(5))
            await bench.clock.waitForSleepers(2)
            await bench.clock.advance(by: .seconds(5))
            // Now only the first is offered.
            #expect(bench.clock.sleepers == 1)
            await bench.clock.advance(by: .seconds(54))
            #expect(bench.clock.sleepers == 1)
            await bench.clock.advance(by: .seconds(1))
            #expect(bench.clock.sleepers == 0)
        }
    }

    @Test func `wire contract 4.3: a queue that was gone is offered each reply once for a minute, and then anew`()
        async throws
    {
        let bench = try await VirtualBench()
        try await bench.withServer(self.endpoint) { _ in
            try await bench.request("work", id: "m1", replyQueue: "gone.raw")
            await bench.clock.waitForSleepers(1)
            await bench.clock.advance(by: .seconds(61))
            // Remembered as gone: nobody waits for it any more.
            for number in 2...50 { try await bench.request("work", id: "m\(number)", replyQueue: "gone.raw") }
            try await self.ran.first(50)
            await bench.clock.settle()
            #expect(bench.clock.sleepers == 0)
            // But what comes while it is there is delivered at once.
            let listener = try await bench.openReplyQueue("gone")
            try await bench.request("work", id: "m51", replyQueue: "gone.raw")
            #expect(try await bench.ending(of: "m51").failure == nil)
            await listener.close()
            bench.broker.deleteQueue("gone.raw")
            try await bench.request("work", id: "m52", replyQueue: "gone.raw")
            // Since it was there, it is waited for again.
            await bench.clock.waitForSleepers(1)
            await bench.clock.advance(by: .seconds(61))
            await bench.clock.advance(by: .seconds(60))
            try await bench.request("work", id: "m53", replyQueue: "gone.raw")
            await bench.clock.waitForSleepers(1)
            // A server does not stop before its last replies were offered.
            await bench.clock.advance(by: .seconds(61))
        }
    }

    @Test func `wire contract 4.3: a caller that has vanished with a thousand calls keeps no handler's slot`()
        async throws
    {
        let bench = try await VirtualBench()
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 1
        try await bench.withServer(self.endpoint, configuration) { server in
            for number in 1...1_000 { try await bench.request("work", id: "m\(number)", replyQueue: "gone.raw") }
            try await bench.request("work", id: "alive")
            #expect(try await bench.ending(of: "alive").failure == nil)
            #expect(self.ran.events.count == 1_001)
            await bench.clock.advance(by: .seconds(61))
            #expect(bench.clock.sleepers == 0)
            #expect(server.runningHandlers == 0)
        }
    }
}
