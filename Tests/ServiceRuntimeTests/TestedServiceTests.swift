import Messaging
import MessagingTesting
import ServiceRuntime
import Testing

// The last example of the guide "Test a manager without a broker" of MessagingTesting.

private struct TickingManager: Manager {
    let host: String
    let ticks = EventRecorder<Void>()

    var endpoint: RPCEndpoint { RPCEndpoint {} }
    var periodicTasks: [PeriodicTask] {
        PeriodicTask("tick", every: .seconds(20), jitter: 0) { _ in self.ticks.record(()) }
    }
}

@Suite(.timeLimit(.minutes(3)))
struct TestedServiceTests {
    @Test func `ten minutes of a service are played in a moment`() async throws {
        let test = TestService(topic: "greeting", host: "node-1")
        let manager = TickingManager(host: test.host)
        let service = ManagerService(manager, topic: test.topic, transport: test.transport, clock: test.clock)
        try await test.clock.run {
            try await withManagerService(service) { _ in
                await test.clock.advance(by: .seconds(600))
                #expect(manager.ticks.events.count == 30)
            }
        }
    }
}
