import AMQPClient
import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// Wire contract 2.1 and 2.2: the connections of a process as the broker sees them, and the replies of a server.
@Suite(.timeLimit(.minutes(3))) struct HandshakeTests {
    private struct Connection: Decodable {
        struct Properties: Decodable {
            let product: String
            let connectionName: String
            let capabilities: [String: Bool]

            enum CodingKeys: String, CodingKey {
                case product, capabilities
                case connectionName = "connection_name"
            }
        }
        let mechanism: String
        let heartbeat: Int
        let properties: Properties

        enum CodingKeys: String, CodingKey {
            case mechanism = "auth_mechanism"
            case heartbeat = "timeout"
            case properties = "client_properties"
        }
    }

    @Test(arguments: [("", "PLAIN", 60), ("rabbit_login_method=AMQPLAIN&heartbeat_timeout_threshold=7", "AMQPLAIN", 7)])
    func `wire contract 2.1: connections bear program and process, capabilities, log-in and heartbeat`(
        options: String,
        mechanism: String,
        heartbeat: Int
    ) async throws {
        try await Place.with { place in
            try await place.withTransport(options) { transport in
                let target = Target.topic("wt", server: "a")
                let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
                try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
                    let client = RPCClient(transport, target: .topic("wt"))
                    let answer = try await client.call("echo", ["x": 1], timeout: .seconds(20))
                    #expect(answer == ["x": 1])
                    let program = CommandLine.arguments[0].split(separator: "/").last ?? ""
                    let names = ["consume", "control", "publish"].map { "\(program):\(getpid()):\($0)" }
                    // One to consume and one to send, as oslo has them, and a third one for questions about the worker.
                    var found: [Connection] = []
                    for _ in 1...100 where !Set(found.map(\.properties.connectionName)).isSuperset(of: names) {
                        try await Task.sleep(for: .milliseconds(100))
                        let path = "vhosts/\(place.virtualHost)/connections"
                        let data = try await place.broker.request("GET", path)
                        found = try JSONDecoder().decode([Connection].self, from: data)
                    }
                    #expect(found.map(\.properties.connectionName).sorted() == names)
                    for connection in found {
                        #expect(connection.mechanism == mechanism && connection.heartbeat == heartbeat)
                        for name in ["authentication_failure_close", "connection.blocked", "consumer_cancel_notify"] {
                            #expect(connection.properties.capabilities[name] == true)
                        }
                    }
                }
            }
        }
    }

    @Test func `wire contract 2.2: a reply goes to the default exchange and never expires`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                let target = Target.topic("wt", server: "a")
                let endpoint = RPCEndpoint {
                    RPCHandler("good") { _, arguments in arguments }
                    RPCHandler("bad") { _, _ in throw RPCError(.rejected, "no") }
                }
                try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
                    try await place.withChannel { channel in
                        let answers = EventRecorder<AMQPDelivery>()
                        try await channel.declareQueue("answers")
                        try await channel.consume(queue: "answers", noAck: true) { answers.record($0) }
                        for method in ["good", "bad"] {
                            let body = #"{"method": "\#(method)", "_msg_id": "m", "_reply_q": "answers"}"#
                            let message = AMQPMessage(properties: .json(), body: Array(body.utf8))
                            try await channel.publish(message, exchange: "openstack", routingKey: "wt", mandatory: true)
                        }
                        for answer in try await answers.first(2) {
                            #expect(answer.exchange == "" && answer.routingKey == "answers")
                            let properties = answer.message.properties
                            #expect(properties.contentType == "application/json")
                            #expect(properties.contentEncoding == "utf-8")
                            #expect(properties.deliveryMode == .persistent && properties.priority == 0)
                            #expect(properties.expiration == nil && properties.headers ?? [:] == [:])
                            #expect(properties.correlationID == nil && properties.messageID == nil)
                            #expect(properties.replyTo == nil && properties.timestamp == nil && properties.type == nil)
                        }
                    }
                }
            }
        }
    }

    @Test func `wire contract 2.2: an exchange is declared before its first use, once, and again when it is gone`()
        async throws
    {
        try await Place.with { place in
            try await place.withTransport { transport in
                let options = SendOptions(deadline: .now + .seconds(20))
                for _ in 1...2 {
                    for exchange in ["x1", "x2"] {
                        let topic = Destination.topic("wt", exchange: exchange)
                        try await transport.send(Message(body: [1]), to: topic, options: options)
                    }
                    try await place.withChannel { channel in
                        for exchange in ["x1", "x2"] {
                            try await channel.declareExchangePassively(exchange)
                            try await channel.deleteExchange(exchange)
                        }
                    }
                }
            }
        }
    }
}
