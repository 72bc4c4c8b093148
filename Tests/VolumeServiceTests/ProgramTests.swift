import Foundation
import Messaging
import ServiceRuntime
import Testing

@testable import VolumeService

@Suite struct ProgramTests {
    private func context(
        _ launcher: ServiceLauncher,
        _ overrides: [String: String],
        file: String? = nil
    ) throws -> ManagerContext {
        let configuration = try ServiceConfiguration(
            options: launcher.options,
            defaults: launcher.defaults,
            overrides: overrides,
            environment: [:],
            files: file.map { [$0] } ?? []
        )
        return ManagerContext(configuration: configuration, transport: InMemoryTransport(InMemoryBroker()))
    }

    @Test func `a worker is made of its configuration, and starts again where it was`() async throws {
        try await withDirectory { directory in
            let state = directory + "/deep/state"
            for round in 1...2 {
                let context = try context(
                    VolumeWorker.launcher,
                    [
                        "host": "node-7", "state_path": state, "max_capacity_gb": "2.5", "reserved_percentage": "10",
                        "volume_backend_name": "files", "report_interval": "0.5",
                    ]
                )
                // What the last one has asked of its driver may hold on to it for a moment.
                var made: ManagerService?
                let isFree = try await eventually {
                    do {
                        made = try VolumeWorker.service(in: context)
                    } catch let error as VolumeError where round > 1 && error.message.contains("another worker") {
                        return false
                    }
                    return true
                }
                #expect(isFree)
                let service = try #require(made)
                #expect(service.target == .topic("cinder-volume", server: "node-7"))
                try await withManagerService(service) { _ in
                    let volumes = VolumeAPI(context.transport).on(host: "node-7")
                    let capabilities = try await volumes.capabilities(discover: false)
                    #expect(capabilities.totalCapacity == 2.5)
                    #expect(capabilities.volumeBackendName == "files")
                    #expect(capabilities.reservedPercentage == 10)
                    #expect(try await volumes.volumes().count == round - 1)
                    _ = try await volumes.createVolume(CreateVolume(volumeID: try id("one"), size: 1))
                    let version = try await volumes.client.call(ManagerRPC.serviceVersion)
                    #expect(version == Software.version)
                }
                await context.transport.close()
            }
            #expect(try names(in: state) == ["volume-one"])
        }
    }

    @Test func `a scheduler is made of its configuration`() async throws {
        let context = try context(
            SchedulerWorker.launcher,
            ["host": "s", "topic": "t", "volume_topic": "v", "service_down_time": "30", "report_interval": "60"]
        )
        let service = try SchedulerWorker.service(in: context)
        #expect(service.target == .topic("t", server: "s"))
        let manager = try #require(service.manager as? SchedulerManager)
        #expect(manager.configuration.volumeTopic == "v")
        // Hosts that report each minute are not down after half of one.
        #expect(manager.configuration.serviceDownTime == .seconds(150))
        #expect(SchedulerWorker.downTime(.seconds(61), reportInterval: .seconds(60)) == .seconds(61))
    }

    @Test(arguments: [
        (#"{"max_capacity": 1}"#, "max_capacity"), (#"{"max_capacity_gb": "much"}"#, "max_capacity_gb"),
        (#"{"max_capacity_gb": -1}"#, "max_capacity_gb"), (#"{"reserved_percentage": 101}"#, "reserved_percentage"),
        (#"{"state_path": ""}"#, "state_path"), (#"{"report_interval": 0}"#, "report_interval"),
        (#"{"start_timeout": -1}"#, "start_timeout"), (#"{"volume_backend_name": 5}"#, "volume_backend_name"),
    ])
    func `a wrong configuration names the key and the file`(text: String, key: String) async throws {
        try await withDirectory { directory in
            let path = directory + "/worker.json"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: ServiceError.self) { try context(VolumeWorker.launcher, [:], file: path) }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message.contains("'\(key)'") == true)
            #expect(error?.message.contains(path) == true)
        }
    }

    @Test func `a directory that another worker uses is a failure that says so`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let context = try context(VolumeWorker.launcher, ["state_path": directory])
            let error = #expect(throws: VolumeError.self) { try VolumeWorker.service(in: context) }
            #expect(error?.message.contains("another worker") == true)
            _ = try await driver.space()
        }
    }
}
