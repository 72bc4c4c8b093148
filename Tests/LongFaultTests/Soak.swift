import FaultHarness
import Foundation
import GRDB
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

/// A broker, a proxy before it, a server and its callers in this process, and a worker in one of its own.
final class Soak: Sendable {
    /// What can be done to them.
    enum Fault: String, CaseIterable, Sendable {
        case restart, kill, freeze, closeConnections, deleteQueue, cut, cutInsideFrame, silence, oneWay, slowNetwork
        case memoryAlarm, diskAlarm, deleteExchange, killWorker, freezeWorker, malformed
    }

    let node: PrivateNode
    let proxy: FaultProxy
    let service: FaultService
    private let broker: TestBroker
    private let database: String
    private let topic: String
    private let state: Mutex<State>

    private struct State {
        var random: SplitMix64
        var worker: WorkerProcess
        var sent = 0
        var confirmed: Set<Int> = []
        var pauses = false
    }

    private init(
        _ node: PrivateNode,
        _ proxy: FaultProxy,
        _ service: FaultService,
        _ worker: WorkerProcess,
        topic: String,
        database: String,
        seed: UInt64
    ) throws {
        self.node = node
        self.proxy = proxy
        self.service = service
        self.broker = try TestBroker(environment: node.environment)
        self.topic = topic
        self.database = database
        self.state = Mutex(State(random: SplitMix64(state: seed), worker: worker))
    }

