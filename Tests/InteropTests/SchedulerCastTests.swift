import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import Testing

/// A real oslo.messaging server in the place of cinder's scheduler hears of our managers.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SchedulerCastTests {
    private struct StorageManager: SchedulerDependentManager {
        let host = "node-ü"
        let serviceName = "volume"
        let serviceCapabilities = ServiceCapabilities()

        var endpoint: RPCEndpoint { RPCEndpoint(version: "3.0") {} }
    }

    /// Runs a manager beside a Python scheduler.
    private func withManager(
        reportInterval: Duration,
        _ body: (_ manager: StorageManager, _ topic: String, _ scheduler: PythonPeer) async throws -> Void
    ) async throws {
        let topic = InteropEnvironment.uniqueTopic("volume")
        let schedulers = InteropEnvironment.uniqueTopic("scheduler")
        let configuration = try ServiceConfiguration(
            overrides: ["scheduler_topic": schedulers, "report_interval": "\(reportInterval / .seconds(1))"],
            environment: [:]
        )
        let manager = StorageManager()
        try await withPythonPeer("scheduler.py", ["--topic", schedulers]) { scheduler in
            try await withTransport { transport in
                let service = ManagerService(manager, topic: topic, transport: transport, configuration: configuration)
                try await withManagerService(service) { _ in try await body(manager, topic, scheduler) }
            }
        }
    }

    /// What a report says beside its place, which every report has.
    private func capabilities(_ report: JSONValue) -> JSONValue? {
        guard var members = report["capabilities"]?.objectValue, ReportOrder(members) != nil else { return nil }
        members[ReportOrder.member] = nil
        return .object(members)
    }

    @Test func `a manager's capabilities reach a Python scheduler at once and whenever they change`() async throws {
        try await self.withManager(reportInterval: .seconds(600)) { manager, _, scheduler in
            manager.updateServiceCapabilities(["free_capacity_gb": 12.5, "pools": [["name": "größer"]]])
            let report = try await scheduler.next()
            #expect(report["method"] == "update_service_capabilities")
            #expect(report["service_name"] == "volume")
            #expect(report["host"] == "node-ü")
            #expect(self.capabilities(report) == ["free_capacity_gb": 12.5, "pools": [["name": "größer"]]])
            #expect(report["context"]?["is_admin"] == true)
            manager.updateServiceCapabilities(["free_capacity_gb": 3])
            var change = try await scheduler.next()
            // After a fault the last one comes once more.
            while self.capabilities(change) == self.capabilities(report) { change = try await scheduler.next() }
            #expect(self.capabilities(change) == ["free_capacity_gb": 3])
        }
    }

    @Test func `capabilities are repeated in each interval`() async throws {
        try await self.withManager(reportInterval: .milliseconds(500)) { manager, _, scheduler in
            manager.updateServiceCapabilities(["free_capacity_gb": 1])
            for _ in 0..<3 {
                let report = try await scheduler.next()
                #expect(self.capabilities(report) == ["free_capacity_gb": 1])
            }
        }
    }

    @Test func `a Python scheduler that starts asks for the capabilities and gets them`() async throws {
        try await self.withManager(reportInterval: .seconds(600)) { manager, topic, scheduler in
            manager.updateServiceCapabilities(["free_capacity_gb": 1])
            _ = try await scheduler.next()
            // What cinder's scheduler sends when it starts (wire contract 7.2).
            try await withPythonPeer("client.py") { client in
                let request: JSONValue = [
                    "op": "fanout", "topic": .string(topic), "version": "3.0",
                    "method": "publish_service_capabilities",
                ]
                let answer = try await client.ask(request)
                #expect(answer["result"] == .null)
            }
            let report = try await scheduler.next()
            #expect(self.capabilities(report) == ["free_capacity_gb": 1])
        }
    }
}
