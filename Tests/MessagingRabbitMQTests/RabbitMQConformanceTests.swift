import Logging
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

@Suite struct RabbitMQConformanceTests {
    @Test(.timeLimit(.minutes(5)), arguments: TransportConformance.checks.filter { !$0.disturbsBroker })
    func `the RabbitMQ transport conforms`(_ check: TransportConformance.Check) async throws {
        try await self.run(check, on: TestBroker())
    }

    @Test(.timeLimit(.minutes(5)), arguments: TransportConformance.checks.filter(\.disturbsBroker))
    func `it conforms where the whole broker is disturbed`(_ check: TransportConformance.Check) async throws {
        try await PrivateNode.with(["--management"]) { node in
            try await self.run(check, on: TestBroker(environment: node.environment))
        }
    }

    private func run(_ check: TransportConformance.Check, on broker: TestBroker) async throws {
        try await broker.withVirtualHost { virtualHost in
            try await check.run(on: RabbitMQHarness(broker: broker, virtualHost: virtualHost))
        }
    }
}

private final class RabbitMQHarness: TransportConformance.Harness {
    private let broker: TestBroker
    private let virtualHost: String
    private let made = EventRecorder<RabbitMQTransport>()

    init(broker: TestBroker, virtualHost: String) {
        self.broker = broker
        self.virtualHost = virtualHost
    }

    func makeTransport() async throws -> any Transport {
        let url = self.broker.url(virtualHost: self.virtualHost, scheme: "rabbit")
        let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
        self.made.record(transport)
        return transport
    }

    func deleteQueue(_ name: String) async throws {
        try await self.broker.deleteQueue(name, virtualHost: self.virtualHost)
    }

    func interrupt(_ transport: any Transport) async throws {
        // The management API learns of a connection some time after it was made.
        for _ in 1...100 {
            if try await self.broker.closeConnections(virtualHost: self.virtualHost) > 0 { return }
            try await ContinuousClock().sleep(for: .milliseconds(100))
        }
        throw TestBroker.Unavailable(description: "the management API shows no connection of this test")
    }

    func setBlocked(_ isBlocked: Bool) async throws {
        try await self.broker.control("set_vm_memory_high_watermark", isBlocked ? "0" : "0.4")
    }

    func consumersByQueue() async throws -> [String: Int] {
        try await self.broker.consumersByQueue(virtualHost: self.virtualHost)
    }

    func close() async {
        for transport in self.made.events { await transport.close() }
    }
}
