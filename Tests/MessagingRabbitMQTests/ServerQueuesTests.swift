import AMQPClient
import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// Wire contract 1.1, 1.2 and 1.4: which queues there are, who consumes them, and how long they last.
@Suite(.timeLimit(.minutes(3))) struct ServerQueuesTests {
    private struct Consumer: Decodable {
        struct Queue: Decodable { let name: String }
        let tag: String
        let acknowledges: Bool
        let isExclusive: Bool
        let prefetch: Int
        let queue: Queue

        enum CodingKeys: String, CodingKey {
            case queue
            case tag = "consumer_tag"
            case acknowledges = "ack_required"
            case isExclusive = "exclusive"
            case prefetch = "prefetch_count"
        }
    }

    /// The consumers by their queues, as soon as the management API knows that many.
    private func consumers(_ count: Int, at place: Place) async throws -> [String: Consumer] {
        var found: [Consumer] = []
        for _ in 1...100 where found.count < count {
            try await Task.sleep(for: .milliseconds(100))
            found = try await place.list("consumers", as: Consumer.self)
        }
        return Dictionary(found.map { ($0.queue.name, $0) }) { first, _ in first }
    }

    private func listen(
        _ transport: RabbitMQTransport,
        _ server: String,
        exchange: String? = nil,
        _ onDeliveries: @escaping @Sendable ([Delivery]) -> Void = { _ in }
    ) async throws -> any Listener {
        let target = Target.topic("wt", server: server, exchange: exchange)
        return try await transport.listen(on: .server(target), prefetch: 9, onDeliveries: onDeliveries)
    }

    // MARK: 1.1

    @Test func `wire contract 1.1: services of one topic share its fanout, whatever their control exchanges`()
        async throws
    {
        try await Place.with { place in
            try await place.withTransport { transport in
                let recorder = EventRecorder<String>()
                let first = try await self.listen(transport, "a", exchange: "x1") { _ in recorder.record("a") }
                let second = try await self.listen(transport, "b", exchange: "x2") { _ in recorder.record("b") }
                let options = SendOptions(deadline: .now + .seconds(20))
                try await transport.send(Message(body: [1]), to: .fanout("wt"), options: options)
                #expect(Set(try await recorder.first(2)) == ["a", "b"])
                await first.close()
                await second.close()
            }
        }
    }

    @Test func `wire contract 1.1: without a server name nothing is declared`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                try await transport.open()
                for target in [Target.topic("wt"), Target(topic: "", server: "a"), .topic("w*", server: "a")] {
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await transport.listen(on: .server(target), prefetch: 1) { _ in }
                    }
                    #expect(error?.code == .invalidTarget)
                }
            }
            let left = try await place.queues()
            #expect(left.isEmpty)
        }
    }

    @Test func `wire contract 1.1: each server has its fanout queue, and a transport has one reply queue`() async throws
    {
        try await Place.with { place in
            try await place.withTransport { transport in
                let listeners = [try await self.listen(transport, "a"), try await self.listen(transport, "b")]
                let names = [
                    try await transport.openReplyQueue(deadline: .now + .seconds(20)),
                    try await transport.openReplyQueue(deadline: .now + .seconds(20)),
                ]
                #expect(names[0] == names[1])
                let queues = try await place.queues()
                #expect(queues.filter { $0.hasPrefix("wt_fanout_") }.count == 2)
                #expect(queues.filter { $0.hasPrefix("reply_") } == [names[0]])
                for listener in listeners { await listener.close() }
            }
        }
    }

    // MARK: 1.2, 1.3

    @Test(arguments: [("", 9), ("rabbit_qos_prefetch_count=5", 5)])
    func `wire contract 1.2, 1.3: consumers have oslo's tags, acknowledge, and a prefetch each`(
        options: String,
        prefetch: Int
    ) async throws {
        try await Place.with { place in
            try await place.withTransport(options) { transport in
                let listener = try await self.listen(transport, "a")
                let consumers = try await self.consumers(3, at: place)
                #expect(consumers.count == 3)
                #expect(consumers["wt"]?.tag == "1" && consumers["wt.a"]?.tag == "2")
                #expect(consumers.first { $0.key.hasPrefix("wt_fanout_") }?.value.tag == "3")
                for consumer in consumers.values {
                    #expect(consumer.acknowledges && !consumer.isExclusive && consumer.prefetch == prefetch)
                }
                await listener.close()
            }
        }
    }

    // MARK: 1.4

    @Test func `wire contract 1.4: topic and host queues outlive their server, the others do not`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                let listener = try await self.listen(transport, "a")
                _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                await listener.close()
                let stopped = try await place.queues()
                #expect(stopped.isSuperset(of: ["wt", "wt.a"]))
                #expect(!stopped.contains { $0.hasPrefix("wt_fanout") })
            }
            // Unlike oslo's, which leaves the reply queue until it expires.
            let left = try await place.queues()
            #expect(left == ["wt", "wt.a"])
        }
    }

    @Test func `wire contract 1.4, 5.4: after a reconnection the same names are declared and consumed`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                let listener = try await self.listen(transport, "a")
                let replies = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                let before = try await self.consumers(4, at: place)
                #expect(before.count == 4 && before[replies] != nil)
                try await place.cutConnections(1)
                var after: [String: Consumer] = [:]
                for _ in 1...50 where after.count < 4 { after = try await self.consumers(4, at: place) }
                #expect(Set(after.keys) == Set(before.keys))
                await listener.close()
            }
        }
    }

    @Test func `wire contract 1.4: a fanout to nobody leaves an exchange that goes with its first listener`()
        async throws
    {
        struct Exchange: Decodable { let name: String }
        try await Place.with { place in
            func exchanges() async throws -> [String] {
                try await place.list("exchanges", as: Exchange.self).map(\.name).filter { $0 == "wt_fanout" }
            }
            try await place.withTransport { transport in
                let options = SendOptions(deadline: .now + .seconds(20))
                try await transport.send(Message(body: [1]), to: .fanout("wt"), options: options)
                var there = try await exchanges()
                #expect(there == ["wt_fanout"])
                await (try await self.listen(transport, "a")).close()
                there = try await exchanges()
                #expect(there == [])
                // The publisher does not take it for declared: it goes on without an error.
                try await transport.send(Message(body: [1]), to: .fanout("wt"), options: options)
            }
        }
    }
}
