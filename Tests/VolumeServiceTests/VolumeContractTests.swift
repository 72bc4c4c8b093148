import Messaging
import ServiceRuntime
import Testing

@testable import VolumeService

/// One contract, two places: a manager at home and a client of it read the same.
@Suite(.timeLimit(.minutes(3))) struct VolumeContractTests {
    /// What a user of volumes does, who does not know where they are.
    private func use(_ volumes: any VolumeOperations) async throws {
        let one = try id("one")
        let made = try await volumes.createVolume(CreateVolume(volumeID: one, size: 1, name: "first"))
        #expect(made.status == .available)
        #expect(try await volumes.extendVolume(one, to: 2).size == 2)
        #expect(try await volumes.volume(one).name == "first")
        #expect(try await volumes.volumes().map(\.id) == [one])
        #expect(try await volumes.capabilities(discover: true).totalVolumes == 1)
        let shrunk = await #expect(throws: VolumeError.self) { _ = try await volumes.extendVolume(one, to: 1) }
        #expect(shrunk?.code == .invalidInput)
        try await volumes.deleteVolume(one)
        let missing = await #expect(throws: VolumeError.self) { _ = try await volumes.volume(one) }
        #expect(missing?.code == .notFound)
        #expect(missing?.volumeID == "one")
        let two = try id("two")
        let large = await #expect(throws: VolumeError.self) {
            _ = try await volumes.createVolume(CreateVolume(volumeID: two, size: 1_000_000))
        }
        try await volumes.deleteVolume(two)
        #expect(large?.code == .insufficientSpace)
    }

    private func look(_ volumes: any VolumeDiagnostics) async throws {
        #expect(try await volumes.diskUsage().volumes == 0)
        let unknown = try id("unknown")
        let missing = await #expect(throws: VolumeError.self) { _ = try await volumes.checkVolume(unknown) }
        #expect(missing?.code == .notFound)
    }

    @Test func `volumes are used the same at home and from afar`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 4)
            try await self.use(manager)
            try await self.look(manager)
            let broker = InMemoryBroker()
            let transport = InMemoryTransport(broker)
            let service = ManagerService(manager, topic: "cinder-volume", transport: InMemoryTransport(broker))
            try await withManagerService(service) { _ in
                try await self.use(VolumeAPI(transport).on(host: manager.host))
                try await self.use(VolumeAPI(transport))
                try await self.look(VolumeAPI(transport))
            }
            await transport.close()
        }
    }

    @Test func `a scheduler is used the same at home and from afar`() async throws {
        func use(_ scheduler: any SchedulerOperations) async throws {
            try await scheduler.take(ServiceReport(serviceName: "volume", host: "node-9", capabilities: ["a": 1]))
            #expect(try await eventually { try await scheduler.hosts().map(\.host) == ["node-9"] })
            #expect(try await scheduler.pools(matching: ["name": "none"]).isEmpty)
            let one = try id("one")
            let none = await #expect(throws: VolumeError.self) {
                _ = try await scheduler.createVolume(ScheduleVolume(volumeID: one, size: 1))
            }
            #expect(none?.code == .noValidBackend)
        }
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await use(SchedulerManager(host: "home", transport: transport))
        let manager = SchedulerManager(host: "afar", transport: transport)
        let service = ManagerService(manager, topic: "cinder-scheduler", transport: InMemoryTransport(broker))
        try await withManagerService(service) { _ in try await use(VolumeSchedulerAPI(transport)) }
        await transport.close()
    }

    @Test func `the volume contract describes its methods`() throws {
        let description = VolumeRPC.contract.description
        #expect(
            description.methods.map { "\($0.name) \($0.since) \($0.delivery) \($0.arguments) -> \($0.result)" } == [
                "create_volume 3.0 at_least_once {name: string?, size: integer, volume_id: string} -> \(Self.volume)",
                "delete_volume 3.0 at_least_once {volume_id: string} -> null",
                "extend_volume 3.0 at_least_once {new_size: integer, volume_id: string} -> \(Self.volume)",
                "get_capabilities 3.0 at_most_once {discover: boolean?} -> \(Self.capabilities)",
                "get_volume 3.0 at_most_once {volume_id: string} -> \(Self.volume)",
                "list_volumes 3.0 at_most_once {} -> [\(Self.volume)]",
                "publish_service_capabilities 3.0 at_most_once {} -> null",
            ]
        )
        // Nothing of what travels is beyond the recorder.
        for contract in [
            description, ClaimsRPC.contract.description, DiagnosticsRPC.contract.description,
            SchedulerRPC.contract.description,
        ] {
            let text = try JSONValue(encoding: contract).description
            #expect(!text.contains("incomplete"))
            #expect(try JSONValue(parsing: text).decode(ContractDescription.self) == contract)
        }
    }

    private static let volume =
        "{created_at: string, fault: string?, host: string, id: string, name: string?, size: integer, status: string, "
        + "updated_at: string}"
    private static let capabilities =
        "{QoS_support: boolean, allocated_capacity_gb: number, backend_state: string, "
        + "capacity_claims_support: boolean, driver_version: string, "
        + "free_capacity_gb: number, max_over_subscription_ratio: string, multiattach: boolean, "
        + "provisioned_capacity_gb: number, reserved_percentage: integer, storage_protocol: string, "
        + "thick_provisioning_support: boolean, thin_provisioning_support: boolean, total_capacity_gb: number, "
        + "total_volumes: integer, vendor_name: string, volume_backend_name: string}"

    @Test func `a service lists all that it offers`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory)
            let service = ManagerService(
                manager,
                topic: "cinder-volume",
                transport: InMemoryTransport(InMemoryBroker())
            )
            let names = service.contracts.map { [$0.name ?? "-", "\($0.version)"] + $0.methods.map(\.name) }
            #expect(names[0].prefix(2) == ["volume", "3.20"])
            #expect(!names[0].contains("publish_service_capabilities"))
            #expect(names[1] == ["volume diagnostics", "1.0", "check_volume", "disk_usage"])
            #expect(names[2] == ["volume claims", "1.0", "claim_capacity", "release_capacity"])
            #expect(
                names[4] == [
                    "-", "3.20", "disable_host", "enable_host", "freeze_host", "get_host_standing", "get_log_levels",
                    "publish_service_capabilities", "service_config", "service_version", "set_log_levels", "thaw_host",
                ]
            )
        }
    }
}
