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

    /// A production `cinder.conf`, word by word.
    private static var production: String {
        get throws {
            let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "WorkerCommandTests/Fixtures/cinder.conf")
            return try String(contentsOf: file, encoding: .utf8)
        }
    }

    private func withWorker(
        of file: (_ url: String, _ directory: String) throws -> String,
        _ arguments: (_ url: String, _ directory: String) -> [String] = { _, _ in [] },
        clientOptions: String = "",
        _ body: (_ transport: RabbitMQTransport, _ worker: ProgramProcess, _ directory: String) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let path = directory + "/cinder.conf"
                try Data(try file(url, directory).utf8).write(to: URL(filePath: path))
                try Data().write(to: URL(filePath: directory + "/not-a-directory"))
                let arguments = ["--config-file", path] + arguments(url, directory)
                try await ProgramProcess.with("volume-worker", arguments, in: directory) { worker in
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url + clientOptions))
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
        try await self.withWorker(of: Self.file) { transport, worker, directory in
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

    @Test func `a production cinder.conf serves as it stands, but for its broker and its directories`() async throws {
        try await self.withWorker(
            of: { _, _ in try Self.production },
            { url, directory in
                [
                    "transport_url=\(url)", "state_path=\(directory)", "lvm-fast.state_path=\(directory)/fast",
                    "lvm-slow.state_path=\(directory)/slow", "nvme.state_path=\(directory)/not-a-directory",
                ].flatMap { ["--option", $0] }
            },
            clientOptions: "?rabbit_quorum_queue=true"
        ) { transport, worker, directory in
            try await worker.waitForLines(2, with: "ready")
            for (backend, capacity, reserved) in [("lvm-fast", 4000.0, 10), ("lvm-slow", 32000.0, 5)] {
                let host = "storage-17@\(backend)"
                let volumes = VolumeAPI(transport, topic: "cinder-volume.\(host)").on(host: "storage-17")
                let capabilities = try await volumes.capabilities(discover: true)
                // The disk of this machine may be smaller.
                #expect(capabilities.totalCapacity > 0 && capabilities.totalCapacity <= capacity)
                #expect(capabilities.reservedPercentage == reserved)
                #expect(try await VolumeAPI(transport).on(host: host).volumes().isEmpty)
            }
            let failure = try #require(try worker.lines(with: "backend failed and is tried again").first)
            #expect(failure.contains("nvme"))
            let absent = await #expect(throws: RPCError.self) {
                try await VolumeAPI(transport).on(host: "storage-17@nvme").volumes()
            }
            #expect(absent?.code == .noSuchServer)
            // What is meant for others is named, and no secret of theirs is told.
            #expect(try worker.lines(with: "keystone_authtoken.password").count == 1)
            #expect(try worker.lines(with: "hush").isEmpty)
        }
    }
}
