import AMQPClient
import FaultHarness
import Foundation
import GRDB
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceDatabase
import Synchronization
import TestSupport
import Testing

@testable import ServiceRuntime
@testable import VolumeService

/// What a host keeps up while its database, its driver or its periodic tasks fail.
@Suite(.serialized, .timeLimit(.minutes(3))) struct HostFaultTests {
    // MARK: Database

    @Test
    func `fault 44: what needs no database is served while the database is held, slow or gone, and it says so once`()
        async throws
    {
        let broker = try TestBroker()
        let logs = InMemoryLogHandler()
        try await withFaultDirectory { directory in
            try await broker.withVirtualHost { name in
                let stage = try Self.worker(broker.url(virtualHost: name, scheme: "rabbit"), directory, logs)
                try await withManagerService(stage.service) { service in
                    let volumes = VolumeAPI(stage.transport).on(host: "node-1").prepare { $0.timeout = .seconds(20) }
                    _ = try await volumes.createVolume(.init(volumeID: try #require(VolumeID("one")), size: 1))
                    #expect(service.readiness == .ready)

                    // Another connection holds the database for longer than anybody waits for it.
                    try await Self.holdingDatabase(directory) {
                        let noticed = try await until(within: .seconds(15), "\(service.readiness)") {
                            service.readiness.level == .degraded
                        }
                        FaultFigures.record(fault: 44, "degraded after the database was held", noticed)
                        try await Self.expectService(of: volumes, service)
                        // Slow: reading does not wait for who holds it.
                        #expect(try await volumes.volumes().count == 1)
                        // What needs to write says so: it was not begun.
                        let error = await #expect(throws: RPCError.self) {
                            try await volumes.createVolume(.init(volumeID: try #require(VolumeID("two")), size: 1))
                        }
                        #expect(error?.failure?.className == "JournalUnavailable", "\(String(describing: error))")
                    }
                    try await Self.expectRecovery(service, volumes)
                    #expect(Self.count("the database cannot be used", logs) == 1, "\(logs.entries)")
                    #expect(Self.count("the database can be used again", logs) == 1)

                    // Its file is not where it was; SQLite alone would go on with what nobody sees any more.
                    let path = directory + "/state/volumes.sqlite"
                    try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
                    try await until(within: .seconds(5), "\(service.readiness)") {
                        service.readiness.level == .degraded
                    }
                    await #expect(throws: VolumeError.self) { try await volumes.volumes() }
                    try await Self.expectService(of: volumes, service)
                    try FileManager.default.moveItem(atPath: path + ".away", toPath: path)
                    try await Self.expectRecovery(service, volumes)
                    #expect(Self.count("the database cannot be used", logs) == 2, "\(logs.entries)")
                    #expect(Self.count("the database can be used again", logs) == 2)
                }
                // The heartbeat is the connection's own: it never broke.
                let broken = logs.entries.filter { "\($0.metadata)".contains("recovering") }
                #expect(broken.isEmpty, "\(broken)")
                await stage.transport.close()
            }
        }
    }

    private static func worker(
        _ url: String,
        _ directory: String,
        _ logs: InMemoryLogHandler
    ) throws -> (service: ManagerService, transport: RabbitMQTransport) {
        let logger = Logger(label: "worker") { _ in logs }
        var settings = try RabbitMQConfiguration(url: url)
        settings.connection.heartbeat = .seconds(2)
        let transport = RabbitMQTransport(settings, logger: logger)
        let configuration = try ServiceConfiguration(
            options: VolumeWorker.options,
            overrides: ["host": "node-1", "state_path": directory + "/state", "report_interval": "0.2"],
            environment: [:]
        )
        let context = ManagerContext(configuration: configuration, transport: transport, logger: logger)
        return (try VolumeWorker.service(in: context), transport)
    }

    /// Does something while another connection to the database is within a transaction that writes.
    private static func holdingDatabase(_ directory: String, _ body: () async throws -> Void) async throws {
        let other = try ServiceStore(at: .file(directory + "/state/volumes.sqlite"), migrations: VolumeTable.migrations)
        let (isHeld, isOver) = (Eventual<Void>(), DispatchSemaphore(value: 0))
        let holding = Task {
            try await other.write { database in
                try database.execute(sql: "UPDATE volume SET name = name")
                isHeld.fulfil()
                isOver.wait()
            }
        }
        await isHeld.wait()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        isOver.signal()
        try await holding.value
        try outcome.get()
    }

    /// What needs no database is answered at once.
    private static func expectService(of volumes: VolumeAPI, _ service: ManagerService) async throws {
        for _ in 0..<5 {
            let start = ContinuousClock.now
            #expect(try await volumes.client.call(ManagerRPC.serviceVersion) == Software.version)
            #expect(try await volumes.capabilities(discover: true).backendState == "up")
            #expect(.now - start < .seconds(1))
            #expect(service.readiness.isReady)
        }
    }

    private static func expectRecovery(_ service: ManagerService, _ volumes: VolumeAPI) async throws {
        let recovery = try await until(within: .seconds(10), "\(service.readiness)") { service.readiness == .ready }
        FaultFigures.record(fault: 44, "ready after the database", recovery)
        #expect(try await !volumes.volumes().isEmpty)
    }

    private static func count(_ message: String, _ logs: InMemoryLogHandler) -> Int {
        logs.entries.count { "\($0.message)" == message }
    }

    // MARK: Driver

    @Test func `fault 45: a driver that never returns fails its own calls, and holds up nothing else`() async throws {
        let broker = try TestBroker()
        try await withFaultDirectory { directory in
            try await broker.withVirtualHost { name in
                let transport = RabbitMQTransport(try FaultService.configuration(broker.url(virtualHost: name)))
                var settings = VolumeManager.Configuration()
                settings.driverTimeLimit = .milliseconds(300)
                settings.reportInterval = .milliseconds(200)
                let driver = HangingDriver(try DirectoryDriver(.init(statePath: directory)))
                let store = try ServiceStore(at: .memory, migrations: VolumeTable.migrations)
                let manager = VolumeManager(
                    host: "node-1",
                    driver: driver,
                    database: VolumeTable(store, host: "node-1"),
                    configuration: settings
                )
                let scheduler = SchedulerManager(host: "scheduler-1", transport: transport)
                try await withManagerService(
                    ManagerService(scheduler, topic: "cinder-scheduler", transport: transport)
                ) { _ in
                    try await withManagerService(
                        ManagerService(manager, topic: "cinder-volume", transport: transport)
                    ) { service in
                        try await self.expectIsolation(
                            service,
                            scheduler,
                            driver,
                            VolumeAPI(transport).on(host: "node-1")
                        )
                    }
                }
                await transport.close()
            }
        }
    }

    private func expectIsolation(
        _ service: ManagerService,
        _ scheduler: SchedulerManager,
        _ driver: HangingDriver,
        _ volumes: VolumeAPI
    ) async throws {
        let one = try #require(VolumeID("one"))
        let two = try #require(VolumeID("two"))
        _ = try await volumes.createVolume(.init(volumeID: one, size: 1))
        try await until(within: .seconds(5), "a report") { await scheduler.hosts().first?.isUp == true }

        driver.hang()
        // The call is over at its limit, however often it is tried, and says why.
        let start = ContinuousClock.now
        let error = await #expect(throws: VolumeError.self) {
            try await volumes.createVolume(.init(volumeID: two, size: 1))
        }
        #expect(error?.message.contains("the driver") == true, "\(String(describing: error))")
        FaultFigures.record(fault: 45, "call of a driver that hangs", .now - start)
        // The schedulers know that what they have is old, and give it no work.
        let told = try await until(within: .seconds(5), "a report that is stale") {
            await scheduler.hosts().first?.capabilities["stale"] == true
        }
        FaultFigures.record(fault: 45, "schedulers know that the driver hangs", told)
        let host = try #require(await scheduler.hosts().first)
        #expect(host.capabilities["backend_state"] == "down")
        #expect(host.isFresh)
        let refusal = await #expect(throws: VolumeError.self) {
            try await scheduler.createVolume(.init(volumeID: two, size: 1))
        }
        #expect(refusal?.code == .noValidBackend)
        #expect(service.readiness.level == .degraded, "\(service.readiness)")
        // All other tasks and requests go on.
        func runs(_ name: String) -> Int { service.periodicTaskStatuses.first { $0.name == name }?.runs ?? 0 }
        let before = (runs("check_database"), runs("publish_service_capabilities"), runs("report_driver_status"))
        try await until(within: .seconds(10), "periodic tasks go on") { runs("check_database") >= before.0 + 5 }
        try await until(within: .seconds(10), "reports go on") { runs("report_driver_status") >= before.2 + 2 }
        #expect(try await volumes.volume(one).status == .available)
        #expect(try await volumes.client.call(ManagerRPC.serviceVersion) == Software.version)
        // However often it is asked, what hangs does not pile up.
        #expect(driver.hanging <= 4, "\(driver.hanging) calls hang")

        driver.release()
        let recovery = try await until(within: .seconds(10), "the host is up") {
            let isUp = await scheduler.hosts().first?.isUp == true
            return isUp && service.readiness == .ready
        }
        FaultFigures.record(fault: 45, "up after the driver came back", recovery)
        #expect(try await volumes.createVolume(.init(volumeID: two, size: 1)).status == .available)
    }
}

extension HostSummary {
    fileprivate var isUp: Bool { capabilities["backend_state"] == "up" && capabilities["stale"] == nil }
}

/// A driver whose calls never return while it hangs, whatever becomes of those who wait.
private final class HangingDriver: VolumeDriver {
    let information = VolumeDriverInformation(version: "0", storageProtocol: "hang")
    private let driver: DirectoryDriver
    private let state = Mutex((gate: Eventual<Void>?.none, hanging: 0))

    init(_ driver: DirectoryDriver) { self.driver = driver }

    var hanging: Int { self.state.withLock(\.hanging) }

    func hang() { self.state.withLock { $0.gate = Eventual() } }

    func release() {
        let gate = self.state.withLock { state in
            defer { state.gate = nil }
            return state.gate
        }
        gate?.fulfil()
    }

    private func passing() async {
        guard let gate = self.state.withLock(\.gate) else { return }
        self.state.withLock { $0.hanging += 1 }
        // In a task of its own, which no cancellation reaches.
        await Task { await gate.wait() }.value
        self.state.withLock { $0.hanging -= 1 }
    }

    func removeLeftovers() async throws(VolumeError) -> [String] { try await self.driver.removeLeftovers() }

    func create(_ id: VolumeID, size: Int) async throws(VolumeError) {
        await self.passing()
        try await self.driver.create(id, size: size)
    }

    func extend(_ id: VolumeID, to size: Int) async throws(VolumeError) {
        await self.passing()
        try await self.driver.extend(id, to: size)
    }

    func delete(_ id: VolumeID) async throws(VolumeError) {
        await self.passing()
        try await self.driver.delete(id)
    }

    func inventory() async throws(VolumeError) -> VolumeInventory {
        await self.passing()
        return try await self.driver.inventory()
    }

    func space() async throws(VolumeError) -> VolumeSpace {
        await self.passing()
        return try await self.driver.space()
    }
}
