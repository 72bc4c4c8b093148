import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing
import VolumeService

/// One worker with several backends, configured as cinder is.
@Suite(.timeLimit(.minutes(5))) struct BackendTests {
    private static func file(_ url: String, _ directory: String) -> String {
        """
        [DEFAULT]
        # What cinder has, and this worker does not know, is passed over.
        debug = false
        auth_strategy = keystone
        host = node-1
        transport_url = \(url)
        enabled_backends = fast,slow,broken
        state_path = \(directory)

        [oslo_messaging_rabbit]
        heartbeat_timeout_threshold = 30

        [keystone_authtoken]
        password = secret

        [backend_defaults]
        reserved_percentage = 10

        [fast]
        volume_backend_name = ssd
        max_capacity_gb = 4

        [slow]
        volume_backend_name = disks
        max_capacity_gb = 8
        reserved_percentage = 0

        [broken]
        volume_backend_name = gone
        # A file, where a directory is needed.
        state_path = \(directory)/not-a-directory
        """
    }

    private func withWorker(
        _ body: (_ transport: RabbitMQTransport, _ worker: ProgramProcess, _ directory: String) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let path = directory + "/cinder.conf"
                try Data(Self.file(url, directory).utf8).write(to: URL(filePath: path))
                try Data().write(to: URL(filePath: directory + "/not-a-directory"))
                try await ProgramProcess.with("volume-worker", ["--config-file", path], in: directory) { worker in
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                    do {
                        try await body(transport, worker, directory)
                    } catch {
                        await transport.close()
                        throw error
                    }
                    await transport.close()
                }
            }
        }
    }

    @Test func `two backends of a cinder.conf serve under both addresses, a broken one is tried until it works`()
        async throws
    {
        try await self.withWorker { transport, worker, directory in
            try await worker.waitForLines(2, with: "ready")
            for (name, capacity, reserved) in [("fast", 4.0, 10), ("slow", 8.0, 0)] {
                let host = "node-1@\(name)"
                // As older cinder calls a backend, and as present cinder does.
                for volumes in [
                    VolumeAPI(transport).on(host: host),
                    VolumeAPI(transport, topic: "cinder-volume.\(host)").on(host: "node-1"),
                ] {
                    let capabilities = try await volumes.capabilities(discover: true)
                    #expect(capabilities.totalCapacity == capacity)
                    #expect(capabilities.reservedPercentage == reserved)
                }
                let id = try #require(VolumeID("one"))
                let volume = try await VolumeAPI(transport).on(host: host).createVolume(
                    CreateVolume(volumeID: id, size: 1)
                )
                #expect(volume.host == host)
                let files = try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(name)/volumes")
                #expect(files == ["volume-one"])
            }
            let failure = try #require(try worker.lines(with: "backend failed and is tried again").first)
            #expect(failure.contains("broken"))
            let absent = await #expect(throws: RPCError.self) {
                try await VolumeAPI(transport).on(host: "node-1@broken").volumes()
            }
            #expect(absent?.code == .noSuchServer)
            // What keeps it from working goes away: it works, without anybody's help.
            try FileManager.default.removeItem(atPath: directory + "/not-a-directory")
            try await worker.waitForLines(with: "backend serves again", within: .seconds(90))
            #expect(try await VolumeAPI(transport).on(host: "node-1@broken").volumes().isEmpty)
            #expect(worker.isRunning)
        }
    }
}
