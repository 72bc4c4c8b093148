import AMQPClient
import InMemoryLogging
import Logging
import Messaging
import MessagingTesting
import TestSupport
import Testing

@testable import MessagingRabbitMQ

/// Wire contract 1.3, 2.1, 5.4, 5.5 and 5.7: what each option of a transport URL does.
@Suite(.timeLimit(.minutes(3))) struct OptionTests {
    // MARK: Values

    private func configuration(_ options: String) throws -> RabbitMQConfiguration {
        try RabbitMQConfiguration(url: "rabbit://h/v?\(options)")
    }

    @Test func `wire contract 1.3: quorum overrides durable, and its limits hold for transient queues too`() throws {
        let both = try self.configuration("rabbit_quorum_queue=1&amqp_durable_queues=1&rabbit_quorum_delivery_limit=3")
        #expect(both.queueProfile == .quorum(QueueProfile.QuorumLimits(deliveryLimit: 3)))
        let transient = try self.configuration("rabbit_transient_quorum_queue=1&rabbit_quorum_delivery_limit=3")
        let queue = Topology(configuration: transient).transientQueue("reply_x")
        #expect(queue.arguments["x-delivery-limit"] == 3 && queue.arguments["x-queue-type"] == "quorum")
    }

    @Test func `wire contract 1.3: a stream keeps its casts for the TTL, or for ever`() throws {
        let options = "rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1&rabbit_qos_prefetch_count=5"
        let queue = Topology(configuration: try self.configuration(options + "&rabbit_transient_queues_ttl=60"))
            .fanoutQueue("T")
        #expect(queue.name == "T_fanout" && queue.isDurable && queue.isKept)
        #expect(queue.arguments == ["x-queue-type": "stream", "x-max-age": "60s"])
        let forever = Topology(configuration: try self.configuration(options + "&rabbit_transient_queues_ttl=0"))
            .fanoutQueue("T")
        #expect(forever.arguments == ["x-queue-type": "stream"])
    }

    @Test func `wire contract 2.1: rabbit_login_method chooses the mechanism`() throws {
        #expect(try self.configuration("").connection.mechanism == .plain)
        #expect(try self.configuration("rabbit_login_method=PLAIN").connection.mechanism == .plain)
        #expect(try self.configuration("rabbit_login_method=AMQPLAIN").connection.mechanism == .amqplain)
        #expect(try self.configuration("rabbit_login_method=external").connection.mechanism == .external)
    }

    @Test func `wire contract 5.4: pauses, delay and order of hosts are oslo's where they are set`() throws {
        let defaults = try self.configuration("").connection
        #expect(defaults.backoff == AMQPConfiguration.Backoff() && defaults.reconnectDelay == .zero)
        #expect(defaults.hostOrder == .shuffled)
        let set = try self.configuration(
            "rabbit_retry_interval=2&rabbit_retry_backoff=3&rabbit_interval_max=10&kombu_reconnect_delay=0.5"
                + "&kombu_reconnect_splay=1.5&kombu_failover_strategy=shuffle"
        ).connection
        #expect((0..<4).map { set.backoff.limit(attempt: $0) } == [2, 5, 8, 10].map { .seconds($0) })
        #expect(set.reconnectDelay == .milliseconds(500) && set.reconnectSpread == .milliseconds(1_500))
        #expect(set.hostOrder == .random)
        // What is not set of the three has oslo's value.
        let one = try self.configuration("rabbit_interval_max=4").connection.backoff
        #expect((0..<3).map { one.limit(attempt: $0) } == [1, 3, 4].map { .seconds($0) })
    }

    @Test func `wire contract 5.5: heartbeat threshold and rate`() throws {
        let set = try self.configuration("heartbeat_timeout_threshold=6&heartbeat_rate=3").connection
        #expect(set.heartbeat == .seconds(6) && set.heartbeatRate == 3)
        #expect(try self.configuration("heartbeat_timeout_threshold=0").connection.heartbeat == .zero)
        // One heartbeat in the whole interval would be on the edge of a loss.
        #expect(try self.configuration("heartbeat_rate=1").connection.heartbeatRate == 2)
    }

    @Test func `wire contract 5.7: TLS comes with ssl alone, and its version is a minimum`() throws {
        #expect(try self.configuration("ssl_ca_file=/ca.pem").connection.tls == nil)
        let files = try self.configuration("ssl=1&ssl_ca_file=/ca.pem&ssl_cert_file=/c.pem&ssl_key_file=/k.pem")
        let tls = try #require(files.connection.tls)
        #expect(tls.caFile == "/ca.pem" && tls.certificateFile == "/c.pem" && tls.keyFile == "/k.pem")
        #expect(tls.verifiesPeer && tls.verifiesHostName)
        for version in ["TLSv1", "sslv23", "tlsv1_1", "TLSv1_2"] {
            #expect(try self.configuration("ssl=1&ssl_version=\(version)").connection.tls?.minimumVersion == .tls12)
        }
        #expect(try self.configuration("ssl=1&ssl_version=TLSv1_3").connection.tls?.minimumVersion == .tls13)
    }

    @Test func `wire contract 4.3: kombu_missing_consumer_retry_timeout is how long replies are offered`() async throws
    {
        let configuration = try self.configuration("kombu_missing_consumer_retry_timeout=7")
        #expect(configuration.replyRetryLimit == .seconds(7))
        let none = try self.configuration("kombu_missing_consumer_retry_timeout=0")
        #expect(none.replyRetryLimit == .seconds(1))
        #expect(RabbitMQTransport(configuration).replyRetryLimit == .seconds(7))
        #expect(RabbitMQTransport(try self.configuration("")).replyRetryLimit == nil)
    }

    // MARK: Refusals

    @Test(arguments: [
        ("rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1", "rabbit_qos_prefetch_count"),
        ("rabbit_stream_fanout=1&rabbit_qos_prefetch_count=5", "rabbit_transient_quorum_queue"),
        ("rabbit_quorum_queue=1&rabbit_ha_queues=1", "rabbit_ha_queues"),
        ("rabbit_transient_quorum_queue=1&rabbit_ha_queues=1", "rabbit_ha_queues"),
        ("rabbit_login_method=EXTERNAL", "ssl_cert_file"), ("rabbit_login_method=EXTERNAL&ssl=1", "ssl_cert_file"),
    ])
    func `wire contract 1.3: combinations that cannot be are refused before anything is connected`(
        options: String,
        named: String
    ) async throws {
        // Nobody listens there: it is the configuration that is at fault, and at once.
        let url = "rabbit://127.0.0.1:1/v?\(options)"
        let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
        let error = await #expect(throws: RPCError.self) { try await transport.open() }
        #expect(error?.code == .misconfigured && error?.message.contains(named) == true, "\(error as Any)")
        let again = await #expect(throws: RPCError.self) {
            _ = try await transport.listen(on: .server(.topic("T", server: "S")), prefetch: 1) { _ in }
        }
        #expect(again?.code == .misconfigured)
        await transport.close()
    }

    // MARK: What the broker sees

    @Test func `wire contract 1.3: enable_cancel_on_failover is an argument of every consumer`() async throws {
        struct Consumer: Decodable {
            let arguments: [String: Bool]
        }
        try await Place.with { place in
            try await place.withTransport("enable_cancel_on_failover=true") { transport in
                let listener = try await transport.listen(on: .server(.topic("T", server: "S")), prefetch: 1) { _ in }
                _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                var consumers: [Consumer] = []
                for _ in 1...100 where consumers.count < 4 {
                    try await Task.sleep(for: .milliseconds(100))
                    consumers = try await place.list("consumers", as: Consumer.self)
                }
                #expect(consumers.map(\.arguments) == Array(repeating: ["x-cancel-on-ha-failover": true], count: 4))
                await listener.close()
            }
        }
    }

    @Test func `wire contract 1.3: without direct_mandatory_flag a reply to nobody is no error`() async throws {
        try await Place.with { place in
            let message = Message(body: Array("{}".utf8))
            let options = SendOptions(isMandatory: true, deadline: .now + .seconds(20))
            try await place.withTransport("direct_mandatory_flag=false") { transport in
                try await transport.send(message, to: .queue("nobody"), options: options)
                // Requests keep theirs.
                await #expect(throws: RPCError.self) {
                    try await transport.send(message, to: .topic("nobody", exchange: nil), options: options)
                }
            }
            try await place.withTransport { transport in
                let error = await #expect(throws: RPCError.self) {
                    try await transport.send(message, to: .queue("nobody"), options: options)
                }
                #expect(error?.code == .noSuchServer)
            }
        }
    }

    @Test func `options without effect are logged once, by their names and without their values`() async throws {
        let handler = InMemoryLogHandler()
        let logger = Logger(label: "options") { _ in handler }
        try await Place.with { place in
            let options = "rpc_conn_pool_size=17&conn_pool_ttl=4711"
            try await place.withTransport(options, logger: logger) { transport in
                try await transport.open()
                _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
            }
        }
        let lines = handler.entries.map { "\($0.message) \($0.metadata)" }.filter { $0.contains("rpc_conn_pool_size") }
        #expect(lines.count == 1)
        #expect(lines.first?.contains("conn_pool_ttl") == true && lines.first?.contains("4711") == false)
    }
}
