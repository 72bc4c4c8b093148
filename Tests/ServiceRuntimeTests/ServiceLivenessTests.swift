import InMemoryLogging
import Messaging
import MessagingTesting
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite struct ServiceLivenessTests {
    private static func record(_ host: String, _ count: Int64, incarnation: String = "1") -> ServiceRecord {
        ServiceRecord(
            registration: ServiceRegistration(
                key: ServiceKey(topic: "t", host: host),
                binary: "b",
                versions: ["1.0"],
                incarnation: incarnation
            ),
            reportCount: count,
            updatedAt: "",
            // Whatever any clock says of it.
            age: .seconds(1_000_000)
        )
    }

    private let one = ServiceKey(topic: "t", host: "one")
    private var table = ServiceLivenessTable(downTime: .seconds(30), lookingEvery: .seconds(10))

    @Test mutating func `who has just begun to look knows of nobody, and after the time knows who is silent`() {
        #expect(self.table.liveness(of: self.one) == .unknown)
        for second in stride(from: 0, through: 30, by: 10) {
            self.table.look(at: [Self.record("one", 7)], now: .seconds(second))
            #expect(self.table.liveness(of: self.one) == .unknown)
        }
        self.table.look(at: [Self.record("one", 7)], now: .seconds(31))
        #expect(self.table.liveness(of: self.one) == .down)
        self.table.look(at: [Self.record("one", 8)], now: .seconds(41))
        #expect(self.table.liveness(of: self.one) == .up)
    }

    @Test mutating func `any change is a report: a smaller count, another start, a new row`() {
        self.table.look(at: [], now: .zero)
        self.table.look(at: [Self.record("one", 0)], now: .seconds(10))
        #expect(self.table.liveness(of: self.one) == .up)
        self.table.look(at: [Self.record("one", 9)], now: .seconds(20))
        self.table.look(at: [Self.record("one", 2)], now: .seconds(40))
        self.table.look(at: [Self.record("one", 2, incarnation: "2")], now: .seconds(60))
        #expect(self.table.liveness(of: self.one) == .up)
        for second in [70, 80, 90] {
            self.table.look(at: [Self.record("one", 2, incarnation: "2")], now: .seconds(second))
        }
        #expect(self.table.liveness(of: self.one) == .up)
        self.table.look(at: [Self.record("one", 2, incarnation: "2")], now: .seconds(91))
        #expect(self.table.liveness(of: self.one) == .down)
        self.table.look(at: [], now: .seconds(101))
        #expect(self.table.liveness(of: self.one) == .unknown)
    }

    @Test mutating func `nobody dies in the time in which the reader could not look`() {
        self.table.look(at: [Self.record("one", 1)], now: .zero)
        self.table.look(at: [Self.record("one", 2)], now: .seconds(10))
        // The database was away for an hour, and nobody could write.
        self.table.look(at: [Self.record("one", 2)], now: .seconds(3610))
        #expect(self.table.liveness(of: self.one) == .up)
        self.table.look(at: [Self.record("one", 2)], now: .seconds(3620))
        #expect(self.table.liveness(of: self.one) == .up)
        self.table.look(at: [Self.record("one", 2)], now: .seconds(3630))
        #expect(self.table.liveness(of: self.one) == .down)
    }

    @Test func `a directory keeps what it knew, says once that it cannot read, and once that it can again`() async {
        let registry = TestRegistry()
        let log = TestLog()
        let clock = VirtualClock()
        let directory = ServiceDirectory(registry, downTime: .seconds(60), clock: clock, logger: log.logger)
        #expect(directory.interval == .seconds(10))
        registry.rows.withLock { $0 = ["one": Self.record("one", 1)] }
        await directory.refresh()
        #expect(directory[self.one]?.liveness == .unknown)
        registry.isAway.store(true, ordering: .relaxed)
        for _ in 0..<3 { await directory.refresh() }
        #expect(directory[self.one] != nil)
        #expect(log.handler.entries.count == 1)
        registry.isAway.store(false, ordering: .relaxed)
        for _ in 0..<3 { await directory.refresh() }
        #expect(log.count(of: "the registry of services can be read again") == 1 && log.handler.entries.count == 2)

        let reads = registry.reads.load(ordering: .relaxed)
        await directory.refresh(unlessTriedWithin: .seconds(1))
        #expect(registry.reads.load(ordering: .relaxed) == reads)
        await clock.advance(by: .seconds(2))
        await directory.refresh(unlessTriedWithin: .seconds(1))
        #expect(registry.reads.load(ordering: .relaxed) == reads + 1)
    }

    @Test func `a registry that does not answer holds up nobody who looks, and is asked once`() async throws {
        let registry = TestRegistry()
        let clock = VirtualClock()
        let directory = ServiceDirectory(registry, downTime: .seconds(60), clock: clock, logger: TestLog().logger)
        registry.rows.withLock { $0 = ["one": Self.record("one", 1)] }
        await directory.refresh()
        let reads = registry.reads.load(ordering: .relaxed)
        let gate = Eventual<Void>()
        registry.gate.withLock { $0 = gate }
        registry.rows.withLock { $0["one"]?.standing.isDisabled = true }
        let start = ContinuousClock.now
        for _ in 0..<3 {
            await clock.advance(by: .seconds(2))
            await directory.refresh(unlessTriedWithin: .seconds(1))
        }
        #expect(.now - start < .seconds(10))
        #expect(registry.reads.load(ordering: .relaxed) == reads + 1)
        #expect(directory[self.one]?.record.standing.isDisabled == false)
        gate.fulfil(())
        registry.gate.withLock { $0 = nil }
        for _ in 0..<1000 where directory[self.one]?.record.standing.isDisabled != true {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(directory[self.one]?.record.standing.isDisabled == true)
    }
}

/// A registry in memory that is away when a test wants it.
final class TestRegistry: ServiceRegistry {
    let rows = Mutex<[String: ServiceRecord]>([:])
    let isAway = Atomic(false)
    let reads = Atomic(0)
    let refusal = Mutex<ServiceRegistryError?>(nil)
    /// What reports and readings wait for, if there is something.
    let gate = Mutex<Eventual<Void>?>(nil)
    let waiting = Atomic(0)

    private func check() throws(ServiceRegistryError) {
        if let refusal = self.refusal.withLock({ $0 }) { throw refusal }
        if self.isAway.load(ordering: .relaxed) { throw ServiceRegistryError(.unavailable, "as the test wants it") }
    }

    private func update(
        _ host: String,
        _ registration: ServiceRegistration?,
        _ body: (inout ServiceRecord) -> Void
    ) throws(ServiceRegistryError) -> ServiceRecord {
        try self.check()
        let row = self.rows.withLock { rows -> ServiceRecord? in
            let new = registration.map { ServiceRecord(registration: $0, reportCount: 0, updatedAt: "", age: .zero) }
            guard var row = rows[host] ?? new else { return nil }
            if rows[host] != nil { body(&row) }
            rows[host] = row
            return row
        }
        guard let row else { throw ServiceRegistryError(.noSuchService, host) }
        return row
    }

    func register(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        try self.update(registration.key.host, registration) { $0.registration = registration }
    }

    private func pass() async {
        guard let gate = self.gate.withLock({ $0 }) else { return }
        self.waiting.add(1, ordering: .relaxed)
        _ = await gate.wait()
    }

    func heartbeat(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        await self.pass()
        return try self.update(registration.key.host, registration) { $0.reportCount += 1 }
    }

    func services() async throws(ServiceRegistryError) -> [ServiceRecord] {
        self.reads.add(1, ordering: .relaxed)
        await self.pass()
        try self.check()
        return self.rows.withLock { $0.values.sorted { $0.key.host < $1.key.host } }
    }

    func change(
        _ key: ServiceKey,
        _ change: ServiceStandingChange
    ) async throws(ServiceRegistryError) -> ServiceRecord {
        try self.update(key.host, nil) { $0.standing.apply(change) }
    }

    func remove(_ key: ServiceKey) async throws(ServiceRegistryError) -> Bool {
        try self.check()
        return self.rows.withLock { $0.removeValue(forKey: key.host) != nil }
    }
}
