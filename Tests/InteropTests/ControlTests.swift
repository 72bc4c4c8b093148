import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

/// Asking workers about themselves: by the command line, and from Python.
@Suite(.pythonClient, .serialized, .timeLimit(.minutes(3))) struct ControlTests {
    private static let endpoint = RPCEndpoint(version: "3.2") {
        RPCHandler("wait", since: "3.0") { _, _ in
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        RPCHandler("echo", since: "3.0", timeLimit: .seconds(90)) { _, arguments in arguments }
    }

    /// Runs workers of these hosts, with two handler slots each.
    private func withWorkers(
        _ hosts: [String],
        topic: String,
        _ body: @escaping @Sendable (RPCClient) async throws -> Void
    ) async throws {
        try await withTransport { transport in
            let client = RPCClient(transport, target: .topic(topic)).prepare { $0.version = "3.0" }
            try await self.serve(hosts[...], topic: topic, on: transport) { try await body(client) }
        }
    }

    private func serve(
        _ hosts: ArraySlice<String>,
        topic: String,
        on transport: RabbitMQTransport,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard let host = hosts.first else { return try await body() }
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 2
        configuration.gracePeriod = .milliseconds(100)
        configuration.serviceVersion = "7.1"
        try await withRPCServer(
            on: transport,
            target: .topic(topic, server: host),
            endpoints: [Self.endpoint],
            configuration: configuration
        ) { _ in try await self.serve(hosts.dropFirst(), topic: topic, on: transport, body) }
    }

    private func steward(_ arguments: String...) async throws -> StewardProgram.Run {
        try await StewardProgram.run(arguments)
    }

    @Test func `a worker with all its handlers busy answers ping, stats and info`() async throws {
        let topic = InteropEnvironment.uniqueTopic("busy")
        try await self.withWorkers(["one"], topic: topic) { client in
            _ = try await client.call("echo", ["value": 1], timeout: .seconds(20))
            for _ in 1...4 { try await client.cast("wait") }
            var ping: JSONValue = .null
            // The casts are on their way; the worker says itself when they have come.
            for _ in 1...40 where ping["running"] != 2 || ping["waiting"] != 2 {
                let run = try await self.steward("ping", "--topic", topic, "--server", "one", "--output", "json")
                #expect(run.code == 0)
                ping = try #require(try run.json()["result"])
            }
            #expect(ping["running"] == 2)
            #expect(ping["waiting"] == 2)
            #expect(ping["host"] == "one")
            #expect(ping["state"] == "accepting")
            #expect(ping["service_version"] == "7.1")
            let roundTrip = try #require(ping["round_trip"]?.doubleValue)
            print("steward ping of a busy worker: \((roundTrip * 10_000).rounded() / 10) ms")
            #expect(roundTrip < 1)

            let text = try await self.steward("ping", "--topic", topic, "--server", "one")
            #expect(text.output.hasPrefix("one of \(topic) is accepting, up "))
            #expect(text.output.contains(": 2 of 2 handlers busy, 2 requests waiting; answered in "))

            let stats = try await self.steward("stats", "--topic", topic, "--server", "one", "--output", "json")
            let methods = try #require(try stats.json()["result"]?["methods"]?.arrayValue)
            #expect(methods.map { $0["name"]?.stringValue } == ["echo", "wait"])
            #expect(methods[0]["succeeded"] == 1)
            #expect(methods[0]["run_time"]?["count"] == 1)
            #expect(methods[1]["in_flight"] == 2)
            #expect(methods[1]["run_time"] == nil || methods[1]["run_time"] == .null)
            #expect(try #require(stats.json()["result"]?["round_trip"]?.doubleValue) < 1)
            let table = try await self.steward("stats", "--topic", topic, "--server", "one").output
            #expect(table.contains("METHOD") && table.contains("WAIT P99"))
            #expect(table.split(separator: "\n").contains { $0.hasPrefix("wait") && $0.contains(" 2 ") })

            // Any worker of the topic answers where no host is named.
            let info = try await self.steward("info", "--topic", topic, "--output", "json").json()
            #expect(info["result"]?["endpoints"]?[0]?["version"] == "3.2")
            #expect(info["result"]?["limits"]?["concurrency"] == 2)
            let process = ProcessInfo.processInfo.processIdentifier
            #expect(info["result"]?["process_id"]?.description == "\(process)")
            let facts = try await self.steward("info", "--topic", topic, "--server", "one").output
            #expect(facts.contains("service version    7.1\n"))
            #expect(facts.contains("1 min 30 s"))
        }
    }

    @Test func `hosts finds all workers of a topic, also two of one name`() async throws {
        let topic = InteropEnvironment.uniqueTopic("hosts")
        try await self.withWorkers(["two", "one", "one"], topic: topic) { _ in
            let text = try await self.steward("hosts", "--topic", topic, "--within", "2")
            #expect(text.code == 0)
            let lines = text.output.split(separator: "\n")
            #expect(lines.map { $0.split(separator: " ").first } == ["HOST", "one", "one", "two"])
            #expect(lines.dropFirst().allSatisfy { $0.contains(" accepting  3.2 ") && $0.contains(" 0/2 ") })
            let json = try await self.steward("hosts", "--topic", topic, "--within", "2", "--output", "json").json()
            let hosts = try #require(json["result"]?.arrayValue)
            #expect(hosts.map { $0["host"]?.stringValue } == ["one", "one", "two"])
            #expect(Set(hosts.compactMap { $0["incarnation"]?.stringValue }).count == 3)
        }
        let nobody = try await self.steward("hosts", "--topic", topic, "--within", "0.5", "--output", "json")
        #expect(nobody.code == 4)
        #expect(try nobody.json()["error"]?["kind"] == "undeliverable")
    }

    @Test(arguments: ["ping", "info", "stats"])
    func `a host that is not there is told at once, with exit code 4`(_ command: String) async throws {
        let topic = InteropEnvironment.uniqueTopic("nobody")
        let run = try await self.steward(command, "--topic", topic, "--server", "gone", "--timeout", "60")
        #expect(run.code == 4)
        #expect(run.output == "")
        #expect(run.errors.contains("there is no worker 'gone' of topic '\(topic)'"))
        #expect(run.duration < .seconds(10))
    }

    @Test func `a worker that takes the question and says nothing is exit code 3`() async throws {
        let topic = InteropEnvironment.uniqueTopic("silent")
        try await withTransport { transport in
            let target = Target.topic(topic, server: "h")
            let listener = try await transport.listen(on: .control(target), prefetch: 10) { _ in }
            let run = try await self.steward(
                "ping",
                "--topic",
                topic,
                "--server",
                "h",
                "--timeout",
                "2",
                "--output",
                "json"
            )
            #expect(run.code == 3)
            #expect(try run.json()["error"]?["kind"] == "timeout")
            await listener.close()
        }
    }

    @Test func `something else that answers is exit code 5, and is not listed`() async throws {
        let topic = InteropEnvironment.uniqueTopic("other")
        let impostor = RPCEndpoint { RPCHandler("ping") { _, _ in ["pong", "\u{1B}[2J"] } }
        try await withTransport { transport in
            var configuration = RPCServer.Configuration()
            configuration.answersControl = false
            try await withRPCServer(
                on: transport,
                target: Target.topic(topic, server: "h").control,
                endpoints: [impostor],
                configuration: configuration
            ) { _ in
                let run = try await self.steward("ping", "--topic", topic, "--server", "h")
                #expect(run.code == 5)
                #expect(run.errors.contains("not one of a Steward worker"))
                #expect(try await self.steward("hosts", "--topic", topic, "--within", "0.5").code == 4)
            }
        }
    }

    @Test(arguments: [["ping", "--topic", "T", "--server", ""], ["stats", "--topic", ""], ["hosts"]])
    func `a question that is not complete is exit code 2`(_ arguments: [String]) async throws {
        let run = try await StewardProgram.run(arguments)
        #expect(run.code == 2)
        #expect(run.output == "")
        #expect(run.errors.contains("Usage"))
    }

    @Test func `Python asks a worker, too`() async throws {
        let topic = InteropEnvironment.uniqueTopic("python")
        let client = try #require(PythonClient.current)
        try await self.withWorkers(["one"], topic: topic) { _ in
            let question: [String: JSONValue] = [
                "op": "call", "topic": .string("\(topic)_control"), "server": "one", "timeout": 20,
            ]
            let ping = try await client.ask(.object(question.merging(["method": "ping"]) { $1 }))["result"]
            #expect(ping?["host"] == "one")
            #expect(ping?["topic"] == .string(topic))
            #expect(ping?["versions"] == ["3.2"])
            let stats = try await client.ask(.object(question.merging(["method": "stats"]) { $1 }))["result"]
            #expect(stats?["incarnation"] == ping?["incarnation"])
            #expect(stats?["methods"]?.arrayValue?.count == 2)
        }
    }
}
