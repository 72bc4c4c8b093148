import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import TestSupport
import Testing
import VolumeService

/// What a running program makes of a configuration that it is told to read again.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ConfigurationFaultTests {
    /// A worker that reads a file, somebody who asks it, and the file.
    private struct Stage {
        let worker: ProgramProcess
        let volumes: VolumeAPI
        let path: String

        func write(_ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: self.path), options: .atomic)
        }

        func configuration() async throws -> [String: JSONValue] {
            let answer = try await self.volumes.client.call(ManagerRPC.serviceConfig, timeout: .seconds(5))
            return try #require(answer.objectValue)
        }

        /// Writes a file, if there is one to be written, and waits for what the worker says of it.
        func reload(_ text: String?, expecting message: String) async throws -> String {
            if let text { try self.write(text) }
            let before = try self.worker.lines(with: message).count
            self.worker.send(SIGHUP)
            let lines = try await self.worker.waitForLines(before + 1, with: message, within: .seconds(10))
            return try #require(lines.last)
        }
    }

    private static let taken = "configuration is read again"
    private static let refused = "configuration is refused"

    private func withStage(_ body: (Stage) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let path = directory + "/worker.json"
                try Data(Self.file(url, capacity: "4").utf8).write(to: URL(fileURLWithPath: path))
                let arguments = [
                    "--host", "node-1", "--config-file", path, "--option", "state_path=\(directory)/state",
                ]
                try await ProgramProcess.with("volume-worker", arguments, in: directory) { worker in
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                    do {
                        try await worker.waitForLines(with: "ready")
                        let volumes = VolumeAPI(transport).on(host: "node-1")
                        try await body(Stage(worker: worker, volumes: volumes, path: path))
                    } catch {
                        await transport.close()
                        throw error
                    }
                    await transport.close()
                }
            }
        }
    }

    private static func file(
        _ url: String,
        capacity: String,
        level: String = "info",
        topic: String = "cinder-volume"
    ) -> String {
        """
        {"transport_url": "\(url)", "log_level": "\(level)", "topic": "\(topic)", "max_capacity_gb": \(capacity)}
        """
    }

    @Test func `fault 41: a good configuration is taken over, a bad or unreadable one changes nothing`() async throws {
        try await self.withStage { stage in
            let start = try await stage.configuration()
            #expect(start["max_capacity_gb"] == 4.0)
            let url = "rabbit://me:hush-hush@elsewhere/vh"

            // Good: the mutable options change, and what depends on them; the others wait, and no secret is told.
            let begun = ContinuousClock.now
            let line = try await stage.reload(
                Self.file(url, capacity: "6", level: "debug", topic: "other"),
                expecting: Self.taken
            )
            FaultFigures.record(fault: 41, "configuration taken over", .now - begun)
            for difference in ["log_level: \"info\" -> \"debug\"", "max_capacity_gb: 4.0 -> 6.0"] {
                #expect(line.contains(difference), "\(line)")
            }
            // Said once, however often the same file is read.
            _ = try await stage.reload(nil, expecting: Self.taken)
            let waiting = try stage.worker.lines(with: "configuration has changes that need a restart")
            #expect(waiting.count == 1)
            for name in ["topic: ", "transport_url: "] { #expect(waiting.last?.contains(name) == true) }
            #expect(try stage.worker.lines(with: "hush").isEmpty)
            let good = try await stage.configuration()
            #expect(good["max_capacity_gb"] == 6.0)
            #expect(good["log_level"] == "debug")
            #expect(good["topic"] == "cinder-volume")
            #expect(good["transport_url"] == start["transport_url"])
            #expect(try await stage.volumes.capabilities(discover: true).totalCapacity == 6)
            #expect(try !stage.worker.lines(with: " debug ").isEmpty)

            // Bad: one wrong value keeps the right ones from being taken over.
            let bad = try await stage.reload(
                Self.file(url, capacity: "\"much\"", level: "error"),
                expecting: Self.refused
            )
            #expect(bad.contains("max_capacity_gb"))
            #expect(try await stage.configuration() == good)
            for text in ["{", "[]", "{\"no_such_option\": 1}"] {
                _ = try await stage.reload(text, expecting: Self.refused)
                #expect(try await stage.configuration() == good)
            }

            // Unreadable: it is gone, and then no file.
            try FileManager.default.removeItem(atPath: stage.path)
            _ = try await stage.reload(nil, expecting: Self.refused)
            try FileManager.default.createDirectory(atPath: stage.path, withIntermediateDirectories: false)
            _ = try await stage.reload(nil, expecting: Self.refused)
            #expect(try await stage.configuration() == good)
            #expect(stage.worker.isRunning)

            // And back.
            try FileManager.default.removeItem(atPath: stage.path)
            _ = try await stage.reload(Self.file(url, capacity: "5"), expecting: Self.taken)
            #expect(try await stage.configuration()["max_capacity_gb"] == 5.0)
            #expect(try await stage.volumes.capabilities(discover: true).totalCapacity == 5)
            #expect(try stage.worker.lines(with: "hush").isEmpty)
        }
    }
}
