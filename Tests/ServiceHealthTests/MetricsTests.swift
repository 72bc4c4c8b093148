import CoreMetrics
import FaultHarness
import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceHealth
import ServiceRuntime
import TestSupport
import Testing

/// What `/metrics` says of a service at a real broker.
@Suite(.serialized, .timeLimit(.minutes(2))) struct MetricsTests {
    private struct Failure: Error {}

    private static let echo = RPCMethod<[String: String], String>("echo", since: "1.0")
    private static let fail = RPCMethod<Void, Void>("fail", since: "1.0")
    private static let hang = RPCMethod<Void, Void>("hang", since: "1.0")
    private static let surely = RPCMethod<Void, Void>("surely", since: "1.0", delivery: .atLeastOnce(attempts: 1))

    private struct CountedManager: SchedulerDependentManager {
        let host = "node"
        let serviceName = "counted"
        let serviceCapabilities = ServiceCapabilities()
        let echoes: Counter
        let work: CoreMetrics.Timer

        init(_ metrics: PrometheusMetrics) {
            self.echoes = Counter(label: "counted.echoes", dimensions: [("backend", "lvm")], factory: metrics)
            self.work = CoreMetrics.Timer(label: "counted.work", factory: metrics)
        }

        var endpoint: RPCEndpoint {
            RPCEndpoint {
                MetricsTests.echo.handled { _, arguments in
                    self.echoes.increment()
                    self.work.recordMilliseconds(20)
                    return arguments["text"] ?? ""
                }
                MetricsTests.fail.handled { _ in throw Failure() }
                MetricsTests.hang.handled { _ in try await Task.sleep(for: .seconds(60)) }
                MetricsTests.surely.handled { _ in throw Failure() }
            }
        }

        var periodicTasks: [PeriodicTask] {
            PeriodicTask("measure", every: .milliseconds(100), runImmediately: true) { _ in
                try await Task.sleep(for: .milliseconds(10))
            }
            PeriodicTask("break", every: .milliseconds(100), runImmediately: true) { _ in throw Failure() }
            PeriodicTask("idle", every: .seconds(60), isEnabled: false) { _ in }
        }
    }

    /// Lends a service with its health port, and what `/metrics` says.
    private static func with(
        _ url: String,
        _ body: (RPCClient, () async throws -> ExpositionFormat) async throws -> Void
    ) async throws {
        let transport = RabbitMQTransport(try FaultService.configuration(url))
        let monitor = HealthMonitor()
        let manager = CountedManager(monitor.metrics)
        let service = ManagerService(
            manager,
            topic: "counted",
            transport: transport,
            logger: Logger(label: "counted")
        )
        try monitor.begin(on: ("127.0.0.1", 0), livenessLimit: .seconds(30), logger: Logger(label: "health"))
        monitor.watch([service], on: transport)
        let port = try #require(monitor.port)
        try await withManagerService(service) { _ in
            try await body(RPCClient(transport, target: .topic("counted", server: "node"))) {
                let answer = try #require(await get(port, "/metrics"))
                #expect(answer.head.contains("text/plain; version=0.0.4"))
                return try ExpositionFormat(answer.body)
            }
            manager.updateServiceCapabilities(nil)
        }
        monitor.end()
        await transport.close()
    }

    @Test func `calls, casts, confirms, returns, dead letters and the program's own figures are told`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            try await Self.with(broker.url(virtualHost: virtualHost, scheme: "rabbit")) { client, metrics in
                let before = try await metrics()
                #expect(before.values("counted_echoes_total", ["backend": "lvm"]) == [0])
                for _ in 0..<5 { _ = try await client.call(Self.echo, ["text": "x"]) }
                #expect(await (try? client.call(Self.fail)) == nil)
                #expect(await (try? client.call(Self.hang, timeout: .milliseconds(300))) == nil)
                #expect(await (try? client.on(host: "nobody").call(Self.echo, ["text": "x"])) == nil)
                try await client.cast(Self.surely)
                try await until(within: .seconds(20), "dead letter") {
                    try await metrics().value("steward_dead_letters_total", ["reason": "failed"]) == 1
                }
                let text = try await metrics()
                let echo = ["topic": "counted", "namespace": "", "method": "echo"]
                func calls(_ method: String, _ outcome: String) -> [Double] {
                    text.values("steward_client_calls_total", ["method": method, "outcome": outcome])
                }
                #expect(calls("echo", "succeeded") == [5])
                #expect(calls("echo", "no_such_server") == [1])
                #expect(calls("fail", "remote_error") == [1])
                #expect(calls("hang", "timeout") == [1])
                #expect(text.values("steward_client_call_seconds_count", echo) == [6])
                #expect(text.values("steward_client_calls_running", echo) == [0])
                #expect(text.values("steward_client_sends_total", ["method": "surely", "way": "cast"]) == [1])
                #expect(text.values("steward_dead_letters_total", ["method": "surely", "host": "node"]) == [1])
                // What the service does with the same calls.
                #expect(text.values("steward_requests_total", ["method": "echo", "outcome": "succeeded"]) == [5])
                // The program's own.
                #expect(text.values("counted_echoes_total", ["backend": "lvm"]) == [5])
                #expect(text.values("counted_work_seconds_count") == [5])
                #expect(text.values("counted_work_seconds_bucket", ["le": "0.01"]) == [0])
                // The broker's side of it.
                let publish = ["connection": "publish"]
                #expect(text.values("steward_broker_returns_total", publish) == [1])
                #expect(text.value("steward_broker_published_total", publish) >= 14)
                let settled = ["confirms", "nacks"].map { text.value("steward_broker_\($0)_total", publish) }
                #expect(settled[0] > 0 && settled[1] == 0)
                #expect(text.value("steward_broker_deliveries_total", ["connection": "consume"]) >= 13)
                #expect(text.values("steward_broker_reconnects_total") == [0, 0, 0])
                for connection in ["consume", "publish", "control"] {
                    let state = ["connection": connection, "state": "open"]
                    #expect(text.values("steward_broker_connection_state", state) == [1])
                }
                #expect(text.values("steward_broker_connection_state").reduce(0, +) == 3)
            }
        }
    }

    @Test func `the guide has a line for each metric, with its type`() async throws {
        let guide = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/ServiceRuntime/Documentation.docc/Operating.md")
        let rows = try String(contentsOf: guide, encoding: .utf8).split(separator: "\n").filter {
            $0.hasPrefix("| `steward_")
        }
        let told = rows.map { row in
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) }
            return "\(cells[0]) \(cells[1])"
        }
        let transport = InMemoryTransport(InMemoryBroker())
        let monitor = HealthMonitor()
        try monitor.begin(on: ("127.0.0.1", 0), livenessLimit: .seconds(30), logger: Logger(label: "health"))
        monitor.watch([], on: transport)
        let port = try #require(monitor.port)
        let text = try ExpositionFormat(try #require(await get(port, "/metrics")).body)
        monitor.end()
        #expect(told.sorted() == text.families.map { "\($0.name) \($0.kind)" }.sorted())
        #expect(!told.isEmpty)
    }

    @Test func `periodic tasks tell how long they take, what failed and when one succeeded last`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            try await Self.with(broker.url(virtualHost: virtualHost, scheme: "rabbit")) { _, metrics in
                try await until(within: .seconds(20), "5 runs") {
                    try await metrics().value("steward_periodic_run_seconds_count", ["task": "measure"]) >= 5
                }
                let text = try await metrics()
                let (measure, failing, idle) = (["task": "measure"], ["task": "break"], ["task": "idle"])
                #expect(text.value("steward_periodic_runs_total", measure) >= 5)
                #expect(text.values("steward_periodic_failures_total", measure) == [0])
                #expect(text.value("steward_periodic_run_seconds_sum", measure) >= 0.05)
                #expect(text.values("steward_periodic_run_seconds_bucket", ["task": "measure", "le": "0.005"]) == [0])
                let age = text.values("steward_periodic_last_success_age_seconds", measure)
                #expect(age.count == 1 && age[0] < 5)
                #expect(text.value("steward_periodic_failures_total", failing) >= 1)
                #expect(text.values("steward_periodic_last_success_age_seconds", failing).isEmpty)
                #expect(text.values("steward_periodic_enabled", idle) == [0])
                #expect(text.values("steward_periodic_runs_total", idle) == [0])
            }
        }
    }

    @Test func `each cut of the connections is a reconnect, and what is waited for then ends`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { virtualHost in
            let url = broker.url(virtualHost: virtualHost, scheme: "rabbit")
            try await FaultProxy.with(before: url) { proxy, url in
                try await Self.with(url) { client, metrics in
                    // All three connections are in use.
                    _ = try await client.call(Self.echo, ["text": "x"])
                    for cuts in 1...2 {
                        proxy.admit(.reset)
                        proxy.cut()
                        let recovering = ["connection": "consume", "state": "recovering"]
                        try await until(within: .seconds(20), "recovering") {
                            let text = try await metrics()
                            return text.value("steward_broker_connection_state", recovering) == 1
                                && text.value("steward_broker_connect_failures_total") >= Double(cuts)
                        }
                        proxy.heal()
                        var reconnects: [Double] = []
                        try await until(within: .seconds(30), "reconnected: \(reconnects)") {
                            reconnects = try await metrics().values("steward_broker_reconnects_total")
                            return reconnects.allSatisfy { $0 >= Double(cuts) }
                        }
                        #expect(try await client.call(Self.echo, ["text": "x"], timeout: .seconds(20)) == "x")
                    }
                    let text = try await metrics()
                    #expect(text.values("steward_broker_reconnects_total") == [2, 2, 2])
                    #expect(text.values("steward_broker_connects_total") == [3, 3, 3])
                    #expect(text.value("steward_broker_connect_failures_total") >= 2)
                }
            }
        }
    }

    @Test func `reports of capabilities are counted`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        let monitor = HealthMonitor()
        let manager = CountedManager(monitor.metrics)
        let service = ManagerService(manager, topic: "counted", transport: transport, logger: Logger(label: "counted"))
        try monitor.begin(on: ("127.0.0.1", 0), livenessLimit: .seconds(30), logger: Logger(label: "health"))
        monitor.watch([service], on: transport)
        let port = try #require(monitor.port)
        try await withManagerService(service) { _ in
            for number in 1...3 {
                manager.updateServiceCapabilities(["free": .integer(number)])
                try await until(within: .seconds(10), "report \(number)") {
                    let text = try ExpositionFormat(try #require(await get(port, "/metrics")).body)
                    return text.values("steward_capability_reports_total", ["host": "node"]) == [Double(number)]
                }
            }
            // A transport without connections has none to tell of.
            let text = try ExpositionFormat(try #require(await get(port, "/metrics")).body)
            #expect(text.values("steward_broker_connects_total").isEmpty)
        }
        monitor.end()
    }
}
