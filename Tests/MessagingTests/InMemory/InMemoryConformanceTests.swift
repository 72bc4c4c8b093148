import Messaging
import MessagingTesting
import Testing

@Suite struct InMemoryConformanceTests {
    @Test(.timeLimit(.minutes(5)), arguments: TransportConformance.checks)
    func `the in-memory transport conforms`(_ check: TransportConformance.Check) async throws {
        try await check.run(on: InMemoryHarness())
    }
}

private struct InMemoryHarness: TransportConformance.Harness {
    let broker = InMemoryBroker()

    func makeTransport() async throws -> any Transport { InMemoryTransport(self.broker) }
    func deleteQueue(_ name: String) async throws { self.broker.deleteQueue(name) }
    func interrupt(_ transport: any Transport) async throws { (transport as? InMemoryTransport)?.interrupt() }
    func setBlocked(_ isBlocked: Bool) async throws { self.broker.setBlocked(isBlocked) }
    func consumersByQueue() async throws -> [String: Int] {
        Dictionary(uniqueKeysWithValues: self.broker.queueNames.map { ($0, self.broker.consumers(of: $0) ?? 0) })
    }
    func close() async {}
}
