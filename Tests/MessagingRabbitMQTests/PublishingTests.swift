import AMQPClient
import Logging
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// Wire contract 2.2: what each message looks like on the wire, seen by a plain AMQP consumer.
@Suite struct PublishingTests {
    @Test(.timeLimit(.minutes(3)))
    func `wire contract 2.2 and 3.2: a call has the properties, the expiration and the payload of oslo's`() async throws
    {
        try await self.withSpy { spy, transport in
            let client = RPCClient(transport, target: .topic("wt", server: "h1"))
            let context = RPCContext(["user": "u1"])
            let watched = client.prepare { options in
                options.callMonitorTimeout = .seconds(1)
                options.version = "2.1"
            }
            let delivery = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let limit = Duration.milliseconds(15_500)
                    _ = try await watched.call(
                        "where",
                        ["x": "é"],
                        namespace: "alpha",
                        context: context,
                        timeout: limit
                    )
                }
                // Nobody answers the call; what was sent is all that is looked at.
                let delivery = try await spy.first(1)[0]
                group.cancelAll()
                return delivery
            }
            #expect(delivery.exchange == "openstack")
            #expect(delivery.routingKey == "wt.h1")
            let properties = delivery.message.properties
            #expect(properties.contentType == "application/json")
            #expect(properties.contentEncoding == "utf-8")
            #expect(properties.deliveryMode == .persistent)
            #expect(properties.priority == 0)
            // Beside oslo's: what tells our servers that the caller understands more, and who it is.
            #expect(properties.headers ?? [:] == ["steward-caller": "1"])
            #expect(properties.userID == "guest")
            #expect(properties.expiration == .milliseconds(15_500))
            #expect(properties.messageID == nil && properties.replyTo == nil && properties.correlationID == nil)
            let payload = try self.payload(of: delivery)
            #expect(payload["method"] == "where")
            #expect(payload["args"] == ["x": "é"])
            #expect(payload["namespace"] == "alpha")
            #expect(payload["version"] == "2.1")
            #expect(payload["_timeout"] == 1)
            #expect(payload["_context_user"] == "u1")
            for key in ["_msg_id", "_unique_id"] {
                #expect(payload[key]?.stringValue?.wholeMatch(of: /[0-9a-f]{32}/) != nil, "\(key)")
            }
            #expect(payload["_reply_q"]?.stringValue?.wholeMatch(of: /reply_[0-9a-f]{32}/) != nil)
            #expect(payload.objectValue?.count == 9)
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `wire contract 2.2: casts expire never, and a fanout has its own exchange and an empty key`() async throws {
        try await self.withSpy { spy, transport in
            let client = RPCClient(transport, target: .topic("wt"))
            try await client.on(host: "h1").cast("note", ["n": 1])
            try await client.fanout("note", ["n": 2])
            let deliveries = try await spy.first(2)
            #expect(deliveries.map(\.exchange) == ["openstack", "wt_fanout"])
            #expect(deliveries.map(\.routingKey) == ["wt.h1", ""])
            for delivery in deliveries {
                #expect(delivery.message.properties.expiration == nil)
                let payload = try self.payload(of: delivery)
                #expect(Set(payload.objectValue?.keys.map { $0 } ?? []) == ["method", "args", "_unique_id"])
            }
        }
    }

    /// A consumer on the queues of host `h1` that answers nothing.
    private func withSpy(
        _ body: (EventRecorder<AMQPDelivery>, RabbitMQTransport) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: broker.url(virtualHost: virtualHost, scheme: "rabbit"))
            )
            let connection = AMQPConnection(
                try AMQPConfiguration(url: broker.url(virtualHost: virtualHost)),
                logger: Logger(label: "spy")
            )
            try await connection.open()
            let channel = try await connection.openChannel()
            let spied = EventRecorder<AMQPDelivery>()
            try await channel.declareExchange("openstack", type: .topic)
            try await channel.declareExchange("wt_fanout", type: .fanout, autoDelete: true)
            try await channel.declareQueue("spy")
            for key in ["wt", "wt.h1"] { try await channel.bindQueue("spy", to: "openstack", routingKey: key) }
            try await channel.bindQueue("spy", to: "wt_fanout")
            try await channel.consume(queue: "spy", noAck: true) { spied.record($0) }
            do {
                try await body(spied, transport)
            } catch {
                await transport.close()
                await connection.close()
                throw error
            }
            await transport.close()
            await connection.close()
        }
    }

    private func payload(of delivery: AMQPDelivery) throws -> JSONValue {
        let envelope = try JSONValue(parsing: delivery.message.body)
        #expect(envelope["oslo.version"] == "2.0")
        return try JSONValue(parsing: envelope["oslo.message"]?.stringValue ?? "")
    }
}
