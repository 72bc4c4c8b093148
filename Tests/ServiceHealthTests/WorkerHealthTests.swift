import FaultHarness
import Foundation
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceLifecycle
import ServiceRuntime
import TestSupport
import Testing

@testable import ServiceHealth

/// A whole worker, as its probes and systemd see it.
@Suite(.serialized, .timeLimit(.minutes(3))) struct WorkerHealthTests {
    private static func with(
        _ url: String,
        _ options: [String] = [],
        environment: [String: String] = [:],
        _ body: (_ worker: ProgramProcess, _ port: Int, _ topic: String) async throws -> Void
    ) async throws {
        let topic = "health-\(UInt32.random(in: 0...UInt32.max))"
        let port = try freePort()
        try await withFaultDirectory { directory in
            try await ProgramProcess.with(
                "FaultWorker",
                ["serve", topic, "node", "\(directory)/state.sqlite", "memory", "health_port=\(port)"] + options,
                environment: environment.merging(["STEWARD_TRANSPORT_URL": url]) { $1 },
                in: directory
            ) { worker in
                try await body(worker, port, topic)
            }
        }
    }

    private static func reasons(_ port: Int) async -> [String] {
        await get(port, "/readyz")?.json?["reasons"] as? [String] ?? []
    }

    @Test func `a broker that is gone for 30 s leaves the worker live and not ready, and ready soon after its return`()
        async throws
    {
        try await PrivateNode.with { node in
            try await Self.with(try node.url) { _, port, _ in
                try await until(within: .seconds(30), "ready") { await get(port, "/readyz")?.status == 200 }
                try await node.kill()
                try await until(within: .seconds(5), "not ready") { await get(port, "/readyz")?.status == 503 }
                let away = ContinuousClock.now
                while .now - away < .seconds(30) {
                    #expect(await get(port, "/livez")?.status == 200)
                    #expect(await get(port, "/readyz")?.status == 503)
                    try await Task.sleep(for: .milliseconds(200))
                }
                let reasons = await Self.reasons(port)
                #expect(reasons.contains { $0.contains("connection is being restored") }, "\(reasons)")
                try await node.start()
                let back = try await until(within: .seconds(30), "ready again") {
                    await get(port, "/readyz")?.status == 200
                }
                FaultFigures.record(fault: 3, "probe ready after a broker that was gone for 30 s", back)
                #expect(back < .seconds(5))
            }
        }
    }

    @Test func `handlers that hold all threads do not silence the probes, which say so`() async throws {
        let url = try TestBroker().url(virtualHost: "")
        let name = "@steward-\(UUID().uuidString)"
        let socket = try NotifySocket(name)
        defer { socket.close() }
        let environment = ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"]
        try await Self.with(url, ["liveness_limit=2"], environment: environment) { worker, port, topic in
            try await until(within: .seconds(30), "ready") { await get(port, "/readyz")?.status == 200 }
            let transport = RabbitMQTransport(try FaultService.configuration(url))
            let client = RPCClient(transport, target: .topic(topic, server: "node"))
            for number in 0..<64 {
                try await client.cast("hold", ["number": .integer(number), "milliseconds": 6000])
            }
            var slowest = Duration.zero
            let complaint = try await until(within: .seconds(20), "not live") {
                let start = ContinuousClock.now
                let answer = await get(port, "/livez")
                slowest = max(slowest, .now - start)
                return answer?.status == 503 && answer?.body.contains("has done nothing for") == true
            }
            #expect(complaint > .seconds(1))
            #expect(await get(port, "/metrics")?.body.contains("steward_live 0") == true)
            #expect(slowest < .seconds(1), "an answer took \(slowest)")
            // systemd is to end it: it hears nothing more once the last one is through.
            try await Task.sleep(for: .milliseconds(200))
            let beats = socket.messages.count { $0 == "WATCHDOG=1" }
            #expect(beats > 0)
            try await Task.sleep(for: .seconds(2))
            if await get(port, "/livez")?.status == 503 {
                #expect(socket.messages.count { $0 == "WATCHDOG=1" } == beats)
            }
            await transport.close()
            worker.send(SIGKILL)
        }
    }

    @Test func `a process that was frozen is live when it goes on`() async throws {
        let url = try TestBroker().url(virtualHost: "")
        try await Self.with(url, ["liveness_limit=2"]) { worker, port, _ in
            try await until(within: .seconds(30), "ready") { await get(port, "/readyz")?.status == 200 }
            worker.send(SIGSTOP)
            try await Task.sleep(for: .seconds(5))
            worker.send(SIGCONT)
            for _ in 0..<20 {
                #expect(await get(port, "/livez")?.status == 200)
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    @Test(arguments: [false, true])
    func `systemd is told of readiness, the watchdog, reloading and the end`(isAbstract: Bool) async throws {
        let url = try TestBroker().url(virtualHost: "")
        try await withFaultDirectory { directory in
            let name = isAbstract ? "@steward-\(UUID().uuidString)" : "\(directory)/notify"
            let socket = try NotifySocket(name)
            defer { socket.close() }
            let environment = ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000000"]
            try await Self.with(url, environment: environment) { worker, _, _ in
                let start = ContinuousClock.now
                try await socket.wait(for: "READY=1")
                try await socket.wait(for: "STATUS=ready")
                #expect(socket.messages.first == "STATUS=not ready: the program is starting")
                try await until(within: .seconds(20), "watchdog") {
                    socket.messages.count { $0 == "WATCHDOG=1" } >= 4
                }
                #expect(.now - start > .seconds(2))
                worker.send(SIGHUP)
                try await until(within: .seconds(10), "reload: \(socket.messages)") {
                    guard
                        let reload = socket.messages.firstIndex(where: { $0.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") })
                    else { return false }
                    return socket.messages[reload...].contains("READY=1")
                }
                worker.send(SIGTERM)
                try await until(within: .seconds(10), "stop: \(socket.messages)") {
                    socket.messages.contains { $0.hasPrefix("STOPPING=1") }
                }
            }
        }
    }
}

/// What systemd hears where it was not there at first.
@Suite(.timeLimit(.minutes(1))) struct ServiceManagerNotifierTests {
    private struct Ready: WatchedService {
        let readiness = Readiness.ready
        let managerServices: [ManagerService] = []
        func run() async throws {}
    }

    @Test func `what was not taken is sent again`() async throws {
        let name = "@steward-\(UUID().uuidString)"
        let monitor = HealthMonitor(notifier: ServiceManagerNotifier(socket: name))
        try monitor.begin(on: nil, livenessLimit: .seconds(30), logger: Logger(label: "test"))
        defer { monitor.end() }
        monitor.watch([Ready()], on: InMemoryTransport(InMemoryBroker()))
        try await Task.sleep(for: .milliseconds(1500))
        let socket = try NotifySocket(name)
        defer { socket.close() }
        try await socket.wait(for: "READY=1")
        try await socket.wait(for: "STATUS=ready")
        try await Task.sleep(for: .milliseconds(1500))
        #expect(socket.messages == ["READY=1", "STATUS=ready"])
    }
}

/// What systemd has at the other end.
private final class NotifySocket: Sendable {
    private let descriptor: Int32
    private let received = Collector<String>()

    init(_ name: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        if name.hasPrefix("@") { path[0] = 0 } else { path.append(0) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let length = socklen_t(2 + path.count)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
        }
        guard isBound else { throw Loopback.Failure(description: "\(name): \(errno)") }
        let received = self.received
        PosixThread.detach {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { return }
                received.add(String(decoding: buffer.prefix(count), as: UTF8.self))
            }
        }
    }

    var messages: [String] { self.received.all }

    func wait(for message: String) async throws {
        try await until(within: .seconds(30), "\(message): \(self.messages)") { self.messages.contains(message) }
    }

    func close() {
        shutdown(self.descriptor, Int32(SHUT_RDWR))
        Glibc.close(self.descriptor)
    }
}
