import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import TestSupport
import Testing

/// What a running worker logs is seen and changed by the command line, over RPC and by its configuration.
@Suite(.timeLimit(.minutes(3))) struct LogLevelTests {
    private struct Run {
        let code: Int32
        let output: String

        /// The answer as `prefix` to `level`.
        func levels() throws -> [String: String] {
            let entries = try JSONValue(parsing: Array(self.output.utf8))["result"]?.arrayValue ?? []
            return Dictionary(
                uniqueKeysWithValues: entries.map {
                    ($0["prefix"]?.stringValue ?? "?", $0["level"]?.stringValue ?? "?")
                }
            )
        }
    }

    private struct Stage {
        let url: String
        let path: String
        let worker: ProgramProcess
        let client: RPCClient

        func steward(_ arguments: String..., json: Bool = true) async throws -> Run {
            let process = Process()
            let products = ProcessInfo.processInfo.environment["STEWARD_BIN"] ?? ".build/debug"
            process.executableURL = URL(filePath: products).appending(path: "steward")
            process.arguments = ["log-level", "--url", self.url] + (json ? ["--output", "json"] : []) + arguments
            process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            // Less is written than a pipe holds.
            await withCheckedContinuation { (ended: CheckedContinuation<Void, Never>) in
                process.terminationHandler = { _ in ended.resume() }
                do {
                    try process.run()
                } catch {
                    Issue.record(error)
                    ended.resume()
                }
            }
            try pipe.fileHandleForWriting.close()
            let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
            return Run(code: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
        }

        func reload(level: String) async throws {
            let before = try self.worker.lines(with: "configuration is read again").count
            try Data(#"{"log_level": "\#(level)"}"#.utf8).write(to: URL(filePath: self.path), options: .atomic)
            self.worker.send(SIGHUP)
            try await self.worker.waitForLines(before + 1, with: "configuration is read again")
        }
    }

    private func withWorker(_ body: (Stage) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let path = directory + "/worker.json"
                try Data(#"{"log_level": "info"}"#.utf8).write(to: URL(filePath: path))
                let arguments = [
                    "--host", "node-1", "--config-file", path, "--option", "state_path=\(directory)/state",
                    "--option", "log_format=json",
                ]
                let environment = ["STEWARD_TRANSPORT_URL": url]
                try await ProgramProcess.with("volume-worker", arguments, environment: environment, in: directory) {
                    worker in
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                    let client = RPCClient(transport, target: .topic("cinder-volume", server: "node-1"))
                    do {
                        try await worker.waitForLines(with: "\"message\":\"ready\"")
                        try await body(Stage(url: url, path: path, worker: worker, client: client))
                    } catch {
                        await transport.close()
                        throw error
                    }
                    await transport.close()
                }
            }
        }
    }

    @Test func `levels are shown and set by the command, and a new configuration goes before them`() async throws {
        try await self.withWorker { stage in
            let shown = try await stage.steward("cinder-volume", "node-1")
            #expect(shown.code == 0)
            #expect(try shown.levels() == ["": "info"])
            #expect(try stage.worker.lines(with: #""level":"debug""#).isEmpty)

            let set = try await stage.steward("cinder-volume", "node-1", "debug")
            #expect(try set.levels() == ["": "debug"])
            try await stage.worker.waitForLines(with: #""level":"debug""#)
            let prefixed = try await stage.steward("cinder-volume", "node-1", "error", "--prefix", "Messaging")
            #expect(try prefixed.levels() == ["Messaging": "error"])
            let text = try await stage.steward("cinder-volume", json: false)
            #expect(text.output.contains("(all)") && text.output.contains("Messaging"))

            // Read again without a change it leaves what was set; with one it goes before that.
            try await stage.reload(level: "info")
            #expect(try await stage.steward("cinder-volume", "node-1").levels() == ["": "debug", "Messaging": "error"])
            try await stage.reload(level: "notice")
            #expect(
                try await stage.steward("cinder-volume", "node-1").levels() == ["": "notice", "Messaging": "error"]
            )
            #expect(try stage.worker.lines(with: "configuration goes before the level").count == 1)
            let reset = try await stage.steward("cinder-volume", "node-1", "default", "--prefix", "Messaging")
            #expect(try reset.levels() == ["Messaging": "notice"])

            // Each line is an object, whatever was logged meanwhile.
            for line in try stage.worker.lines(with: "") {
                #expect(try JSONValue(parsing: Array(line.utf8))["level"]?.stringValue != nil)
            }
        }
    }

    @Test func `a wrong level is refused: by the command as wrong usage, by the worker as cinder does`() async throws {
        try await self.withWorker { stage in
            let wrong = try await stage.steward("cinder-volume", "node-1", "loud")
            let homeless = try await stage.steward("cinder-volume", "debug")
            let lost = try await stage.steward("cinder-volume", "nobody")
            #expect([wrong.code, homeless.code, lost.code] == [2, 2, 4])
            for level in ["loud", nil] {
                let error = await #expect(throws: RPCError.self) {
                    try await stage.client.call(ManagerRPC.setLogLevels, LogLevelRequest(level: level))
                }
                #expect(error?.failure?.className == "InvalidInput")
            }
            let long = LogLevelRequest(prefix: String(repeating: "p", count: 256), level: "debug")
            await #expect(throws: RPCError.self) { try await stage.client.call(ManagerRPC.setLogLevels, long) }
        }
    }

    @Test func `levels travel as cinder's versioned objects, plain arguments are understood`() async throws {
        try await self.withWorker { stage in
            let client = stage.client.prepare { $0.version = "1.0" }
            let object: JSONValue = [
                "versioned_object.name": "LogLevel", "versioned_object.namespace": "cinder",
                "versioned_object.version": "1.0", "versioned_object.data": ["prefix": "amqp", "level": "ERROR"],
                "versioned_object.changes": ["prefix", "level"],
            ]
            _ = try await client.call("set_log_levels", ["log_request": object])
            let list = try await client.call("get_log_levels", ["prefix": "amqp"])
            #expect(list["versioned_object.name"] == "LogLevelList")
            let level = list["versioned_object.data"]?["objects"]?.arrayValue?.first
            #expect(level?["versioned_object.name"] == "LogLevel")
            #expect(level?["versioned_object.data"] == ["prefix": "amqp", "level": "ERROR"])
            _ = try await client.call("set_log_levels", ["prefix": "amqp", "level": "default"])
            let none = try await client.call("get_log_levels", ["log_request": ["prefix": "amqp", "level": nil]])
            let rest = none["versioned_object.data"]?["objects"]?.arrayValue?.first?["versioned_object.data"]
            #expect(rest == ["prefix": "amqp", "level": "INFO"])
        }
    }
}
