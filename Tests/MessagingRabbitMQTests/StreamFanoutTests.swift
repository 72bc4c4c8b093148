import AMQPClient
import Foundation
import Logging
import Messaging
import MessagingTesting
import TestSupport
import Testing

@testable import MessagingRabbitMQ

/// Wire contract 1.3, `rabbit_stream_fanout`: one stream for all servers of a topic.
@Suite(.timeLimit(.minutes(3))) struct StreamFanoutTests {
    private static let options =
        "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true&rabbit_qos_prefetch_count=5"

    @Test func `wire contract 1.3: every server of a topic gets each cast once from the one stream`() async throws {
        try await Place.with { place in
            let first = EventRecorder<Int>()
            let second = EventRecorder<Int>()
            try await self.withServer(at: place, "a", recording: first) { transport in
                try await self.withServer(at: place, "b", recording: second) { _ in
                    #expect(try await place.queues().filter { $0.hasPrefix("wt_fanout") } == ["wt_fanout"])
                    // More than the prefetch, so that none comes without acknowledgements.
                    try await self.cast(0..<20, over: transport)
                    #expect(try await first.first(20) == Array(0..<20))
                    #expect(try await second.first(20) == Array(0..<20))
                }
            }
        }
    }

    @Test func `wire contract 1.3, replay: a server that starts again gets no cast from before`() async throws {
        try await Place.with { place in
            let seen = EventRecorder<Int>()
            try await self.withServer(at: place, "a", recording: seen) { transport in
                try await self.cast(0..<3, over: transport)
                _ = try await seen.first(3)
            }
            // The stream is still there, and oslo would be handed its last chunk again now.
            #expect(try await place.queues().contains("wt_fanout"))
            for start in 1...3 {
                let again = EventRecorder<Int>()
                try await self.withServer(at: place, "a", recording: again) { transport in
                    try await self.cast([100 + start], over: transport)
                    #expect(try await again.first(1) == [100 + start])
                }
                #expect(again.events == [100 + start])
            }
        }
    }

    @Test func `wire contract 1.3: after a reconnection the stream goes on where it was`() async throws {
        try await Place.with { place in
            let seen = EventRecorder<Int>()
            try await self.withServer(at: place, "a", recording: seen) { transport in
                try await self.cast(0..<7, over: transport)
                _ = try await seen.first(7)
                var unknown: [Int] = []
                for round in 1...3 {
                    let numbers = (round * 10)..<(round * 10 + 7)
                    // The server's connections and the publisher's: casts are sent while both come back.
                    try await place.cutConnections(2)
                    for number in numbers {
                        do {
                            try await self.cast([number], over: transport)
                        } catch let error as RPCError where error.code == .connectionLost {
                            // The broker says that it closes a connection after it has said so here: nobody knows whether
                            // this one arrived.
                            unknown.append(number)
                            try await self.cast([number], over: transport)
                        }
                    }
                    let last = numbers.upperBound - 1
                    _ = try await seen.first(1, within: .seconds(30)) { $0 == last }
                }
                var all: [Int] = (0..<4).flatMap { round in Array(round * 10..<round * 10 + 7) }
                for number in unknown where seen.events.count(where: { $0 == number }) == 2 { all.append(number) }
                #expect(seen.events == all.sorted(), "\(unknown) were sent twice")
            }
        }
    }

    @Test func `wire contract 1.3: a stream that was deleted is made again and read on`() async throws {
        try await Place.with { place in
            let seen = EventRecorder<Int>()
            try await self.withServer(at: place, "a", recording: seen) { transport in
                try await self.cast(0..<5, over: transport)
                _ = try await seen.first(5)
                try await place.broker.deleteQueue("wt_fanout", virtualHost: place.virtualHost)
                // Casts are lost until the stream is there again.
                for number in 100..<400 where seen.events.count == 5 {
                    try await self.cast([number], over: transport)
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(try await seen.first(6, within: .seconds(5))[5] >= 100)
            }
        }
    }

    // MARK: Where a listener is

    @Test func `wire contract 1.3: a position goes on at what is not settled, and leaves out what is`() {
        let position = StreamPosition()
        func token(_ tag: UInt64, _ generation: UInt64) -> Delivery.Token {
            Delivery.Token(tag: tag, generation: generation)
        }
        #expect(position.arguments == ["x-stream-offset": "next"])
        for offset: UInt64 in 10...14 { #expect(position.arrived(offset, token(offset - 9, 1))) }
        position.settled([token(1, 1), token(2, 1), token(4, 1)])
        #expect(position.arguments == ["x-stream-offset": 12])
        // The broker begins there, or a little before.
        #expect((9...15).map { position.arrived($0, token($0, 2)) } == [false, false, false, true, false, true, true])
        #expect(position.arguments == ["x-stream-offset": 12])
        for offset: UInt64 in 12...15 { _ = position.arrived(offset, token(offset, 3)) }
        position.settled([token(12, 3), token(14, 3), token(15, 3)])
        #expect(position.arguments == ["x-stream-offset": 16])
        position.reset()
        #expect(position.arguments == ["x-stream-offset": "next"])
        #expect(position.arrived(0, token(1, 4)))
        // What belongs to a lost connection settles nothing on this one.
        position.settled([token(1, 3)])
        #expect(position.arguments == ["x-stream-offset": 0])
    }

    // MARK: Support

    private func cast(_ numbers: some Sequence<Int>, over transport: RabbitMQTransport) async throws {
        let client = RPCClient(transport, target: .topic("wt"))
        for number in numbers { try await client.fanout("note", ["n": .integer(number)]) }
    }

    private func withServer(
        at place: Place,
        _ name: String,
        recording: EventRecorder<Int>,
        _ body: @escaping @Sendable (RabbitMQTransport) async throws -> Void
    ) async throws {
        let endpoint = RPCEndpoint {
            RPCHandler("note") { _, arguments in
                recording.record(arguments["n"]?.intValue ?? -1)
                return nil
            }
        }
        try await place.withTransport(Self.options) { transport in
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            try await withRPCServer(
                on: transport,
                target: .topic("wt", server: name),
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                try await body(transport)
            }
        }
    }
}