    static func with(seed: UInt64, _ body: (Soak) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "steward-soak-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }  // Left behind, it disturbs nobody.
        let database = directory.appending(path: "worker.sqlite").path
        let topic = "soak-worker"
        try await PrivateNode.with(["--management"]) { node in
            try await FaultProxy.with(before: try node.url) { proxy, url in
                let worker = try Self.startWorker(topic, database, url: try node.url)
                try await worker.line("READY")
                try await FaultService.with(url, host: "soak") { service in
                    let soak = try Soak(node, proxy, service, worker, topic: topic, database: database, seed: seed)
                    defer { soak.state.withLock { $0.worker.send(SIGKILL) } }
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<3 { group.addTask { await soak.service.traffic(pause: .milliseconds(40)) } }
                        group.addTask { await soak.castToWorker() }
                        try await body(soak)
                        group.cancelAll()
                    }
                }
            }
        }
    }

    private static func startWorker(_ topic: String, _ database: String, url: String) throws -> WorkerProcess {
        // Its queues outlive the broker, as those of the service in this process.
        try WorkerProcess(
            "FaultWorker",
            ["serve", topic, "worker", database, "sqlite"],
            url: url + "?amqp_durable_queues=true"
        )
    }

    /// Sends the worker in its own process what it does at least once, without end.
    private func castToWorker() async {
        let client = RPCClient(self.service.clientTransport, target: .topic(self.topic, server: "worker"))
        while !Task.isCancelled {
            let number: Int? = self.state.withLock { state in
                if state.pauses { return nil }
                state.sent += 1
                return state.sent
            }
            if let number {
                do {
                    try await client.prepare { $0.timeout = .seconds(10) }
                        .cast("act", ["number": .integer(number), "milliseconds": 5])
                    self.state.withLock { _ = $0.confirmed.insert(number) }
                } catch {
                    // Not confirmed: it may be executed, or not.
                }
            }
            try? await Task.sleep(for: .milliseconds(50))  // Cancelled: then it ends by the loop's condition.
        }
    }

    // MARK: Rounds

    /// Does one fault, heals it, and says how long it took from then on until calls were answered.
    func round() async throws -> (Fault, Duration) {
        let (fault, severity) = self.state.withLock { state in
            (Fault.allCases.randomElement(using: &state.random) ?? .cut, Double.random(in: 0...1, using: &state.random))
        }
        try await self.inject(fault, severity)
        let recovery = try await self.service.untilAnswered(within: .seconds(60))
        try await self.service.untilReady(within: .seconds(30))
        try await Task.sleep(for: .seconds(1))
        // What was under way when it happened comes to its end before the next one.
        try await self.pausing {
            #expect(self.service.checker.violations == [], "after \(fault)")
            self.service.checker.forgetSettled()
        }
        return (fault, recovery)
    }

    /// Does something while nothing is under way.
    private func pausing(_ body: () async throws -> Void) async throws {
        self.state.withLock { $0.pauses = true }
        defer {
            self.service.resume()
            self.state.withLock { $0.pauses = false }
        }
        try await self.service.pause()
        try await self.service.untilSettled(within: .seconds(60))
        try await body()
    }

    private func inject(_ fault: Fault, _ severity: Double) async throws {
        switch fault {
        case .restart:
            try await self.node.stop()
            try await self.node.start()
        case .kill:
            try await self.node.kill()
            try await self.node.start()
        case .freeze:
            try self.node.freeze()
            try await Task.sleep(for: .seconds(1 + 8 * severity))
            try self.node.thaw()
        case .closeConnections:
            try await self.broker.closeConnections(virtualHost: "%2F")
        case .deleteQueue:
            // A queue takes the messages in it along: what is promised is that those that come later are executed.
            let target = self.service.client.target
            try await self.pausing {
                try await self.broker.deleteQueue("\(target.topic).soak", virtualHost: "%2F")
            }
        case .cut: self.proxy.cut()
        case .cutInsideFrame:
            let chosen = Int(1 + 30 * severity)
            let count = Mutex(0)
            self.proxy.onFrame { frame in
                guard frame.type == 3 else { return .pass }  // A body.
                return count.withLock {
                    $0 += 1
                    return $0 == chosen ? .cutInside : .pass
                }
            }
            try await Task.sleep(for: .seconds(1))
        case .silence: try await self.disturb(severity) { $0.isSwallowed = true }
        case .oneWay:
            try await self.disturb(severity, severity > 0.5 ? .toBroker : .toClient) { $0.isSwallowed = true }
        case .slowNetwork:
            try await self.disturb(severity) {
                $0.bytesPerSecond = 1_000
                $0.delay = .milliseconds(500)
            }
        case .memoryAlarm:
            try await self.node.control("set_vm_memory_high_watermark", "0")
            try await Task.sleep(for: .seconds(1 + 3 * severity))
            try await self.node.control("set_vm_memory_high_watermark", "0.4")
        case .diskAlarm:
            try await self.node.control("set_disk_free_limit", "1000000GB")
            try await Task.sleep(for: .seconds(1 + 3 * severity))
            try await self.node.control("set_disk_free_limit", "50MB")
        case .deleteExchange:
            try await self.broker.deleteExchange("openstack", virtualHost: "%2F")
        case .killWorker: try await self.killWorker()
        case .freezeWorker:
            // Up to several heartbeats: the broker may hand its messages to nobody else, and gets them back.
            let worker = self.state.withLock(\.worker)
            worker.send(SIGSTOP)
            try await Task.sleep(for: .seconds(1 + 8 * severity))
            worker.send(SIGCONT)
        case .malformed:
            let bodies: [[UInt8]] = [[], [0xFF, 0xFE], Array("{\"oslo.version\":".utf8), Array("[[[[".utf8)]
            for body in bodies {
                // Whatever becomes of it, what counts is that nothing else is disturbed.
                try? await self.service.clientTransport.send(
                    Message(body: body),
                    to: .queue("\(self.service.client.target.topic).soak"),
                    options: SendOptions(deadline: .now + .seconds(2))
                )
            }
        }
        self.proxy.heal()
    }

    private func disturb(
        _ severity: Double,
        _ direction: FaultProxy.Direction? = nil,
        _ change: (inout FaultProxy.Flow) -> Void
    ) async throws {
        self.proxy.change(direction, change)
        try await Task.sleep(for: .seconds(1 + 6 * severity))
    }

    private func killWorker() async throws {
        let old = self.state.withLock(\.worker)
        old.send(SIGKILL)
        try await old.end(within: .seconds(10))
        let new = try Self.startWorker(self.topic, self.database, url: try self.node.url)
        self.state.withLock { $0.worker = new }
        try await new.line("READY")
    }

    /// Waits until everything is executed.
    func finish() async throws {
        self.state.withLock { $0.pauses = true }
        try await self.service.pause()
        try await self.service.untilSettled(within: .seconds(60))
        let start = ContinuousClock.now
        while try !self.workerViolations().isEmpty, .now - start < .seconds(60) {
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// What the worker in its own process did not do, or did twice.
    func workerViolations() throws -> [String] {
        let counts = try DatabaseQueue(path: self.database).read { database in
            try Row.fetchAll(database, sql: "SELECT number, count(*) AS count FROM effect GROUP BY number")
                .reduce(into: [Int: Int]()) { $0[$1["number"]] = $1["count"] }
        }
        let confirmed = self.state.withLock(\.confirmed)
        let lost = confirmed.subtracting(counts.keys)
        let repeated = counts.filter { $0.value > 1 }
        return (lost.isEmpty ? [] : ["\(lost.count) of \(confirmed.count) were lost: \(lost.sorted().prefix(10))"])
            + (repeated.isEmpty ? [] : ["\(repeated.count) had more than one effect: \(repeated.keys.prefix(10))"])
    }
}
