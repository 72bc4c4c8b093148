import Messaging
import ServiceDatabase
import ServiceRuntime
import Synchronization
import Testing

@testable import VolumeService

/// Hosts that operators have taken out of use.
@Suite(.timeLimit(.minutes(2))) struct StandingTests {
    @Test func `hosts that report that they are disabled or frozen are refused`() throws {
        let request = try SchedulingTests.request(1)
        func refusal(_ more: [String: JSONValue]) -> String? {
            StandingFilter().refusal(of: SchedulingTests.candidate(more: more), for: request)
        }
        #expect(refusal([:]) == nil)
        #expect(refusal(["service_disabled": false]) == nil)
        #expect(refusal(["service_disabled": true]) == "it is disabled")
        #expect(refusal(["service_disabled": true, "service_disabled_reason": "disks"]) == "it is disabled: disks")
        #expect(refusal(["service_frozen": true]) == "it is frozen")
    }

    @Test func `a frozen host changes nothing, serves what reads, and is thawed`() async throws {
        try await withDirectory { directory in
            let transport = InMemoryTransport(InMemoryBroker())
            let registry = SQLiteServiceRegistry(path: directory + "/services.sqlite")
            let driver = try makeDriver(directory, capacity: 8)
            let manager = try makeManager(directory, driver: driver)
            let service = ManagerService(
                manager,
                topic: "cinder-volume",
                transport: transport,
                registry: registry
            )
            let volumes = VolumeAPI(transport)
            let host = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
            try await withManagerService(service) { _ in
                _ = try await volumes.on(host: "node-1").createVolume(CreateVolume(volumeID: id("one"), size: 1))
                #expect(try await host.call(ManagerRPC.freezeHost).isRecorded)
                let changes: [() async throws -> Void] = [
                    {
                        _ = try await volumes.on(host: "node-1").createVolume(
                            CreateVolume(volumeID: id("two"), size: 1)
                        )
                    },
                    { try await volumes.on(host: "node-1").deleteVolume(id("one")) },
                    { _ = try await volumes.on(host: "node-1").extendVolume(id("one"), to: 2) },
                ]
                for change in changes {
                    let error = await #expect(throws: VolumeError.self) { try await change() }
                    #expect(error?.code == .outOfUse)
                }
                #expect(try await volumes.on(host: "node-1").volumes().map(\.size) == [1])
                #expect(try names(in: directory).count == 1)
            }
            // It outlasts a restart.
            let again = ManagerService(
                try makeManager(directory, driver: driver),
                topic: "cinder-volume",
                transport: transport,
                registry: SQLiteServiceRegistry(path: directory + "/services.sqlite")
            )
            try await withManagerService(again) { _ in
                let error = await #expect(throws: VolumeError.self) {
                    try await volumes.on(host: "node-1").deleteVolume(id("one"))
                }
                #expect(error?.code == .outOfUse)
                #expect(try await !host.call(ManagerRPC.thawHost).isFrozen)
                try await volumes.on(host: "node-1").deleteVolume(id("one"))
                #expect(try names(in: directory).isEmpty)
            }
        }
    }

    @Test func `a host out of use sets no space aside, whatever schedulers believe`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 8)
            let request = ClaimCapacity(volumeID: try id("one"), size: 1)
            for standing in [
                ServiceStanding(isDisabled: true, disabledReason: "disks"), ServiceStanding(isFrozen: true),
            ] {
                await manager.standingDidChange(standing)
                let error = await #expect(throws: VolumeError.self) { try await manager.claimCapacity(request) }
                #expect(error?.code == .outOfUse)
            }
            await manager.standingDidChange(ServiceStanding())
            #expect(try await manager.claimCapacity(request).freeCapacity == 7)
        }
    }

    @Test func `a host whose driver fails does not work`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory, capacity: 8))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            #expect(manager.isWorking)
            await driver.fail(.before)
            await #expect(throws: VolumeError.self) { try await manager.refreshCapabilities() }
            #expect(!manager.isWorking)
            await driver.fail(nil)
            try await manager.refreshCapabilities()
            #expect(manager.isWorking)
        }
    }

    @Test func `a scheduler gives nothing to a host that was disabled over RPC a moment ago`() async throws {
        try await withDirectory { directory in
            let broker = InMemoryBroker()
            let transport = InMemoryTransport(broker)
            let scheduler = SchedulerManager(host: "s", transport: InMemoryTransport(broker))
            let services = [
                ManagerService(scheduler, topic: "cinder-scheduler", transport: InMemoryTransport(broker)),
                ManagerService(
                    try makeManager(directory, capacity: 8),
                    topic: "cinder-volume",
                    transport: InMemoryTransport(broker)
                ),
            ]
            let api = VolumeSchedulerAPI(transport)
            let host = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
            try await withManagerService(services[1]) { _ in
                try await withManagerService(services[0]) { _ in
                    #expect(try await eventually { try await api.hosts().count == 1 })
                    _ = try await api.createVolume(ScheduleVolume(volumeID: id("one"), size: 1))
                    _ = try await host.call(ManagerRPC.disableHost, DisableHost(reason: "disks"))
                    // Whether the scheduler has heard of it or not: the host itself takes no more.
                    let atOnce = await #expect(throws: VolumeError.self) {
                        try await api.createVolume(ScheduleVolume(volumeID: id("at-once"), size: 1))
                    }
                    #expect(atOnce?.code == .noValidBackend && atOnce?.message.contains("disabled: disks") == true)
                    let isKnown = try await eventually {
                        try await api.hosts().first?.capabilities["service_disabled"] == true
                    }
                    #expect(isKnown)
                    let error = await #expect(throws: VolumeError.self) {
                        try await api.createVolume(ScheduleVolume(volumeID: id("two"), size: 1))
                    }
                    #expect(error?.code == .noValidBackend && error?.message.contains("disabled: disks") == true)
                    // What reaches the host is served all the same.
                    _ = try await host.call(VolumeRPC.createVolume, CreateVolume(volumeID: id("three"), size: 1))
                    _ = try await host.call(ManagerRPC.enableHost)
                    let isTaken = try await eventually {
                        do {
                            _ = try await api.createVolume(ScheduleVolume(volumeID: id("two"), size: 1))
                            return true
                        } catch is VolumeError { return false }
                    }
                    #expect(isTaken)
                }
            }
        }
    }

    @Test func `a scheduler skips whom the registry calls disabled, frozen or down, and asks reports about all others`()
        async throws
    {
        try await withDirectory { directory in
            let registry = SQLiteServiceRegistry(path: directory + "/services.sqlite")
            let clock = TestTime()
            let services = ServiceDirectory(registry, downTime: .seconds(60), clock: clock)
            let filter = RegistryFilter(services, topic: "cinder-volume")
            let request = try SchedulingTests.request(1)
            func refusal(_ host: String) async -> String? {
                await filter.prepare()
                return filter.refusal(of: SchedulingTests.candidate(host), for: request)
            }
            func registration(_ host: String) -> ServiceRegistration {
                ServiceRegistration(key: key(host), binary: "volume-worker", versions: ["3.20"])
            }
            func key(_ host: String) -> ServiceKey { ServiceKey(topic: "cinder-volume", host: host) }
            for host in ["a", "b"] { _ = try await registry.register(registration(host)) }
            #expect(await refusal("a") == nil)
            #expect(await refusal("not-recorded") == nil)
            for _ in 0..<7 {
                clock.advance(by: .seconds(10))
                _ = try await registry.heartbeat(registration("a"))
                await services.refresh()
            }
            #expect(await refusal("a") == nil)
            #expect(await refusal("b")?.contains("down") == true)
            _ = try await registry.change(key("a"), .disable(reason: "disks"))
            // Within a second of the last reading nothing is read.
            clock.advance(by: .seconds(1))
            #expect(await refusal("a") == "it is disabled: disks")
            _ = try await registry.change(key("a"), .enable)
            _ = try await registry.change(key("a"), .freeze)
            clock.advance(by: .seconds(1))
            #expect(await refusal("a") == "it is frozen")
        }
    }
}

/// A clock that a test turns.
private final class TestTime: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: self.offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - self.offset }
        static func < (one: Instant, other: Instant) -> Bool { one.offset < other.offset }
    }

    private let offset = Mutex(Duration.zero)
    var now: Instant { Instant(offset: self.offset.withLock { $0 }) }
    var minimumResolution: Duration { .nanoseconds(1) }
    func advance(by duration: Duration) { self.offset.withLock { $0 += duration } }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws { throw CancellationError() }
}
