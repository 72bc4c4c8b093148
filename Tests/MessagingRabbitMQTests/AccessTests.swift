import AMQPClient
import Logging
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// A rule about users rests on what the broker verifies.
@Suite struct AccessTests {
    private func request(_ unique: String, context: String = "") -> [UInt8] {
        Array(#"{"method": "guarded", "args": {}, "_unique_id": "\#(unique)"\#(context)}"#.utf8)
    }

    private func properties(userID: String?) -> AMQPProperties {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.userID = userID
        return properties
    }

    @Test(.timeLimit(.minutes(3)))
    func `the sender's log-in decides, and cannot be claimed`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: broker.url(virtualHost: virtualHost, scheme: "rabbit"))
            )
            let connection = AMQPConnection(
                try AMQPConfiguration(url: broker.url(virtualHost: virtualHost)),
                logger: Logger(label: "access")
            )
            try await connection.open()
            let users = EventRecorder<String>()
            let guarded = RPCMethod<Void, String>("guarded", since: "1.0", access: .users([broker.user]))
            let others = RPCMethod<Void, Void>("others", since: "1.0", access: .users(["somebody else"]))
            let endpoint = RPCEndpoint {
                guarded.handled { context in
                    users.record(context.request?.userID ?? "-")
                    return context.request?.userID ?? "-"
                }
                others.handled { _ in users.record("somebody else") }
            }
            try await withRPCServer(
                on: transport,
                target: .topic("guarded", server: "a"),
                endpoints: [endpoint]
            ) { server async throws in
                let client = RPCClient(transport, target: .topic("guarded")).prepare { $0.timeout = .seconds(20) }
                #expect(try await client.call(guarded) == broker.user)
                // The context may say what it likes.
                let forged = RPCContext(["user_id": "somebody else", "user": "somebody else"])
                let denied = await #expect(throws: RPCError.self) { try await client.call(others, context: forged) }
                #expect(denied?.code == .accessDenied)

                // As Python sends: without a user-id, which is not verified and so refused.
                let plain = try await connection.openChannel()
                try await plain.confirmPublishes()
                try await plain.publish(
                    AMQPMessage(properties: self.properties(userID: nil), body: self.request("1")),
                    exchange: "",
                    routingKey: "guarded",
                    mandatory: true
                )
                for _ in 1...500 where server.refusals["access_denied"] != 2 {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(server.refusals["access_denied"] == 2)

                // Another's: the broker does not take it.
                let forging = try await connection.openChannel()
                try await forging.confirmPublishes()
                await #expect(throws: AMQPError.self) {
                    try await forging.publish(
                        AMQPMessage(properties: self.properties(userID: "somebody else"), body: self.request("2")),
                        exchange: "",
                        routingKey: "guarded",
                        mandatory: true
                    )
                }
                #expect(try await client.call(guarded) == broker.user)
                #expect(users.events == [broker.user, broker.user])
            }
            await connection.close()
            await transport.close()
        }
    }
}
