import Logging
import ServiceHealth
import ServiceRuntime
import Testing

/// Where health is told, by the option `health_port`.
@Suite(.timeLimit(.minutes(1))) struct HealthPortTests {
    private static func monitor(_ overrides: [String: String]) throws -> HealthMonitor {
        let configuration = try ServiceConfiguration(overrides: overrides, environment: [:])
        let monitor = HealthMonitor()
        try monitor.begin(configuration, logger: Logger(label: "health"))
        return monitor
    }

    @Test func `without the option any free port of loopback is taken, by each of several programs`() async throws {
        let monitors = [try Self.monitor([:]), try Self.monitor([:])]
        defer { monitors.forEach { $0.end() } }
        let ports = try monitors.map { try #require($0.port) }
        #expect(ports[0] != ports[1])
        for port in ports { #expect(await get(port, "/livez")?.status == 200) }
    }

    @Test func `a port that is given is taken, unless it is taken already, which is said`() async throws {
        let port = try freePort()
        let monitor = try Self.monitor(["health_port": "\(port)"])
        defer { monitor.end() }
        #expect(await get(port, "/livez")?.status == 200)
        let error = #expect(throws: ServiceError.self) { try Self.monitor(["health_port": "\(port)"]) }
        #expect("\(String(describing: error))".contains("health_port"))
    }

    @Test func `port 0 is for none, and others than ports are refused`() throws {
        let monitor = try Self.monitor(["health_port": "0"])
        defer { monitor.end() }
        #expect(monitor.port == nil)
        #expect(throws: ServiceError.self) { try Self.monitor(["health_port": "65536"]) }
    }
}
