import AMQPClient
import FaultHarness
import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceHealth
import ServiceRuntime
import TestSupport
import Testing

/// A worker that sends itself messages through its own queues.
@Suite(.serialized, .timeLimit(.minutes(2))) struct SelfProbeTests {
    private static let echo = RPCMethod<[String: String], String>("echo", since: "1.0")
    private static let wait = RPCMethod<[String: Int], Int>("wait", since: "1.0")

    private static var endpoint: RPCEndpoint {
        RPCEndpoint {
            self.echo.handled { _, arguments in arguments["text"] ?? "" }
            self.wait.handled { _, arguments in
                let milliseconds = arguments["milliseconds"] ?? 0
                try await Task.sleep(for: .milliseconds(milliseconds))
                return milliseconds
            }
        }
    }

    private static func configuration(every interval: Duration = .milliseconds(200)) -> RPCServer.Configuration {
        var configuration = RPCServer.Configuration()
        configuration.selfProbeInterval = interval
        return configuration
    }

    private static func returned(_ server: RPCServer) -> [Int] { server.selfProbes.map(\.returned) }

    @Test func `both queues are probed, nothing is counted as work, and nothing is left in flight`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: transport,
            target: .topic("probed", server: "node"),
            endpoints: [Self.endpoint],
            configuration: Self.configuration()
        ) { server in
            try await until(within: .seconds(10), "\(server.selfProbes)") {
                server.selfProbes.count == 2 && Self.returned(server).allSatisfy { $0 >= 3 }
            }
            #expect(server.selfProbes.map(\.path) == ["host", "fanout"])
            #expect(server.selfProbes.first?.queue == "probed.node")
            #expect(server.selfProbes.allSatisfy { $0.roundTrip != nil && $0.silence == nil })
            #expect(server.readiness == .ready)
            let control = RPCClient(transport, target: Target.topic("probed", server: "node").control)
            let statistics = try await control.call(ControlRPC.stats)
            #expect(statistics.methods.allSatisfy { $0.calls == 0 })
            #expect(statistics.refusals.values.reduce(0, +) == 0)
        }
    }

    @Test func `a probe reaches no other host, and namesakes answer for each other`() async throws {
        let broker = InMemoryBroker()
        let transports = (0..<3).map { _ in InMemoryTransport(broker) }
        let servers = [("node", 0), ("node", 1), ("other", 2)].map { host, index in
            RPCServer(
                transports[index],
                target: .topic("probed", server: host),
                endpoints: [Self.endpoint],
                configuration: index == 2 ? RPCServer.Configuration() : Self.configuration()
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for server in servers { group.addTask { try await server.run() } }
            try await until(within: .seconds(20), "\(servers.map(\.selfProbes))") {
                servers[0...1].allSatisfy { $0.selfProbes.count == 2 && Self.returned($0).allSatisfy { $0 >= 5 } }
            }
            for server in servers[0...1] {
                #expect(server.readiness == .ready)
                #expect(server.selfProbes.allSatisfy { $0.sent - $0.returned <= 1 }, "\(server.selfProbes)")
            }
            #expect(servers[2].selfProbes.isEmpty)
            for server in servers { server.stop() }
            try await group.waitForAll()
        }
    }

    @Test func `a server whose handlers are all busy is not taken for deaf`() async throws {
        let transport = InMemoryTransport(InMemoryBroker())
        var configuration = Self.configuration(every: .milliseconds(100))
        configuration.concurrency = 1
        try await withRPCServer(
            on: transport,
            target: .topic("busy", server: "node"),
            endpoints: [Self.endpoint],
            configuration: configuration
        ) { server in
            let client = RPCClient(transport, target: .topic("busy", server: "node"))
            async let answer = client.call(Self.wait, ["milliseconds": 3500])
            let start = ContinuousClock.now
            while .now - start < .seconds(3) {
                #expect(server.readiness == .ready)
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await answer == 3500)
        }
    }

    @Test func `a host queue that no message reaches any more makes the worker not ready, with the reason`()
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let url = broker.url(virtualHost: virtualHost, scheme: "rabbit")
            var settings = try FaultService.configuration(url)
            // Else the binding would be back before anything is missed.
            settings.topologyCheckInterval = .seconds(3600)
            let transport = RabbitMQTransport(settings)
            try await withRPCServer(
                on: transport,
                target: .topic("probed", server: "node"),
                endpoints: [Self.endpoint],
                configuration: Self.configuration()
            ) { server in
                try await until(within: .seconds(10), "\(server.selfProbes)") {
                    server.selfProbes.count == 2 && Self.returned(server).allSatisfy { $0 > 0 }
                }
                let binding = "bindings/\(virtualHost)/e/openstack/q/probed.node"
                try await broker.request("DELETE", "\(binding)/probed.node")
                let noticed = try await until(within: .seconds(20), "\(server.readiness)") { !server.readiness.isReady }
                // Two intervals and 2 s, and not for one message that is lost.
                #expect(noticed > .seconds(2))
                #expect(
                    server.readiness.reasons.first?.hasPrefix(
                        "the self-probe through probed.node has not come back for 2 s"
                    ) == true,
                    "\(server.readiness)"
                )
                try await broker.request("POST", binding, body: #"{"routing_key": "probed.node"}"#)
                let back = try await until(within: .seconds(20), "\(server.readiness)") { server.readiness == .ready }
                #expect(back < .seconds(5))
            }
            await transport.close()
        }
    }

    @Test func `a queue that is deleted under the worker makes readiness dip, and it returns`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let url = broker.url(virtualHost: virtualHost, scheme: "rabbit")
            let transport = RabbitMQTransport(try FaultService.configuration(url))
            let service = ManagerService(
                ProbedManager(),
                topic: "probed",
                transport: transport,
                logger: Logger(label: "probed")
            )
            let monitor = HealthMonitor()
            try monitor.begin(on: ("127.0.0.1", 0), livenessLimit: .seconds(30), logger: Logger(label: "health"))
            monitor.watch([service], on: transport)
            let port = try #require(monitor.port)
            #expect(await get(port, "/readyz")?.status == 503)
            try await withManagerService(service) { service in
                #expect(await get(port, "/readyz")?.status == 200)
                let seen = Collector<Answer?>()
                // Asked at the moment of the change: what follows takes milliseconds.
                transport.onReadinessChange { _ in seen.add(getNow(port, "/readyz")) }
                for queue in ["probed.node", "probed"] {
                    let before = seen.all.count
                    try await broker.deleteQueue(queue, virtualHost: virtualHost)
                    try await until(within: .seconds(10), "\(seen.all)") {
                        let new = seen.all.dropFirst(before)
                        return new.contains { $0?.status == 503 } && new.last??.status == 200
                    }
                    let reasons = seen.all.dropFirst(before).compactMap { $0?.json?["reasons"] as? [String] }.flatMap(
                        \.self
                    )
                    #expect(reasons.contains { $0.contains("is being restored") }, "\(reasons)")
                }
                #expect(await get(port, "/livez")?.status == 200)
                let client = RPCClient(transport, target: .topic("probed", server: "node"))
                #expect(try await client.call(Self.echo, ["text": "hello"]) == "hello")
                let metrics = try #require(await get(port, "/metrics")?.body)
                let labels = #"topic="probed",host="node",namespace="",method="echo""#
                #expect(metrics.contains(#"steward_requests_total{\#(labels),outcome="succeeded"} 1"#))
                #expect(metrics.contains(#"steward_request_seconds_count{\#(labels)} 1"#))
                #expect(metrics.contains("steward_ready 1"))
            }
            #expect(await get(port, "/readyz")?.status == 503)
            monitor.end()
            await transport.close()
        }
    }

    private struct ProbedManager: Manager {
        let host = "node"
        var endpoint: RPCEndpoint { SelfProbeTests.endpoint }
    }
}
