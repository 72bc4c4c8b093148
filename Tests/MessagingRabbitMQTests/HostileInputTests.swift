import AMQPClient
import Logging
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// What anybody with access to the broker may publish to a server's queue: it answers what can be answered, and goes
/// on.
@Suite struct HostileInputTests {
    @Test(.timeLimit(.minutes(3)))
    func `a server outlives bad properties, garbage headers and a body of 50 MiB`() async throws {
        try await self.withServer { channel, client in
            let request = #"{"method": "length", "args": {"text": "x"}, "_unique_id": "ID"}"#
            for (number, properties) in Self.badProperties.enumerated() {
                let body = Array(request.replacing("ID", with: "\(number)").utf8)
                try await channel.publish(
                    AMQPMessage(properties: properties, body: body),
                    exchange: "",
                    routingKey: "hostile",
                    mandatory: true
                )
            }
            for size in [0, 1, 50 << 20] {
                let garbage = [UInt8](repeating: 0xFF, count: size)
                try await channel.publish(
                    AMQPMessage(properties: Self.json, body: garbage),
                    exchange: "",
                    routingKey: "hostile",
                    mandatory: true,
                    deadline: .now + .seconds(60)
                )
            }
            #expect(try await client.call("length", ["text": "abc"], timeout: .seconds(60)) == 3)
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `a request of 50 MiB is served`() async throws {
        try await self.withServer { _, client in
            let text = String(repeating: "0123456789abcdef", count: (50 << 20) / 16)
            let length = try await client.call("length", ["text": .string(text)], timeout: .seconds(100))
            #expect(length == .integer(text.utf8.count))
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `callers whose reply queue has vanished hold nobody up`() async throws {
        try await self.withServer { channel, client in
            for number in 1...200 {
                let body = """
                    {"method": "length", "args": {"text": "x"}, "_msg_id": "m\(number)", "_reply_q": "reply_vanished"}
                    """
                try await channel.publish(
                    AMQPMessage(properties: Self.json, body: Array(body.utf8)),
                    exchange: "",
                    routingKey: "hostile",
                    mandatory: true
                )
            }
            #expect(try await client.call("length", ["text": "abc"], timeout: .seconds(20)) == 3)
        }
    }

    private static var json: AMQPProperties {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        return properties
    }

    /// Wire contract 3.1: all of these are refused, or carried out as far as they are harmless.
    private static var badProperties: [AMQPProperties] {
        func changed(_ change: (inout AMQPProperties) -> Void) -> AMQPProperties {
            var properties = json
            change(&properties)
            return properties
        }
        return [
            AMQPProperties(),
            changed { $0.contentType = "text/plain" },
            changed { $0.contentType = "\u{0}\u{1F4A3}" },
            changed { $0.contentEncoding = "klingon" },
            changed { $0.headers = ["compression": "application/x-gzip"] },
            changed { $0.headers = ["compression": .bytes([0, 255, 0])] },
            changed { $0.headers = ["compression": .table(["a": .array([.void, .double(1.5)])])] },
            changed { properties in
                var deep = AMQPValue.void
                for _ in 0..<60 { deep = .array([deep]) }
                properties.headers = ["\u{7F}": deep, String(repeating: "k", count: 128): .timestamp(.max)]
            },
            changed { $0.expiration = .seconds(3) },
            changed {
                $0.priority = 255
                $0.replyTo = "nowhere"
                $0.correlationID = ""
                $0.timestamp = .max
            },
        ]
    }

    private func withServer(_ body: @Sendable (AMQPChannel, RPCClient) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: broker.url(virtualHost: virtualHost, scheme: "rabbit"))
            )
            let connection = AMQPConnection(
                try AMQPConfiguration(url: broker.url(virtualHost: virtualHost)),
                logger: Logger(label: "hostile")
            )
            try await connection.open()
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let endpoint = RPCEndpoint {
                RPCHandler("length") { _, arguments in .integer(arguments["text"]?.stringValue?.utf8.count ?? -1) }
            }
            do {
                try await withRPCServer(
                    on: transport,
                    target: .topic("hostile", server: "a"),
                    endpoints: [endpoint]
                ) { _ in
                    try await body(channel, RPCClient(transport, target: .topic("hostile")))
                }
            } catch {
                await connection.close()
                await transport.close()
                throw error
            }
            await connection.close()
            await transport.close()
        }
    }
}
