import AMQPClient
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Wire contract 2.1, `rabbit_login_method=EXTERNAL`, and 5.7: the client's certificate says who it is.
@Suite(.timeLimit(.minutes(3))) struct ExternalLogInTests {
    @Test func `wire contract 2.1, 5.7: a client certificate logs in where the broker knows its user`() async throws {
        try await PrivateNode.with(["--client-certificates"]) { node in
            let port = try #require(try node.variable("AMQPS_URL").split(separator: ":").last?.prefix { $0 != "/" })
            let files = "\(node.directory)/tls"
            let options =
                "ssl=1&ssl_ca_file=\(files)/ca.pem&ssl_cert_file=\(files)/client.pem&ssl_key_file=\(files)/client.key"
                + "&rabbit_login_method=EXTERNAL"
            let configuration = try RabbitMQConfiguration(url: "rabbit://localhost:\(port)/?\(options)")
            // The broker knows no such user yet.
            let stranger = RabbitMQTransport(configuration)
            let error = await #expect(throws: RPCError.self) { try await stranger.open() }
            #expect(error?.code == .unreachable)
            #expect((error?.cause as? AMQPError)?.code == .authenticationRefused, "\(error as Any)")
            await stranger.close()
            try await node.control("add_user", "steward-client", "never used")
            try await node.control("set_permissions", "steward-client", ".*", ".*", ".*")
            let transport = RabbitMQTransport(configuration)
            let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
            try await withRPCServer(on: transport, target: .topic("wt", server: "a"), endpoints: [endpoint]) { _ in
                // The broker would close the channel if a message named a user that is not the certificate's.
                let client = RPCClient(transport, target: .topic("wt"))
                let answer = try await client.call("echo", ["x": 1], timeout: .seconds(20))
                #expect(answer == ["x": 1])
            }
            await transport.close()
        }
    }
}
