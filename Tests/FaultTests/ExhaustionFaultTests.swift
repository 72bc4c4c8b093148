import FaultHarness
import Foundation
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

@testable import ServiceRuntime
@testable import VolumeService

/// What a worker says of itself when its process or its disk has nothing left to give, and when that is over.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ExhaustionFaultTests {
    @Test func `fault 47: a worker without free descriptors is not ready and says why, and recovers`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            let port = broker.port
            try await withFaultDirectory { directory in
                // In a process of its own: the limit is that of a process. Its output is not observed: that would block a
                // thread which the other tests of this one need.
                _ = await #expect(processExitsWith: .success) {
                    [url = url as String, port = port as Int, directory = directory as String] in
                    await Self.withWorker(url, directory) { service, transport in
                        let client = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
                            .prepare { $0.timeout = .seconds(10) }
                        // Opens all connections that there are.
                        #expect(try await client.call(ManagerRPC.serviceVersion) == Software.version)
                        var limits = rlimit()
                        try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
                        var none = limits
                        // Lower than what is open: what is open stays so, and nothing can be opened.
                        none.rlim_cur = 3
                        try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none) == 0)
                        let noticed = try await until(within: .seconds(10), "\(service.readiness)") {
                            !service.readiness.isReady && "\(service.readiness)".contains("Too many open files")
                        }
                        FaultFigures.record(fault: 47, "not ready without descriptors", noticed)
                        // The connections that are open are of use still; when they break, none can be made.
                        #expect(try await client.call(ManagerRPC.serviceVersion) == Software.version)
                        #expect(Self.breakConnections(to: port) >= 3)
                        try await until(within: .seconds(10), "\(service.readiness)") { !transport.readiness.isReady }
                        for _ in 0..<20 {
                            #expect(!service.readiness.isReady)
                            try await Task.sleep(for: .milliseconds(100))
                        }
                        print("without descriptors: \(service.readiness)")

                        try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
                        let recovery = try await until(within: .seconds(10), "\(service.readiness)") {
                            service.readiness == .ready
                        }
                        FaultFigures.record(fault: 47, "ready with descriptors", recovery)
                        #expect(try await client.call(ManagerRPC.serviceVersion) == Software.version)
                        let volumes = VolumeAPI(transport).on(host: "node-1")
                        _ = try await volumes.createVolume(.init(volumeID: try #require(VolumeID("one")), size: 1))
                    }
                }
            }
        }
    }

    @Test func `fault 47: a worker on a full disk is not ready and says why, and recovers`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await withFaultDirectory { directory in
                let isMounted = mount("tmpfs", directory, "tmpfs", 0, "size=2m") == 0
                print(
                    isMounted
                        ? "the disk is a tmpfs of 2 MiB"
                        : "a file system cannot be mounted here (\(String(cString: strerror(errno)))): files are limited instead"
                )
                defer { if isMounted { umount2(directory, CInt(MNT_DETACH)) } }
                await #expect(processExitsWith: .success) {
                    [url = url as String, directory = directory as String, isMounted = isMounted as Bool] in
                    ProcessSignals.ignoreFailedWrites()
                    await Self.withWorker(url, directory) { service, transport in
                        let volumes = VolumeAPI(transport).on(host: "node-1").prepare { $0.timeout = .seconds(20) }
                        // It writes, and needs no space for a volume.
                        let absent = try #require(VolumeID("absent"))
                        try await volumes.deleteVolume(absent)
                        let refill = try Self.fillDisk(directory, isMounted: isMounted)
                        let noticed = try await until(within: .seconds(10), "\(service.readiness)") {
                            !service.readiness.isReady
                        }
                        FaultFigures.record(fault: 47, "not ready on a full disk", noticed)
                        print("on a full disk: \(service.readiness)")
                        #expect("\(service.readiness)".contains("database"), "\(service.readiness)")
                        // What was written is read, and a change is refused before it begins.
                        #expect(try await volumes.volumes().isEmpty)
                        let error = await #expect(throws: RPCError.self) { try await volumes.deleteVolume(absent) }
                        #expect(error?.failure?.className == "JournalUnavailable", "\(String(describing: error))")
                        #expect(!service.readiness.isReady)
                        try refill()
                        let recovery = try await until(within: .seconds(10), "\(service.readiness)") {
                            service.readiness == .ready
                        }
                        FaultFigures.record(fault: 47, "ready with space", recovery)
                        try await volumes.deleteVolume(absent)
                    }
                }
            }
        }
    }

    /// Records an error as an issue: thrown out of the process's body it would end it without a word.
    private static func recording(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            Issue.record(error)
        }
    }

    // MARK: Hurting

    /// Lends a volume worker that looks after itself five times a second.
    private static func withWorker(
        _ url: String,
        _ directory: String,
        _ body: (ManagerService, RabbitMQTransport) async throws -> Void
    ) async {
        await self.recording { try await self.lendWorker(url, directory, body) }
    }

    private static func lendWorker(
        _ url: String,
        _ directory: String,
        _ body: (ManagerService, RabbitMQTransport) async throws -> Void
    ) async throws {
        let transport = RabbitMQTransport(try FaultService.configuration(url))
        let configuration = try ServiceConfiguration(
            options: VolumeWorker.options,
            overrides: [
                "host": "node-1", "state_path": directory + "/state", "report_interval": "0.2", "max_capacity_gb": "4",
            ],
            environment: [:]
        )
        var logger = Logger(label: "worker")
        logger.logLevel = .critical
        let context = ManagerContext(configuration: configuration, transport: transport, logger: logger)
        try await withManagerService(try VolumeWorker.service(in: context)) { service in
            try await until(within: .seconds(10), "\(service.readiness)") { service.readiness == .ready }
            try await body(service, transport)
        }
        await transport.close()
    }

    /// Cuts the connections of this process to a port, and answers how many there were.
    private static func breakConnections(to port: Int) -> Int {
        var count = 0
        for descriptor in CInt(3)..<1024 {
            var address = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) == 0 }
            }
            // The port is at the same place in the addresses of both families.
            guard isConnected, Int(UInt16(bigEndian: address.sin_port)) == port else { continue }
            shutdown(descriptor, CInt(SHUT_RDWR))
            count += 1
        }
        return count
    }

    /// Leaves no space, and answers what gives it back.
    private static func fillDisk(_ directory: String, isMounted: Bool) throws -> () throws -> Void {
        guard isMounted else {
            var limits = rlimit()
            try #require(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limits) == 0)
            var none = limits
            none.rlim_cur = 4096
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &none) == 0)
            let before = limits
            return {
                var limits = before
                try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limits) == 0)
            }
        }
        let path = directory + "/filler"
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        try #require(file >= 0)
        let block = [UInt8](repeating: 1, count: 1024)
        while write(file, block, block.count) > 0 {}
        close(file)
        return { try FileManager.default.removeItem(atPath: path) }
    }
}
