import Foundation
import GRDB
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import Testing

/// What each delivery contract promises, of a real worker process on a real broker that is killed at random moments.
///
/// The moments follow from a seed, which is printed; `STEWARD_SEED` repeats it, as far as the machine does.
@Suite(.serialized, .timeLimit(.minutes(3))) struct KilledWorkerTests {
    @Test func `FAULTS 40: at least once, under kill -9: of 1,000 requests none is lost, and none has an effect twice`()
        async throws
    {
        try await Ordeal.with(contract: "at-least-once", requests: 1_000) { ordeal in
            try await ordeal.run(minimumKills: 10)
            let effects = try ordeal.counts(of: "effect")
            #expect(effects.count == 1_000, "\(1_000 - effects.count) requests are lost (seed \(ordeal.seed))")
            let repeated = effects.filter { $0.value != 1 }
            #expect(repeated.isEmpty, "effects that happened not once: \(repeated) (seed \(ordeal.seed))")
            #expect(try ordeal.attemptsAbove(1) > 0, "no request was tried again: the kills came at the wrong time")
            let letters = try await DeadLetterQueue(ordeal.transport, topic: ordeal.topic).list()
            #expect(letters.isEmpty)
        }
    }

    @Test func `the same kills do repeat effects where the journal does not last`() async throws {
        try await Ordeal.with(contract: "at-least-once-forgetful", requests: 300) { ordeal in
            try await ordeal.run(minimumKills: 5)
            let effects = try ordeal.counts(of: "effect")
            #expect(effects.count == 300)
            #expect(effects.contains { $0.value > 1 }, "the kills of this suite show nothing (seed \(ordeal.seed))")
        }
    }

    @Test func `FAULTS 40: at most once, under kill -9: none runs twice, and none is lost that had not been started`()
        async throws
    {
        try await Ordeal.with(contract: "at-most-once", requests: 1_000) { ordeal in
            let kills = try await ordeal.run(minimumKills: 10)
            let effects = try ordeal.counts(of: "effect")
            let repeated = effects.filter { $0.value != 1 }
            #expect(repeated.isEmpty, "requests that ran more than once: \(repeated) (seed \(ordeal.seed))")
            let lost = Set(1...1_000).subtracting(effects.keys)
            let started = Set(try ordeal.counts(of: "started").keys)
            #expect(lost.isSubset(of: started), "lost and not started: \(lost.subtracting(started))")
            // Four run at a time, and no more than these can a kill take along.
            #expect(lost.count <= kills * 4)
            #expect(!lost.isEmpty, "no kill met a request that ran: nothing was shown (seed \(ordeal.seed))")
        }
    }
}

/// A worker and its requests, and somebody who kills it.
private final class Ordeal: Sendable {
    let seed: UInt64
    let topic = InteropEnvironment.uniqueTopic("killed")
    let transport: RabbitMQTransport
    private let contract: String
    private let requests: Int
    private let database: String
    /// The worker that runs.
    private let worker = Mutex<ChildProcess?>(nil)

    private init(seed: UInt64, contract: String, requests: Int, directory: String, transport: RabbitMQTransport) {
        self.seed = seed
        self.contract = contract
        self.requests = requests
        self.database = directory + "/worker.sqlite"
        self.transport = transport
    }

    static func with(contract: String, requests: Int, _ body: (Ordeal) async throws -> Void) async throws {
        let given = ProcessInfo.processInfo.environment["STEWARD_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("\(contract): seed \(seed)")
        let directory = FileManager.default.temporaryDirectory.appending(path: "steward-killed-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }  // Left behind, it disturbs nobody.
        try await withTransport { transport in
            let ordeal = Ordeal(
                seed: seed,
                contract: contract,
                requests: requests,
                directory: directory.path,
                transport: transport
            )
            do {
                try await body(ordeal)
                await ordeal.kill()
            } catch {
                await ordeal.kill()
                throw error
            }
        }
    }

    /// Sends the requests and kills the worker until there is nothing left to run; answers how often.
    @discardableResult
    func run(minimumKills: Int) async throws -> Int {
        var random = SplitMix64(state: self.seed)
        // The first worker makes the queue.
        try await self.start()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.sendAll() }
            var kills = 0
            let limit = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < limit {
                try await Task.sleep(for: .milliseconds(Int.random(in: 10...350, using: &random)))
                await self.kill()
                kills += 1
                try await self.start()
                // Not by their effects, of which kills may leave out any number.
                if kills >= minimumKills, try self.counts(of: "started").count > self.requests * 9 / 10 { break }
            }
            try await group.waitForAll()
            try await self.waitUntilQuiet()
            // Once more: what was not acknowledged comes again, and must be known.
            await self.kill()
            try await self.start()
            try await self.waitUntilQuiet()
            #expect(kills >= minimumKills)
            print("\(self.contract): \(kills + 1) kills")
            return kills + 1
        }
    }

    private func kill() async {
        guard let worker = self.worker.withLock({ $0 }) else { return }
        worker.send(signal: SIGKILL)
        _ = await worker.exit()
        self.worker.withLock { $0 = nil }
    }

    private func start() async throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = URL(filePath: tests).deletingLastPathComponent().appending(path: "DeliveryWorker").path
        var environment = ProcessInfo.processInfo.environment
        environment["STEWARD_URL"] = try InteropEnvironment.brokerURL()
        let worker = try ChildProcess(
            program,
            [self.topic, "host", self.database, self.contract],
            environment: environment
        )
        self.worker.withLock { $0 = worker }
        let line = try await worker.nextLine()
        #expect(line == "READY")
    }

    private func sendAll() async throws {
        let client = RPCClient(self.transport, target: .topic(self.topic, server: "host"))
        for number in 1...self.requests {
            try await client.cast("act", ["number": .integer(number)])
        }
    }

    /// Waits until no message is left in a queue or with the worker: for as long as nothing changes.
    private func waitUntilQuiet() async throws {
        var before = -1
        var since = ContinuousClock.now
        let limit = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < limit {
            let status = try await self.transport.status(
                of: .server("host", topic: self.topic, exchange: nil),
                deadline: .now + .seconds(10)
            )
            let effects = try self.counts(of: "effect").values.reduce(0, +)
            if effects != before || status?.messages != 0 {
                before = effects
                since = .now
            }
            // Longer than a copy waits for its next attempt.
            if ContinuousClock.now - since > .milliseconds(2_500) { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        Issue.record("the worker did not come to rest (seed \(self.seed))")
    }

    // MARK: What happened

    /// How often each number stands in a table.
    func counts(of table: String) throws -> [Int: Int] {
        try self.read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT number, count(*) AS count FROM \(table) GROUP BY number")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["number"], $0["count"]) })
        }
    }

    /// How many effects are those of a later attempt.
    func attemptsAbove(_ attempt: Int) throws -> Int {
        try self.read { database in
            try Int.fetchOne(database, sql: "SELECT count(*) FROM effect WHERE attempt > ?", arguments: [attempt]) ?? 0
        }
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        return try DatabaseQueue(path: self.database, configuration: configuration).read(body)
    }
}
