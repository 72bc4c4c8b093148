import Messaging
import MessagingRabbitMQ
import Testing

/// A real oslo.messaging server in the place of cinder's scheduler.
@Suite(.timeLimit(.minutes(1))) struct SchedulerCastTests {
    @Test func `a capability report that is fanned out reaches a Python scheduler`() async throws {
        let topic = InteropEnvironment.uniqueTopic("scheduler")
        try await withPythonPeer("scheduler.py", ["--topic", topic]) { scheduler in
            try await withTransport { transport in
                let client = RPCClient(transport, target: .topic(topic)).prepare { $0.version = "3.0" }
                try await client.fanout(
                    "update_service_capabilities",
                    ["service_name": "volume", "host": "node-1", "capabilities": ["free_capacity_gb": 12.5]],
                    context: .admin()
                )
            }
            let report = try await scheduler.next()
            #expect(report["method"] == "update_service_capabilities")
            #expect(report["service_name"] == "volume")
            #expect(report["host"] == "node-1")
            #expect(report["capabilities"] == ["free_capacity_gb": 12.5])
            #expect(report["context"]?["is_admin"] == true)
        }
    }
}
