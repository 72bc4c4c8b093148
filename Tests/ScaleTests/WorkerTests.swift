import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

extension ScaleTests {
    /// Many workers on one machine.
    @Suite(.serialized) struct WorkerTests {
        @Test func `200 servers of one process are called each, a fanout reaches all, and they leave nothing behind`()
            async throws
        {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { try await Workforce(200).isCalledAndStopped($0) }
                }
                ScaleBench.show(result)
            }
        }

        @Test func `50 workers in processes of their own are found, called each, and ended`() async throws {
            try await ScaleBench.withURL { url in
                try await ScaleBench.with(url) { bench in
                    // Before the broker has fifty others to let in.
                    try await bench.client.open()
                    let started = ContinuousClock.now
                    try await WorkerProcesses.with(50, url: url) { workers in
                        let target = Target.topic("scale", exchange: "perf_oslo")
                        let client = RPCClient(bench.client, target: target).prepare { $0.timeout = .seconds(60) }
                        var control = client
                        control.target = target.control
                        var hosts: Set<String> = []
                        try await ScaleBench.wait(for: "the workers") { [control] in
                            let answers = try await control.gather(ControlRPC.ping, within: .seconds(5), upTo: 50)
                            hosts = Set(try answers.map { try $0.result.get().host })
                            return hosts.count == 50
                        }
                        let startTime = ContinuousClock.now - started
                        #expect(hosts == Set(workers.hosts))
                        for host in workers.hosts {
                            let echo = try await client.on(host: host).call("echo", ["data": .string(host)])
                            #expect(echo == .string(host))
                        }
                        let memory = workers.residentBytes
                        print(
                            "50 workers serve \(startTime.inTenths) s after their start; memory "
                                + "\((memory.reduce(0, +) / memory.count).mebibytes) each, at most "
                                + "\((memory.max() ?? 0).mebibytes)"
                        )
                        #expect(memory.count == 50 && (memory.max() ?? 0) < 128 << 20)
                    }
                }
            }
        }
    }
}

/// Servers in one process, on one transport.
private struct Workforce: Sendable {
    static let host = RPCMethod<Void, String>("host", since: "1.0")
    static let note = RPCMethod<Void, Void>("note", since: "1.0")

    let count: Int

    init(_ count: Int) {
        self.count = count
    }

    func isCalledAndStopped(_ bench: ScaleBench) async throws {
        let noted = EventRecorder<String>()
        let ready = EventRecorder<Void>()
        let hosts = (1...self.count).map { "worker-\($0)" }
        let client = RPCClient(bench.client, target: .topic("scale")).prepare { $0.timeout = .seconds(60) }
        try await bench.client.open()
        try await bench.server.open()
        let before = ProcessFigures()
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            var servers: [RPCServer] = []
            for host in hosts {
                let endpoint = RPCEndpoint {
                    Self.host.handled { _ in host }
                    Self.note.handled { _ in noted.record(host) }
                }
                let target = Target.topic("scale", server: host)
                let server = RPCServer(bench.server, target: target, endpoints: [endpoint], logger: .none)
                servers.append(server)
                group.addTask { try await server.run { ready.record(()) } }
            }
            try await ready.first(self.count, within: .seconds(60))
            let startTime = ContinuousClock.now - start
            let serving = ProcessFigures()
            for host in hosts { #expect(try await client.on(host: host).call(Self.host) == host) }
            try await client.fanout(Self.note)
            let reached = try await noted.first(self.count, within: .seconds(60))
            #expect(Set(reached) == Set(hosts))
            let used = ProcessFigures()
            let stop = ContinuousClock.now
            for server in servers { server.stop() }
            try await group.waitForAll()
            let memory = max(0, used.residentBytes - before.residentBytes) / self.count
            print(
                "\(self.count) servers serve after \(startTime.inTenths) s, and have stopped after "
                    + "\((ContinuousClock.now - stop).inTenths) s; \(memory.kibibytes) of memory each, "
                    + "\(serving.threads - before.threads) threads and \(used.descriptors - before.descriptors) descriptors "
                    + "for all"
            )
            #expect(memory < 512 << 10)
            // One for all that is asked about servers, one for the connection on which it is, and those of the pool.
            #expect(serving.threads - before.threads < 16)
            #expect(used.descriptors - before.descriptors < 16)
        }
        #expect(noted.events.count == self.count)
        let after = ProcessFigures()
        print("afterwards: memory \(after.residentBytes.mebibytes), before \(before.residentBytes.mebibytes)")
        #expect(after.residentBytes < before.residentBytes + 64 << 20)
        #expect(after.descriptors - before.descriptors < 8)
        // The queues of fanouts and of questions are gone with their servers.
        for host in ["worker-1", "worker-\(self.count)"] {
            let control = Destination.server(host, topic: Target.topic("scale").control.topic, exchange: nil)
            // The broker answers the end of a queue's last consumer before it deletes the queue.
            let limit = ContinuousClock.now + .seconds(10)
            while try await bench.client.status(of: control, deadline: nil) != nil, .now < limit {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await bench.client.status(of: control, deadline: nil) == nil)
        }
    }
}

/// Programs that serve, each ended by its id, whatever happens.
private final class WorkerProcesses: Sendable {
    let hosts: [String]
    private let processes: [Int32]

    private init(hosts: [String], processes: [Int32]) {
        self.hosts = hosts
        self.processes = processes
    }

    /// What each of them has in RAM.
    var residentBytes: [Int] { self.processes.map(ProcessFigures.residentBytes(of:)).filter { $0 > 0 } }

    static func with(_ count: Int, url: String, _ body: (WorkerProcesses) async throws -> Void) async throws {
        guard let folder = ProcessInfo.processInfo.environment["STEWARD_BIN"] else {
            throw TestBroker.Unavailable(description: "STEWARD_BIN is not set: run scripts/test")
        }
        var processes: [Process] = []
        let ended = EventRecorder<Int32>()
        defer {
            // Those that a failed test has left.
            for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
        for number in 1...count {
            let process = Process()
            process.executableURL = URL(filePath: folder).appending(path: "bench-worker")
            process.arguments = ["server", "--topic", "scale", "--host", "worker-\(number)-"]
            process.environment = ProcessInfo.processInfo.environment.merging(["AMQP_URL": url]) { $1 }
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.terminationHandler = { ended.record($0.processIdentifier) }
            try process.run()
            processes.append(process)
        }
        let hosts = (1...count).map { "worker-\($0)-0" }
        try await body(WorkerProcesses(hosts: hosts, processes: processes.map(\.processIdentifier)))
        for process in processes { kill(process.processIdentifier, SIGTERM) }
        try await ended.first(count)
    }
}
