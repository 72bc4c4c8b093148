import FaultHarness
import Foundation
import GRDB
import Messaging
import MessagingRabbitMQ
import Synchronization

/// Two hosts of one topic in processes of their own, and who sends them what they do at least once.
final class SoakWorkers: Sendable {
    private static let topic = "soak-worker"
    private static let hosts = ["one", "two"]

    private struct State {
        var processes: [WorkerProcess]
        var sent = 0
        /// What was confirmed, by the host to whom it was addressed; `nil` for either.
        var confirmed: [String?: Set<Int>] = [:]
        var pauses = false
    }

    private let directory: String
    private let url: String
    private let state: Mutex<State>

    private init(_ directory: String, _ url: String) throws {
        self.directory = directory
        // Their queues outlive the broker, as those of the services in this process.
        self.url = url + "?amqp_durable_queues=true"
        self.state = Mutex(State(processes: []))
    }

    static func with(in directory: String, url: String, _ body: (SoakWorkers) async throws -> Void) async throws {
        let workers = try SoakWorkers(directory, url)
        defer { for index in Self.hosts.indices { workers.send(SIGKILL, to: index) } }
        for index in Self.hosts.indices {
            let process = try workers.start(index)
            workers.state.withLock { $0.processes.append(process) }
            try await process.line("READY")
        }
        try await body(workers)
    }

    private func start(_ index: Int) throws -> WorkerProcess {
        let arguments = ["serve", Self.topic, Self.hosts[index], self.database(of: Self.hosts[index]), "sqlite"]
        return try WorkerProcess("FaultWorker", arguments, url: self.url)
    }

    private func database(of host: String) -> String { "\(self.directory)/\(host).sqlite" }

    // MARK: What is done to them

    func send(_ signal: Int32, to index: Int) {
        let process = self.state.withLock { $0.processes.indices.contains(index) ? $0.processes[index] : nil }
        process?.send(signal)
    }

    /// Kills one, and starts another one in its place.
    func kill(_ index: Int) async throws {
        let old = self.state.withLock { $0.processes[index] }
        old.send(SIGKILL)
        try await old.end(within: .seconds(10))
        let new = try self.start(index)
        self.state.withLock { $0.processes[index] = new }
        try await new.line("READY")
    }

    func pause() { self.state.withLock { $0.pauses = true } }
    func resume() { self.state.withLock { $0.pauses = false } }

    /// Sends without end, to either by turns and to the topic.
    func castWithoutEnd(over transport: RabbitMQTransport) async {
        while !Task.isCancelled {
            let number: Int? = self.state.withLock { state in
                if state.pauses { return nil }
                state.sent += 1
                return state.sent
            }
            if let number {
                let host = number % 3 == 0 ? nil : Self.hosts[number % 3 - 1]
                let client = RPCClient(transport, target: .topic(Self.topic, server: host))
                do {
                    try await client.prepare { $0.timeout = .seconds(10) }
                        .cast("act", ["number": .integer(number), "milliseconds": 5])
                    self.state.withLock { _ = $0.confirmed[host, default: []].insert(number) }
                } catch {
                    // Not confirmed: it may be executed, or not.
                }
            }
            try? await Task.sleep(for: .milliseconds(50))  // Cancelled: then it ends by the loop's condition.
        }
    }

    // MARK: What came of it

    /// The consumers that they have while all is well.
    var consumers: [String: Int] {
        Self.hosts.reduce(into: [Self.topic: Self.hosts.count]) { $0["\(Self.topic).\($1)"] = 1 }
    }

    /// What each holds, by its process.
    func holdings() -> [Int32: Holdings] {
        let ids = self.state.withLock { $0.processes.map(\.processID) }
        return Dictionary(uniqueKeysWithValues: ids.map { ($0, Holdings(process: "\($0)")) })
    }

    /// How often each host has had the effect of each number.
    private func effects() throws -> [String: [Int: Int]] {
        try Self.hosts.reduce(into: [:]) { effects, host in
            effects[host] = try DatabaseQueue(path: self.database(of: host)).read { database in
                try Row.fetchAll(database, sql: "SELECT number, count(*) AS count FROM effect GROUP BY number")
                    .reduce(into: [:]) { $0[$1["number"]] = $1["count"] }
            }
        }
    }

    /// How much of what was addressed to the topic each host has done.
    func shares() throws -> [String: Int] {
        try self.effects().mapValues { $0.keys.count { $0 % 3 == 0 } }
    }

    /// What they did not do, or did twice; what either may do, each of them may have done once.
    func violations() throws -> [String] {
        let effects = try self.effects()
        let confirmed = self.state.withLock(\.confirmed)
        var found: [String] = []
        for (host, numbers) in confirmed {
            let done = host.map { Set((effects[$0] ?? [:]).keys) } ?? Set(effects.values.flatMap(\.keys))
            let lost = numbers.subtracting(done)
            if !lost.isEmpty {
                let whose = host ?? "the topic"
                found.append("\(lost.count) of \(numbers.count) of \(whose) were lost: \(lost.sorted().prefix(10))")
            }
        }
        for (host, counts) in effects {
            let repeated = counts.filter { $0.value > 1 }.keys.sorted()
            if !repeated.isEmpty {
                found.append("\(repeated.count) had more than one effect at \(host): \(repeated.prefix(10))")
            }
            let other = counts.keys.filter { $0 % 3 != 0 && Self.hosts[$0 % 3 - 1] != host }
            if !other.isEmpty { found.append("\(host) did what was another's: \(other.prefix(10))") }
        }
        return found
    }
}
