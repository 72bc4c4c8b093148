import AMQPClient
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What the broker refuses.
@Suite struct RefusalTests {
    @Test(.timeLimit(.minutes(3)))
    func `a reply queue that is refused again and again costs no channels`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            try await broker.request(
                "PUT",
                "permissions/\(virtualHost)/\(broker.user)",
                body: #"{"configure": "^$", "write": ".*", "read": ".*"}"#
            )
            var configuration = try RabbitMQConfiguration(url: broker.url(virtualHost: virtualHost, scheme: "rabbit"))
            configuration.connection.channelMax = 4
            let transport = RabbitMQTransport(configuration)
            for _ in 1...6 {
                let error = await #expect(throws: RPCError.self) {
                    _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                }
                #expect((error?.cause as? AMQPError)?.code == .accessRefused)
            }
            await transport.close()
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `a queue that exists with other arguments is refused by the name of what differs`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            try await broker.request(
                "PUT",
                "queues/\(virtualHost)/wt",
                body: #"{"durable": false, "auto_delete": false, "arguments": {"x-max-length": 5}}"#
            )
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: broker.url(virtualHost: virtualHost, scheme: "rabbit"))
            )
            let error = await #expect(throws: RPCError.self) {
                _ = try await transport.listen(on: .server(.topic("wt", server: "h1")), prefetch: 1) { _ in }
            }
            #expect(error?.message.contains("x-max-length") == true, "\(error?.message ?? "")")
            await transport.close()
        }
    }
}
