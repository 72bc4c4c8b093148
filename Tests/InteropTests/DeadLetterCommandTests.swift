import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

/// `steward dead-letters` with letters that lie in a real queue.
@Suite(.timeLimit(.minutes(3))) struct DeadLetterCommandTests {
    /// Puts letters of three ids among a new topic's dead letters, as a server would; `gone` came from a queue that does
    /// not exist.
    private func withLetters(_ body: (String, RabbitMQTransport) async throws -> Void) async throws {
        let topic = InteropEnvironment.uniqueTopic("letters")
        try await withTransport { transport in
            for id in ["one", "two", "gone"] {
                let request: JSONValue = [
                    "method": "work", "args": ["password": "hunter2"], "_unique_id": .string(id),
                    "_context_user": "u", "_context_auth_token": "t0ken",
                ]
                try await transport.send(
                    Message(
                        body: Array(request.description.utf8),
                        headers: [
                            "steward-attempts": "5", "steward-reason": "failed", "steward-method": "work",
                            "steward-error": "Broken (tests): \u{1B}[31mred", "steward-host": "node-1",
                            "steward-queue": id == "gone" ? "\(topic).gone" : topic, "steward-unique-id": id,
                            "steward-first-time": "2026-11-22T19:30:00.250Z",
                            "steward-last-time": "2026-11-22T19:31:00.250Z",
                        ]
                    ),
                    to: .deadLetters(topic: topic),
                    options: SendOptions(isMandatory: true)
                )
            }
            try await body(topic, transport)
            try await DeadLetterQueue(transport, topic: topic).drop(.all)
        }
    }

    private func steward(_ command: String, _ topic: String, _ arguments: String...) async throws -> StewardProgram.Run
    {
        try await StewardProgram.run(["dead-letters", command, "--topic", topic] + arguments)
    }

    @Test func `a list shows the letters in order and leaves them there`() async throws {
        try await self.withLetters { topic, _ in
            for _ in 1...2 {
                let run = try await self.steward("list", topic, "--output", "json")
                #expect(run.code == 0)
                let letters = try run.json()["result"]?["dead_letters"]?.arrayValue ?? []
                #expect(letters.map { $0["id"] } == ["one", "two", "gone"])
                #expect(letters[0]["method"] == "work")
                #expect(letters[0]["attempts"] == 5)
                #expect(letters[0]["reason"] == "failed")
                #expect(letters[0]["queue"] == .string(topic))
                #expect(!run.output.contains("hunter2"))
            }
            let text = try await self.steward("list", topic)
            #expect(text.output.split(separator: "\n").count == 4)
            #expect(!text.output.contains("\u{1B}"))
            #expect(!text.output.contains("hunter2"))
        }
    }

    @Test func `arguments are shown to those who ask, a token to nobody`() async throws {
        try await self.withLetters { topic, _ in
            let plain = try await self.steward("show", topic, "--id", "two")
            #expect(plain.code == 0)
            #expect(plain.output.contains("2026-11-22T19:31:00.250Z"))
            #expect(!plain.output.contains("hunter2"))
            let full = try await self.steward("show", topic, "--id", "two", "--show-arguments")
            #expect(full.output.contains("hunter2"))
            #expect(!full.output.contains("t0ken"))
            let json = try await self.steward("show", topic, "--id", "two", "--show-arguments", "--output", "json")
            #expect(try json.json()["result"]?["context"] == ["user": "u"])
        }
    }

    @Test func `a letter that is not there is exit code 4`() async throws {
        try await self.withLetters { topic, _ in
            for command in ["show", "replay", "drop"] {
                let run = try await self.steward(command, topic, "--id", "three", "--output", "json")
                #expect(run.code == 4)
                #expect(try run.json()["error"]?["kind"] == "undeliverable")
            }
            let some = try await self.steward("drop", topic, "--id", "three", "--id", "one", "--output", "json")
            #expect(some.code == 4)
            #expect(try some.json()["result"]?["dropped"] == ["one"])
            #expect(try some.json()["result"]?["missing"] == ["three"])
        }
    }

    @Test func `a dry run changes nothing, a drop does`() async throws {
        try await self.withLetters { topic, transport in
            let queue = DeadLetterQueue(transport, topic: topic)
            for command in ["drop", "replay"] {
                let run = try await self.steward(command, topic, "--all", "--dry-run", "--output", "json")
                #expect(run.code == 0)
                #expect(try run.json()["result"]?["dry_run"] == true)
                #expect(try await queue.list().count == 3)
            }
            let run = try await self.steward("drop", topic, "--id", "one", "--id", "gone")
            #expect(run.code == 0, "\(run.output)\(run.errors)")
            #expect(run.output.hasSuffix("2 dropped\n"))
            #expect(try await queue.list().map(\.id) == ["two"])
            let none = try await self.steward("drop", topic, "--method", "other")
            #expect(none.code == 0)
        }
    }

    @Test func `what is replayed is run, and what cannot be stays and says why`() async throws {
        try await self.withLetters { topic, transport in
            let ran = Collector<String>()
            let endpoint = RPCEndpoint {
                RPCHandler("work", delivery: .atLeastOnce) { context, _ in
                    await ran.add(context.request?.uniqueID ?? "-")
                    return .null
                }
            }
            try await withRPCServer(
                on: transport,
                target: .topic(topic, server: "node-1"),
                endpoints: [endpoint]
            ) { _ in
                let run = try await self.steward("replay", topic, "--all", "--output", "json")
                #expect(run.code == 4)
                #expect(try run.json()["result"]?["replayed"] == ["one", "two"])
                #expect(try run.json()["result"]?["failed"]?[0]?["id"] == "gone")
                try await ran.reach(2)
            }
            #expect(Set(await ran.values) == ["one", "two"])
            #expect(try await DeadLetterQueue(transport, topic: topic).list().map(\.id) == ["gone"])
        }
    }

    @Test func `a topic without dead letters has none`() async throws {
        let topic = InteropEnvironment.uniqueTopic("none")
        let text = try await self.steward("list", topic)
        #expect(text.output == "no dead letters\n")
        #expect(text.code == 0)
        let run = try await self.steward("replay", topic, "--all", "--output", "json")
        #expect(run.code == 0)
        #expect(try run.json()["result"]?["replayed"] == [])
    }

    private actor Collector<Value: Sendable> {
        private(set) var values: [Value] = []

        func add(_ value: Value) { self.values.append(value) }

        /// Waits until there are so many, for 20 s at most.
        func reach(_ count: Int) async throws {
            for _ in 1...400 where self.values.count < count { try await Task.sleep(for: .milliseconds(50)) }
        }
    }
}
