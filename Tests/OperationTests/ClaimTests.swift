import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing
import VolumeService

/// Schedulers that choose among the same hosts at the same time: whole programs over a real broker.
@Suite(.timeLimit(.minutes(5))) struct ClaimTests {
    /// What each worker has, in GiB.
    private static let capacities = ["node-1": 34, "node-2": 33, "node-3": 33]
    private static let schedulers = ["scheduler-1", "scheduler-2"]

    private struct Stage {
        let scheduler: VolumeSchedulerAPI
        let volumes: VolumeAPI
        let directory: String

        /// The volumes on the disk of a host.
        func files(of host: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(host)/volumes")
        }
    }

    /// Two schedulers and three workers.
    private func withStage(_ body: (Stage) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let environment = ["STEWARD_TRANSPORT_URL": url]
                var programs = Self.schedulers.map { ("scheduler-worker", ["--host", $0]) }
                programs += Self.capacities.map { host, capacity in
                    let options = ["state_path=\(directory)/\(host)", "max_capacity_gb=\(capacity)"]
                    return ("volume-worker", ["--host", host] + options.flatMap { ["--option", $0] })
                }
                try await Self.with(programs[...], environment, in: directory) {
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                    let stage = Stage(
                        scheduler: VolumeSchedulerAPI(transport),
                        volumes: VolumeAPI(transport),
                        directory: directory
                    )
                    do {
                        try await body(stage)
                    } catch {
                        await transport.close()
                        throw error
                    }
                    await transport.close()
                }
            }
        }
    }

    /// Runs programs at the same time, all of them ready when `body` starts.
    private static func with(
        _ programs: ArraySlice<(String, [String])>,
        _ environment: [String: String],
        in directory: String,
        _ body: () async throws -> Void
    ) async throws {
        guard let (program, arguments) = programs.first else { return try await body() }
        try await ProgramProcess.with(program, arguments, environment: environment, in: directory) { process in
            try await Self.with(programs.dropFirst(), environment, in: directory) {
                try await process.waitForLines(with: "ready")
                try await body()
            }
        }
    }

    /// Asks for volumes, all at once; answers where each of them was sent, and the errors of the others.
    private func create(
        _ count: Int,
        _ stage: Stage
    ) async throws -> (hosts: [VolumeID: String], errors: [VolumeError]) {
        try await withThrowingTaskGroup(of: Result<(VolumeID, String), VolumeError>.self) { group in
            for number in 0..<count {
                let id = try #require(VolumeID("v-\(number)"))
                group.addTask {
                    do {
                        let request = ScheduleVolume(volumeID: id, size: 1)
                        return .success((id, try await stage.scheduler.createVolume(request).host))
                    } catch let error as VolumeError {
                        return .failure(error)
                    }
                }
            }
            var (hosts, errors): ([VolumeID: String], [VolumeError]) = ([:], [])
            for try await outcome in group {
                switch outcome {
                case .success(let (id, host)): hosts[id] = host
                case .failure(let error): errors.append(error)
                }
            }
            return (hosts, errors)
        }
    }

    @Test func `two schedulers fill three workers with a hundred volumes at once, and not one more`() async throws {
        try await self.withStage { stage in
            for host in Self.schedulers {
                try await until(within: .seconds(20), "\(host) knows all hosts") {
                    try await stage.scheduler.on(host: host).hosts().count == Self.capacities.count
                }
            }
            let (hosts, errors) = try await self.create(110, stage)
            #expect(hosts.count == 100)
            #expect(errors.count == 10)
            #expect(errors.allSatisfy { $0.code == .noValidBackend }, "\(errors)")
            var seen: [String] = []
            for (host, capacity) in Self.capacities {
                try await until(within: .seconds(30), "all volumes of \(host) are there") {
                    try await stage.volumes.on(host: host).volumes().filter { $0.status == .available }.count
                        == capacity
                }
                let volumes = try await stage.volumes.on(host: host).volumes()
                #expect(volumes.count == capacity)
                let expected = hosts.filter { $0.value == host }.keys.map { "volume-\($0.text)" }.sorted()
                let files = try stage.files(of: host)
                #expect(files.sorted() == expected)
                seen += files
            }
            // Each of them once, wherever it is.
            #expect(Set(seen).count == seen.count)
            #expect(seen.count == 100)
        }
    }
}
