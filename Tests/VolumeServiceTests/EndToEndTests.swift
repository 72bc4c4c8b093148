import Messaging
import ServiceRuntime
import Testing

@testable import VolumeService

/// A scheduler and two workers over one broker in memory.
@Suite(.timeLimit(.minutes(3))) struct EndToEndTests {
    struct Stage {
        let transport: InMemoryTransport
        let scheduler: VolumeSchedulerAPI
        let volumes: VolumeAPI
        let directories: [String: String]
    }

    /// Workers `node-1` with 4 GiB and `node-2` with 8 GiB.
    private func withStage(_ body: (Stage) async throws -> Void) async throws {
        let broker = InMemoryBroker()
        try await withDirectory { first in
            try await withDirectory { second in
                let scheduler = SchedulerManager(host: "scheduler-1", transport: InMemoryTransport(broker))
                let services = [
                    ManagerService(scheduler, topic: "cinder-scheduler", transport: InMemoryTransport(broker)),
                    ManagerService(
                        try makeManager(first, host: "node-1", capacity: 4),
                        topic: "cinder-volume",
                        transport: InMemoryTransport(broker)
                    ),
                    ManagerService(
                        try makeManager(second, host: "node-2", capacity: 8),
                        topic: "cinder-volume",
                        transport: InMemoryTransport(broker)
                    ),
                ]
                let transport = InMemoryTransport(broker)
                try await withManagerService(services[0]) { _ in
                    try await withManagerService(services[1]) { _ in
                        try await withManagerService(services[2]) { _ in
                            try await body(
                                Stage(
                                    transport: transport,
                                    scheduler: VolumeSchedulerAPI(transport),
                                    volumes: VolumeAPI(transport),
                                    directories: ["node-1": first, "node-2": second]
                                )
                            )
                        }
                    }
                }
                await transport.close()
            }
        }
    }

    private func reports(_ stage: Stage) async throws -> [String: Int] {
        Dictionary(uniqueKeysWithValues: try await stage.scheduler.hosts().map { ($0.host, $0.reports) })
    }

    private func bothHaveReported(_ stage: Stage) async throws -> Bool {
        try await reports(stage).keys.sorted() == ["node-1", "node-2"]
    }

    @Test func `hosts report by themselves, and again when they are asked`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let before = try await reports(stage)
            try await stage.volumes.publishServiceCapabilities()
            #expect(
                try await eventually {
                    let now = try await reports(stage)
                    return before.allSatisfy { (now[$0.key] ?? 0) > $0.value }
                }
            )
            let pools = try await stage.scheduler.pools()
            #expect(pools.map(\.name) == ["node-1#directory", "node-2#directory"])
            #expect(pools.map { $0.capabilities["total_capacity_gb"]?.doubleValue } == [4, 8])
            #expect(try await stage.scheduler.pools(matching: ["name": "node-2"]).count == 1)
            #expect(
                try await stage.scheduler.pools(matching: ["total_capacity_gb": 4]).map(\.name) == ["node-1#directory"]
            )
        }
    }

    @Test func `a scheduler that starts later asks the hosts to report`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let late = SchedulerManager(host: "scheduler-2", transport: stage.transport)
            try await withManagerService(
                ManagerService(late, topic: "cinder-scheduler", transport: stage.transport)
            ) { _ async throws in
                #expect(try await eventually { await late.hosts().count == 2 })
            }
        }
    }

    @Test func `a scheduler is ready when the hosts have answered, and requests that come before wait`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let late = SchedulerManager(host: "scheduler-2", transport: stage.transport)
            let service = ManagerService(late, topic: "cinder-scheduler", transport: stage.transport)
            async let run: Void = service.run()
            // As soon as it listens, which is before it knows anybody.
            let scheduler = stage.scheduler.on(host: "scheduler-2")
            let request = ScheduleVolume(volumeID: try id("early"), size: 1)
            var host: String?
            #expect(
                try await eventually {
                    do {
                        host = try await scheduler.createVolume(request).host
                        return true
                    } catch let error as RPCError where error.code == .noSuchServer {
                        return false
                    }
                }
            )
            #expect(host == "node-2")
            #expect(try await eventually { service.isReady })
            #expect(await late.hosts().count == 2)
            service.stop()
            try await run
        }
    }

    @Test func `a scheduler without any host is ready at once`() async throws {
        let transport = InMemoryTransport(InMemoryBroker())
        let service = ManagerService(
            SchedulerManager(host: "scheduler-1", transport: transport),
            topic: "cinder-scheduler",
            transport: transport
        )
        let start = ContinuousClock.now
        try await withManagerService(service) { _ in }
        #expect(ContinuousClock.now - start < .seconds(4))
        await transport.close()
    }

    @Test func `a volume goes to the host with most space, until another one has more`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            // What is scheduled counts at once, before any host has reported it.
            var hosts: [String] = []
            for (name, size) in [("a", 5), ("b", 3), ("c", 2)] {
                hosts.append(try await stage.scheduler.createVolume(.init(volumeID: try id(name), size: size)).host)
            }
            #expect(hosts == ["node-2", "node-1", "node-2"])
            for (name, host) in zip(["a", "b", "c"], hosts) {
                let volumes = stage.volumes.on(host: host)
                let volume = try id(name)
                #expect(
                    try await eventually {
                        try await volumes.volumes().contains { $0.id == volume && $0.status == .available }
                    }
                )
                #expect(try names(in: try #require(stage.directories[host])).contains("volume-\(name)"))
            }
        }
    }

    @Test func `the same request again makes no second volume`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let request = ScheduleVolume(volumeID: try id("a"), size: 5)
            #expect(try await stage.scheduler.createVolume(request).host == "node-2")
            // By now node-1 has more space.
            #expect(try await stage.scheduler.createVolume(request).host == "node-2")
            let other = await #expect(throws: VolumeError.self) {
                try await stage.scheduler.createVolume(ScheduleVolume(volumeID: try id("a"), size: 1))
            }
            #expect(other?.code == .invalidInput)
            #expect(try await eventually { try await stage.volumes.on(host: "node-2").volumes().count == 1 })
            #expect(try await stage.volumes.on(host: "node-1").volumes().isEmpty)
        }
    }

    @Test func `a volume that fits nowhere is refused with each host's reason`() async throws {
        try await withStage { stage async throws in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let error = await #expect(throws: VolumeError.self) {
                try await stage.scheduler.createVolume(ScheduleVolume(volumeID: try id("a"), size: 100))
            }
            #expect(error?.code == .noValidBackend)
            #expect(error?.message.contains("node-1#directory: 4.0 GiB are free, 100 are needed") == true)
            #expect(error?.message.contains("node-2#directory") == true)
            let required = await #expect(throws: VolumeError.self) {
                try await stage.scheduler.createVolume(
                    ScheduleVolume(volumeID: try id("a"), size: 1, requiredCapabilities: ["multiattach": true])
                )
            }
            #expect(required?.message.contains("multiattach is false, not true") == true)
        }
    }

    @Test func `a host that has reported but is gone is passed over`() async throws {
        try await withStage { stage in
            #expect(try await eventually { try await bothHaveReported(stage) })
            let report = ServiceReport(
                serviceName: "volume",
                host: "ghost",
                capabilities: ["free_capacity_gb": 1000.0, "volume_backend_name": "files"]
            )
            try await stage.scheduler.client.fanout(SchedulerRPC.updateServiceCapabilities, report)
            #expect(try await eventually { try await reports(stage)["ghost"] == 1 })
            let request = ScheduleVolume(volumeID: try id("a"), size: 5)
            #expect(try await stage.scheduler.createVolume(request).host == "node-2")
            let error = await #expect(throws: VolumeError.self) {
                try await stage.scheduler.createVolume(ScheduleVolume(volumeID: try id("b"), size: 100))
            }
            #expect(error?.message.contains("ghost#files: it is not reachable") == true)
        }
    }

    @Test func `a notification to one scheduler is a report too, and an old one is dropped`() async throws {
        try await withStage { stage in
            let client = stage.scheduler.client.prepare { $0.version = "3.5" }
            for (free, second) in [(2, "05"), (1, "04")] {
                _ = try await client.call(
                    "notify_service_capabilities",
                    [
                        "service_name": "volume", "backend": "node1@lvm",
                        "timestamp": .string("2026-01-02T03:04:\(second).678901"),
                        "capabilities": ["pools": [["pool_name": "lvm", "free_capacity_gb": .integer(free)]]],
                    ]
                )
            }
            let pools = try await stage.scheduler.pools(matching: ["name": "node1@lvm#lvm"])
            #expect(pools.map { $0.capabilities["free_capacity_gb"] } == [2])
            #expect(try await reports(stage)["node1@lvm"] == 1)
        }
    }

    @Test func `local and remote volumes are used by the same code`() async throws {
        func exercise(_ volumes: some VolumeOperations) async throws {
            let one = try id("one")
            let created = try await volumes.createVolume(CreateVolume(volumeID: one, size: 1, name: "n"))
            #expect(try await volumes.volume(one) == created)
            #expect(try await volumes.extendVolume(one, to: 2).size == 2)
            #expect(try await volumes.capabilities(discover: true).allocatedCapacity == 2)
            let error = await #expect(throws: VolumeError.self) { try await volumes.extendVolume(one, to: 1000) }
            #expect(error?.code == .insufficientSpace)
            try await volumes.deleteVolume(one)
            let missing = await #expect(throws: VolumeError.self) { try await volumes.volume(one) }
            #expect(missing?.code == .notFound)
            #expect(missing?.volumeID == "one")
            #expect(try await volumes.volumes().isEmpty)
        }
        try await withStage { stage async throws in
            try await exercise(stage.volumes.on(host: "node-1"))
        }
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 4)
            try await manager.initHost()
            try await exercise(manager)
        }
    }

    @Test func `the additional endpoint has a namespace of its own`() async throws {
        try await withStage { stage async throws in
            let volumes = stage.volumes.on(host: "node-1")
            _ = try await volumes.createVolume(CreateVolume(volumeID: try id("one"), size: 1))
            let usage = try await volumes.diskUsage()
            #expect(usage.totalBytes == 4 << 30)
            #expect(usage.allocatedBytes == 1 << 30)
            #expect(usage.volumes == 1)
            #expect(try await volumes.checkVolume(try id("one")).isConsistent)
            // Without the namespace there is no such method.
            let client = volumes.client.prepare { $0.version = "3.0" }
            let error = await #expect(throws: RPCError.self) { _ = try await client.call("disk_usage") }
            #expect(error?.failure?.className == "NoSuchMethod")
        }
    }

    @Test(
        arguments: [
            (["volume_id": "../../etc/passwd", "size": 1], "TypeError"), (["size": 1], "TypeError"),
            (["volume_id": "a", "size": "x"], "TypeError"), (["volume_id": "a", "size": 0], "InvalidInput"),
            (["volume_id": "a", "size": -1], "InvalidInput"),
            (["volume_id": "a", "size": 1_000_000], "VolumeSizeExceedsAvailableQuota"),
        ] as [([String: JSONValue], String)]
    )
    func `bad arguments are answered with a typed error`(arguments: [String: JSONValue], className: String) async throws
    {
        try await withStage { stage async throws in
            // Without the contract's own errors, to see what was sent.
            let client = stage.volumes.on(host: "node-1").client.prepare {
                $0.version = "3.0"
                $0.errors = []
            }
            let error = await #expect(throws: RPCError.self) { _ = try await client.call("create_volume", arguments) }
            #expect(error?.failure?.className == className)
            #expect(try names(in: try #require(stage.directories["node-1"])) == [])
        }
    }
}
