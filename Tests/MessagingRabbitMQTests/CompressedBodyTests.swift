import AMQPClient
import Foundation
import Logging
import Messaging
import MessagingTesting
import TestSupport
import Testing

@testable import Compression
@testable import MessagingRabbitMQ

/// Wire contract 2.2: bodies that kombu compressed, and our own.
@Suite(.timeLimit(.minutes(5))) struct CompressedBodyTests {
    /// `call_gzip`: what oslo.messaging with `kombu_compression=gzip` put on the wire.
    private struct Capture: Decodable {
        let headers: [String: String]
        let body: String

        enum CodingKeys: String, CodingKey {
            case headers
            case body = "body_base64"
        }

        static func load() throws -> (headers: AMQPTable, body: [UInt8]) {
            let url = Bundle.module.bundleURL.appendingPathComponent("Fixtures/call_gzip.json")
            let capture = try JSONDecoder().decode(Capture.self, from: Data(contentsOf: url))
            let body = try #require(Data(base64Encoded: capture.body))
            return (capture.headers.mapValues { .string($0) }, Array(body))
        }
    }

    private static let replyQueue = "reply_f6f2a84923d94153bf20265e44ccdc42"

    private static let endpoint = RPCEndpoint {
        RPCHandler("echo") { _, arguments in arguments["value"] ?? nil }
    }

    @Test func `wire contract 2.2: a captured call of oslo's with a compressed body is answered`() async throws {
        let capture = try Capture.load()
        try await self.withServer { channel, answers in
            try await self.publish(capture.body, AMQPProperties.json(capture.headers), to: channel)
            let answer = try await answers.first(1)[0].message
            #expect(answer.properties.headers?["compression"] == nil)
            let payload = try self.payload(answer.body)
            #expect(payload["_msg_id"] == "5bc2a0bfc6b94b69a2c4b93fa4e5c9b7")
            #expect(payload["result"] == .string(String(repeating: "z", count: 50)))
        }
    }

    @Test(arguments: ["gzip", "bz2"])
    func `wire contract 2.2: with kombu_compression requests and replies are compressed`(
        _ name: String
    ) async throws {
        let algorithm = try #require(CompressionAlgorithm(named: name))
        try await self.withServer("kombu_compression=\(name)") { channel, answers in
            let body = Self.request(String(repeating: "text ", count: 100_000))
            let compressed = try await algorithm.compress(body)
            try await self.publish(compressed, .json(["compression": .string(algorithm.mediaType)]), to: channel)
            let answer = try await answers.first(1)[0].message
            #expect(answer.properties.headers == ["compression": .string(algorithm.mediaType)])
            #expect(answer.body.count < 10_000)
            let plain = try await algorithm.decompress(answer.body, limit: 1 << 20)
            #expect(try self.payload(plain)["result"]?.stringValue?.utf8.count == 500_000)
        }
    }

    @Test(arguments: ["gzip", "bz2"])
    func `wire contract 2.2: a client that compresses and one that does not call the same server`(
        _ name: String
    ) async throws {
        try await Place.with { place in
            try await place.withTransport { serving in
                let target = Target.topic("packed", server: "a")
                try await withRPCServer(on: serving, target: target, endpoints: [Self.endpoint]) { _ in
                    for options in ["kombu_compression=\(name)", ""] {
                        try await place.withTransport(options) { transport in
                            let client = RPCClient(transport, target: .topic("packed"))
                            for size in [0, 1, 1_000, 3_000_000] {
                                let text = JSONValue.string(String(repeating: "x", count: size))
                                let answer = try await client.call("echo", ["value": text], timeout: .seconds(30))
                                #expect(answer == text)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func `wire contract 2.2, 3.1: what cannot be decompressed is refused, and the server goes on`() async throws {
        let gzip = try await CompressionAlgorithm.gzip.compress(Self.request("a"))
        let bomb = try await CompressionAlgorithm.gzip.compress([UInt8](repeating: 0x20, count: Unpacker.limit + 1))
        let bodies: [(body: [UInt8], compression: AMQPValue)] = [
            (Array(gzip.dropLast()), "application/x-gzip"), (gzip + gzip, "application/x-gzip"),
            (Self.request("a"), "application/x-gzip"), ([], "application/x-gzip"), (gzip, "application/x-bz2"),
            (gzip, "application/x-lzma"), (gzip, .bytes([0, 255])), (gzip, 5), (bomb, "application/x-gzip"),
        ]
        #expect(bomb.count < 200_000)
        try await self.withServer { channel, answers in
            for (body, compression) in bodies {
                try await self.publish(body, .json(["compression": compression]), to: channel)
            }
            try await self.publish(gzip, .json(["compression": "application/x-gzip"]), to: channel)
            #expect(try self.payload(try await answers.first(1)[0].message.body)["result"] == "a")
            // Each was refused for good: nothing is left to come again.
            for _ in 1...200 where try await channel.declareQueuePassively("packed").messageCount > 0 {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await channel.declareQueuePassively("packed").messageCount == 0)
            #expect(answers.events.count == 1)
        }
    }

    /// Bombs keep neither heartbeats nor other callers waiting, and a stop does not wait for them.
    @Test func `bodies are decompressed beside the connection`() async throws {
        let bomb = try await CompressionAlgorithm.bzip2.compress([UInt8](repeating: 0x20, count: Unpacker.limit + 1))
        try await Place.with { place in
            try await place.withTransport("heartbeat_timeout_threshold=1") { transport in
                let target = Target.topic("packed", server: "a")
                try await withRPCServer(on: transport, target: target, endpoints: [Self.endpoint]) { _ in
                    try await place.withChannel { channel in
                        for _ in 0..<20 {
                            try await self.publish(bomb, .json(["compression": "application/x-bz2"]), to: channel)
                        }
                    }
                    let client = RPCClient(transport, target: .topic("packed"))
                    let started = ContinuousClock.now
                    for number in 0..<20 {
                        let value = JSONValue.integer(number)
                        #expect(try await client.call("echo", ["value": value], timeout: .seconds(10)) == value)
                    }
                    #expect(ContinuousClock.now - started < .seconds(10))
                }
            }
        }
    }

    @Test func `bodies are decompressed only while little of what was decompressed is unsettled`() async throws {
        let packed = try await CompressionAlgorithm.gzip.compress([UInt8](repeating: 0x20, count: 600))
        let deliveries = (1...24).map { number in
            Delivery(body: packed, compression: "application/x-gzip", token: Delivery.Token(tag: number))
        }
        let handed = EventRecorder<Delivery>()
        let unpacker = Unpacker(limit: 1_000, awaitsSettling: true) { handed.record($0) }
        unpacker.receive(deliveries)
        for settled in 0..<deliveries.count {
            let count = min(settled + 2, deliveries.count)
            let arrived = try await handed.first(count)
            #expect(arrived.map(\.token.tag) == (1...UInt64(count)).map(\.self))
            #expect(arrived[settled].body.count == 600)
            if settled < 3 { try await Task.sleep(for: .milliseconds(50)) }
            #expect(handed.events.count == count)
            unpacker.settled([arrived[settled]])
        }
        await unpacker.close()
        // Nobody settles what is not acknowledged.
        let replies = EventRecorder<Delivery>()
        let free = Unpacker(limit: 1_000, awaitsSettling: false) { replies.record($0) }
        free.receive(deliveries)
        #expect(try await replies.first(24).count == 24)
        await free.close()
    }

    // MARK: Support

    /// Lends a server of topic `packed`, a channel to publish at it, and the answers to ``replyQueue``.
    private func withServer(
        _ options: String = "",
        _ body: @escaping @Sendable (AMQPChannel, EventRecorder<AMQPDelivery>) async throws -> Void
    ) async throws {
        try await Place.with { place in
            try await place.withTransport(options) { transport in
                let target = Target.topic("packed", server: "a")
                try await withRPCServer(on: transport, target: target, endpoints: [Self.endpoint]) { _ in
                    try await place.withChannel { channel in
                        let answers = EventRecorder<AMQPDelivery>()
                        try await channel.declareQueue(Self.replyQueue)
                        try await channel.consume(queue: Self.replyQueue, noAck: true) { answers.record($0) }
                        try await body(channel, answers)
                    }
                }
            }
        }
    }

    private func publish(_ body: [UInt8], _ properties: AMQPProperties, to channel: AMQPChannel) async throws {
        let message = AMQPMessage(properties: properties, body: body)
        try await channel.publish(message, exchange: "", routingKey: "packed", mandatory: true)
    }

    private static func request(_ value: String) -> [UInt8] {
        let id = UUID().uuidString
        let text = """
            {"method": "echo", "args": {"value": "\(value)"}, "_msg_id": "m", "_reply_q": "\(self.replyQueue)",
             "_unique_id": "\(id)"}
            """
        return Array(text.utf8)
    }

    private func payload(_ body: [UInt8]) throws -> JSONValue {
        let envelope = try JSONValue(parsing: body)
        return try JSONValue(parsing: envelope["oslo.message"]?.stringValue ?? "")
    }
}
