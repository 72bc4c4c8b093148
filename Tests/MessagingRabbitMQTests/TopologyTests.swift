import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Wire contract 1.1 and 1.3: what a server and a client declare is, object for object, what oslo.messaging declared
/// under the same options when it was captured.
@Suite struct TopologyTests {
    struct Capture: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let options: String
        let running: BrokerObjects

        var testDescription: String { self.name }

        static let all: [Capture] = {
            do {
                let url = Bundle.module.bundleURL.appendingPathComponent("Fixtures/topology.json")
                return try JSONDecoder().decode([Capture].self, from: Data(contentsOf: url))
            } catch {
                Issue.record(error, "the captured topology cannot be read")
                return []
            }
        }()
    }

    /// What the management API tells of a virtual host, reduced to what the contract speaks of.
    struct BrokerObjects: Decodable, Equatable {
        struct Queue: Decodable, Hashable {
            var name: String
            let durable: Bool
            let autoDelete: Bool
            let type: String
            let arguments: [String: Argument]

            enum CodingKeys: String, CodingKey {
                case name, durable, type, arguments
                case autoDelete = "auto_delete"
            }
        }
        struct Exchange: Decodable, Hashable {
            let name: String
            let type: String
            let durable: Bool
            let autoDelete: Bool

            enum CodingKeys: String, CodingKey {
                case name, type, durable
                case autoDelete = "auto_delete"
            }
        }
        struct Binding: Decodable, Hashable {
            let source: String
            var destination: String
            var routingKey: String

            enum CodingKeys: String, CodingKey {
                case source, destination
                case routingKey = "routing_key"
            }
        }
        enum Argument: Decodable, Hashable {
            case number(Int)
            case text(String)

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                do {
                    self = .number(try container.decode(Int.self))
                } catch {
                    self = .text(try container.decode(String.self))
                }
            }
        }

        var queues: Set<Queue>
        var exchanges: Set<Exchange>
        var bindings: Set<Binding>

        /// The same with the random digits and the numbers of names made alike.
        func normalized() -> BrokerObjects {
            func plain(_ name: String) -> String {
                name.replacing(/[0-9a-f]{32}/, with: "ID").replacing(/:[0-9]+$/, with: ":N")
            }
            var copy = self
            copy.queues = Set(
                self.queues.map { queue in
                    var queue = queue
                    queue.name = plain(queue.name)
                    return queue
                }
            )
            copy.exchanges = self.exchanges.filter { !$0.name.hasPrefix("amq.") && !$0.name.isEmpty }
            copy.bindings = Set(
                self.bindings.filter { !$0.source.isEmpty }.map { binding in
                    var binding = binding
                    binding.destination = plain(binding.destination)
                    binding.routingKey = plain(binding.routingKey)
                    return binding
                }
            )
            return copy
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: Capture.all)
    func `wire contract 1.1, 1.3: a server and a client declare what oslo.messaging declares`(
        _ capture: Capture
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let url = broker.url(virtualHost: virtualHost, scheme: "rabbit")
            let options = capture.options.isEmpty ? "" : "?\(capture.options)"
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url + options))
            let listener = try await transport.listen(on: .server(.topic("wt", server: "h1")), prefetch: 10) { _ in }
            _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
            let found = try await self.objects(of: broker, virtualHost: virtualHost)
            #expect(found.normalized() == capture.running.normalized())
            await listener.close()
            // Wire contract 1.4: the fanout queue goes with its server, unless it is shared or has a stable name; the
            // others stay.
            let left = try await self.objects(of: broker, virtualHost: virtualHost)
            let isKept = ["use_queue_manager", "rabbit_stream_fanout"].contains { capture.options.contains($0) }
            #expect(left.queues.contains { $0.name.hasPrefix("wt_fanout") } == isKept)
            #expect(left.queues.contains { $0.name == "wt" } == !capture.options.contains("amqp_auto_delete"))
            await transport.close()
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: [("", "?amqp_durable_queues=true"), ("?amqp_durable_queues=true", "")])
    func `wire contract 1.3: what a peer made with another durability is adopted`(
        theirs: String,
        ours: String
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let url = broker.url(virtualHost: virtualHost, scheme: "rabbit")
            let first = RabbitMQTransport(try RabbitMQConfiguration(url: url + theirs))
            let second = RabbitMQTransport(try RabbitMQConfiguration(url: url + ours))
            let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
            try await withRPCServer(on: first, target: .topic("wt", server: "h1"), endpoints: [endpoint]) { _ in
                try await withRPCServer(on: second, target: .topic("wt", server: "h2"), endpoints: [endpoint]) { _ in
                    for transport in [first, second] {
                        for host in ["h1", "h2"] {
                            let client = RPCClient(transport, target: .topic("wt", server: host))
                            let reply = try await client.call("echo", ["x": 1], timeout: .seconds(20))
                            #expect(reply == ["x": 1])
                        }
                    }
                }
            }
            await first.close()
            await second.close()
        }
    }

    private func objects(of broker: TestBroker, virtualHost: String) async throws -> BrokerObjects {
        let decoder = JSONDecoder()
        return BrokerObjects(
            queues: try decoder.decode(
                Set<BrokerObjects.Queue>.self,
                from: try await broker.request("GET", "queues/\(virtualHost)")
            ),
            exchanges: try decoder.decode(
                Set<BrokerObjects.Exchange>.self,
                from: try await broker.request("GET", "exchanges/\(virtualHost)")
            ),
            bindings: try decoder.decode(
                Set<BrokerObjects.Binding>.self,
                from: try await broker.request("GET", "bindings/\(virtualHost)")
            )
        )
    }
}
