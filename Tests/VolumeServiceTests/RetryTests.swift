import Messaging
import ServiceDatabase
import ServiceRuntime
import Testing

@testable import VolumeService

/// Requests that change volumes are done at least once.
@Suite(.timeLimit(.minutes(3))) struct RetryTests {
    @Test func `a creation that fails in the backend is tried again`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let transport = InMemoryTransport(InMemoryBroker())
            let service = ManagerService(
                try makeManager(directory, driver: driver),
                topic: "cinder-volume",
                transport: transport
            )
            let volume = try id("one")
            let client = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
            try await withManagerService(service) { _ in
                await driver.fail(.before)
                try await client.cast(VolumeRPC.createVolume, CreateVolume(volumeID: volume, size: 1))
                #expect(try await self.soon { try await self.status(of: volume, client) == .error })
                await driver.fail(nil)
                #expect(try await self.soon { try await self.status(of: volume, client) == .available })
            }
            #expect(try await DeadLetterQueue(transport, topic: "cinder-volume").list().isEmpty)
        }
    }

    @Test func `what cannot be done is not tried again`() async throws {
        try await withDirectory { directory in
            let transport = InMemoryTransport(InMemoryBroker())
            let service = ManagerService(try makeManager(directory), topic: "cinder-volume", transport: transport)
            let client = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
            try await withManagerService(service) { _ in
                try await client.cast(VolumeRPC.createVolume, CreateVolume(volumeID: try id("one"), size: 0))
                try await client.cast(VolumeRPC.createVolume, CreateVolume(volumeID: try id("two"), size: 1))
                #expect(try await self.soon { try await self.status(of: try id("two"), client) == .available })
            }
            #expect(try await DeadLetterQueue(transport, topic: "cinder-volume").list().isEmpty)
        }
    }

    @Test func `FAULTS 32: a worker remembers over a restart what it has done`() async throws {
        try await withDirectory { directory in
            let broker = InMemoryBroker()
            let body =
                #"{"method": "delete_volume", "args": {"volume_id": "one"}, "version": "3.0", "_unique_id": "u"}"#
            for round in 1...2 {
                let configuration = try ServiceConfiguration(
                    options: VolumeWorker.launcher.options,
                    defaults: VolumeWorker.launcher.defaults,
                    overrides: ["host": "node-1", "state_path": directory],
                    environment: [:],
                    files: []
                )
                let context = ManagerContext(configuration: configuration, transport: InMemoryTransport(broker))
                try await withManagerService(try VolumeWorker.service(in: context)) { _ in
                    let volumes = VolumeAPI(context.transport).on(host: "node-1")
                    _ = try await volumes.createVolume(CreateVolume(volumeID: try id("one"), size: 1))
                    try await context.transport.send(
                        Message(body: Array(body.utf8)),
                        to: .queue("cinder-volume.node-1"),
                        options: SendOptions(isMandatory: true)
                    )
                    // The first time it deletes; the second time it is known, and the new volume stays.
                    let isGone = { try await volumes.volumes().isEmpty }
                    if round == 1 {
                        #expect(try await self.soon(isGone))
                    } else {
                        for name in ["two", "three"] {
                            _ = try await volumes.createVolume(CreateVolume(volumeID: try id(name), size: 1))
                        }
                        #expect(try await volumes.volumes().count == 3)
                    }
                }
                await context.transport.close()
            }
        }
    }

    /// Waits for longer than all attempts take together.
    private func soon(_ condition: () async throws -> Bool) async throws -> Bool {
        for _ in 1...6 where try await eventually(condition) { return true }
        return false
    }

    private func status(of id: VolumeID, _ client: RPCClient) async throws -> Volume.Status? {
        do {
            return try await client.call(VolumeRPC.getVolume, VolumeReference(volumeID: id)).status
        } catch let error as RPCError where error.failure?.className == "VolumeNotFound" {
            return nil
        }
    }
}
