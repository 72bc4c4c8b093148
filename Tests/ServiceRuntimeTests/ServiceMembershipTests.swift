import Messaging
import MessagingTesting
import Synchronization
import Testing

@testable import ServiceRuntime

/// A manager whose operators and driver a test plays.
private final class StandingManager: SchedulerDependentManager {
    let host = "node-1"
    let serviceName = "volume"
    let serviceCapabilities = ServiceCapabilities()
    let works = Atomic(true)
    let standings = Mutex<[ServiceStanding]>([])

    var endpoint: RPCEndpoint { RPCEndpoint(version: "3.0") {} }
    var isWorking: Bool { self.works.load(ordering: .relaxed) }
    func standingDidChange(_ standing: ServiceStanding) async { self.standings.withLock { $0.append(standing) } }
    var last: ServiceStanding? { self.standings.withLock(\.last) }
}

@Suite(.timeLimit(.minutes(2))) struct ServiceMembershipTests {
    private let broker = InMemoryBroker()
    private let registry = TestRegistry()
    private let manager = StandingManager()
    private let log = TestLog()
    private let clock = VirtualClock()

    private func service(_ registry: (any ServiceRegistry)?) -> ManagerService {
        ManagerService(
            self.manager,
            topic: "cinder-volume",
            transport: InMemoryTransport(self.broker),
            registry: registry,
            clock: self.clock,
            logger: self.log.logger
        )
    }

    private var client: RPCClient {
        RPCClient(InMemoryTransport(self.broker), target: .topic("cinder-volume", server: "node-1"))
    }

    private var row: ServiceRecord? { self.registry.rows.withLock { $0["node-1"] } }

    /// Waits for what happens on other tasks, while the virtual time goes on.
    private func eventually(_ condition: () -> Bool) async throws -> Bool {
        for _ in 0..<1000 {
            if condition() { return true }
            await self.clock.advance(by: .seconds(1))
            try await Task.sleep(for: .milliseconds(2))
        }
        return false
    }

    @Test func `a service is recorded before it serves, and reports from then on`() async throws {
        try await withManagerService(self.service(self.registry)) { service in
            let row = try #require(self.row)
            #expect(row.key == ServiceKey(topic: "cinder-volume", host: "node-1") && row.reportCount == 0)
            #expect(row.registration.versions == ["3.0"] && row.registration.availabilityZone == "nova")
            #expect(!row.registration.binary.isEmpty && !row.registration.binary.contains("/"))
            #expect(try await self.eventually { (self.row?.reportCount ?? 0) >= 3 })
            #expect(service.periodicTaskStatuses.contains { $0.name == "report_state" })
        }
        #expect(self.manager.last == nil)
    }

    @Test func `a manager that does not work stops its reports with one line, until it works again`() async throws {
        try await withManagerService(self.service(self.registry)) { _ in
            #expect(try await self.eventually { (self.row?.reportCount ?? 0) >= 1 })
            self.manager.works.store(false, ordering: .relaxed)
            #expect(
                try await self.eventually {
                    self.log.count(of: "the manager does not work; nothing is reported until it does") == 1
                }
            )
            let count = self.row?.reportCount
            await self.clock.advance(by: .seconds(600))
            try await Task.sleep(for: .milliseconds(50))
            #expect(self.row?.reportCount == count)
            #expect(self.log.count(of: "the manager does not work; nothing is reported until it does") == 1)
            self.manager.works.store(true, ordering: .relaxed)
            #expect(try await self.eventually { (self.row?.reportCount ?? 0) > (count ?? 0) })
            #expect(self.log.count(of: "the manager works again; reports go on") == 1)
        }
    }

    @Test func `a host is disabled, frozen and used again over RPC: at once, recorded, and told to the schedulers`()
        async throws
    {
        let reports = Mutex<[JSONValue]>([])
        let scheduler = RPCServer(
            InMemoryTransport(self.broker),
            target: .topic("cinder-scheduler", server: "s"),
            endpoints: [
                RPCEndpoint(version: "3.3") {
                    SchedulerAPI.updateServiceCapabilities.handled { _, report in
                        var members = report.capabilities.objectValue ?? [:]
                        members[ReportOrder.member] = nil
                        reports.withLock { $0.append(.object(members)) }
                    }
                }
            ]
        )
        let listening = Eventual<Void>()
        async let serving: Void = scheduler.run { listening.fulfil() }
        await listening.wait()
        try await withManagerService(self.service(self.registry)) { _ in
            self.manager.updateServiceCapabilities(["free_capacity_gb": 1])
            #expect(try await self.eventually { reports.withLock { $0.last == ["free_capacity_gb": 1] } })
            let disabled = try await self.client.call(ManagerRPC.disableHost, DisableHost(reason: "new disks"))
            #expect(disabled.isDisabled && disabled.disabledReason == "new disks" && disabled.isRecorded)
            #expect(self.row?.standing == ServiceStanding(isDisabled: true, disabledReason: "new disks"))
            #expect(self.manager.last?.isDisabled == true)
            #expect(
                try await self.eventually {
                    reports.withLock {
                        $0.last == [
                            "free_capacity_gb": 1, "service_disabled": true, "service_disabled_reason": "new disks",
                        ]
                    }
                }
            )
            #expect(try await self.client.call(ManagerRPC.freezeHost).isFrozen)
            #expect(self.manager.last?.isFrozen == true && self.manager.last?.isDisabled == true)
            #expect(try await self.client.call(ManagerRPC.hostStanding).isFrozen)
            #expect(try await !self.client.call(ManagerRPC.enableHost).isDisabled)
            #expect(try await !self.client.call(ManagerRPC.thawHost).isFrozen)
            #expect(self.row?.standing == ServiceStanding() && self.manager.last == ServiceStanding())
            #expect(try await self.eventually { reports.withLock { $0.last == ["free_capacity_gb": 1] } })
            let error = await #expect(throws: RPCError.self) {
                try await self.client.call(ManagerRPC.disableHost, DisableHost(reason: "a\0b"))
            }
            #expect(error?.failure?.className == "InvalidInput")
            #expect(self.row?.standing == ServiceStanding())
        }
        scheduler.stop()
        try await serving
    }

    @Test func `what an operator writes into the registry holds from the next report on, and from the start`()
        async throws
    {
        try await withManagerService(self.service(self.registry)) { _ in
            _ = try await self.registry.change(ServiceKey(topic: "cinder-volume", host: "node-1"), .freeze)
            #expect(try await self.eventually { self.manager.last?.isFrozen == true })
        }
        self.manager.standings.withLock { $0 = [] }
        try await withManagerService(self.service(self.registry)) { _ in
            #expect(self.manager.last == ServiceStanding(isFrozen: true))
        }
    }

    @Test func `without a registry a standing holds until the end of the process`() async throws {
        try await withManagerService(self.service(nil)) { service in
            let answer = try await self.client.call(ManagerRPC.freezeHost)
            #expect(answer.isFrozen && !answer.isRecorded)
            #expect(self.manager.last?.isFrozen == true)
            #expect(!service.periodicTaskStatuses.contains { $0.name == "report_state" })
        }
    }

    @Test func `an outage is said once, makes the service no less ready, and what was decided in it is written later`()
        async throws
    {
        self.registry.isAway.store(true, ordering: .relaxed)
        try await withManagerService(self.service(self.registry)) { service in
            #expect(service.isReady && service.readiness.reasons.count == 1)
            let answer = try await self.client.call(ManagerRPC.disableHost, DisableHost())
            #expect(answer.isDisabled && !answer.isRecorded)
            for _ in 0..<10 {
                await self.clock.advance(by: .seconds(60))
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(self.log.count(of: "the registry of services cannot be used; the service goes on") == 1)
            self.registry.isAway.store(false, ordering: .relaxed)
            #expect(try await self.eventually { self.row?.standing.isDisabled == true })
            #expect(try await self.eventually { service.readiness.reasons.isEmpty })
            #expect(self.log.count(of: "the registry of services can be used again") == 1)
            #expect(self.manager.last?.isDisabled == true)
        }
    }

    @Test func `what is decided while an earlier decision is being written is written last`() async throws {
        self.registry.isAway.store(true, ordering: .relaxed)
        try await withManagerService(self.service(self.registry)) { _ in
            _ = try await self.client.call(ManagerRPC.disableHost, DisableHost())
            let gate = Eventual<Void>()
            self.registry.gate.withLock { $0 = gate }
            self.registry.isAway.store(false, ordering: .relaxed)
            // The first report is the registration that the outage prevented; the next one waits at the gate.
            self.registry.rows.withLock { $0 = [:] }
            #expect(try await self.eventually { self.row?.standing.isDisabled == true })
            self.registry.isAway.store(true, ordering: .relaxed)
            _ = try await self.client.call(ManagerRPC.freezeHost)
            self.registry.isAway.store(false, ordering: .relaxed)
            #expect(try await self.eventually { self.registry.waiting.load(ordering: .relaxed) > 0 })
            async let answer = self.client.call(ManagerRPC.thawHost)
            try await Task.sleep(for: .milliseconds(50))
            self.registry.gate.withLock { $0 = nil }
            gate.fulfil(())
            let thawed = try await answer
            #expect(thawed.isRecorded)
            let count = self.row?.reportCount ?? 0
            #expect(try await self.eventually { (self.row?.reportCount ?? 0) > count + 3 })
            #expect(self.row?.standing.isFrozen == false && self.manager.last?.isFrozen == false)
        }
    }

    @Test func `a host that starts in an outage writes what it is when it is over, in the place of its predecessor`()
        async throws
    {
        try await withManagerService(self.service(self.registry)) { _ in }
        self.registry.rows.withLock { $0["node-1"]?.registration.versions = ["2.0"] }
        let before = self.row?.registration.incarnation
        self.registry.isAway.store(true, ordering: .relaxed)
        try await withManagerService(self.service(self.registry)) { _ in
            self.registry.isAway.store(false, ordering: .relaxed)
            let isWritten = try await self.eventually { self.row?.registration.versions == ["3.0"] }
            #expect(isWritten)
            #expect(self.row?.registration.incarnation != before)
            let count = self.row?.reportCount ?? 0
            let goesOn = try await self.eventually { (self.row?.reportCount ?? 0) > count }
            #expect(goesOn)
            let message = "another process was started under this service's address and reports in the same row"
            #expect(self.log.count(of: message) == 0)
        }
    }

    @Test func `a registry of a later version keeps the service from its start`() async throws {
        self.registry.refusal.withLock { $0 = ServiceRegistryError(.newerSchema, "later") }
        let error = await #expect(throws: ServiceError.self) { try await self.service(self.registry).run() }
        #expect(error?.code == .startFailed)
        #expect((error?.cause as? ServiceRegistryError)?.code == .newerSchema)
    }

    @Test func `another process under the same address is told of once`() async throws {
        try await withManagerService(self.service(self.registry)) { _ in
            self.registry.rows.withLock { $0["node-1"]?.registration.incarnation = "other" }
            let count = self.row?.reportCount ?? 0
            let goesOn = try await self.eventually { (self.row?.reportCount ?? 0) > count + 3 }
            #expect(goesOn)
            let message = "another process was started under this service's address and reports in the same row"
            #expect(self.log.count(of: message) == 1)
        }
    }
}
