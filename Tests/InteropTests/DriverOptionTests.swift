import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

/// Options of oslo's driver that the two sides set on their own, each with the real oslo.messaging on the other side.
@Suite(.serialized, .timeLimit(.minutes(3))) struct DriverOptionTests {
    // MARK: Compression

    @Test(arguments: ["gzip", "bzip2"])
    func `wire contract 2.2: Python with compression calls a server that knows nothing of it`(
        _ name: String
    ) async throws {
        try await self.withServer { topic, _ in
            try await withPythonPeer("client.py", options: "kombu_compression=\(name)") { client in
                let text = JSONValue.string(String(repeating: "größer ", count: 50_000))
                let answer = try await self.echo(text, topic, client)
                #expect(answer["result"] == text)
            }
        }
    }

    @Test(arguments: ["gzip", "bz2"])
    func `wire contract 2.2: Python without the option reads what we compress, requests and replies`(
        _ name: String
    ) async throws {
        let options = "kombu_compression=\(name)"
        let text = JSONValue.string(String(repeating: "größer ", count: 50_000))
        let topic = InteropEnvironment.uniqueTopic("packed")
        try await withPythonPeer("server.py", ["--topic", topic, "--server", "one"]) { _ in
            try await withTransport(options: options) { transport in
                let client = RPCClient(transport, target: .topic(topic))
                let answer = try await client.call("echo", ["value": text], timeout: .seconds(20))
                #expect(answer == text)
            }
        }
        try await self.withServer(options: options) { topic, _ in
            try await withPythonPeer("client.py") { client in
                let answer = try await self.echo(text, topic, client)
                #expect(answer["result"] == text)
            }
        }
    }

    // MARK: Stable names

    @Test func `wire contract 1.3: both sides have stable names, each its own`() async throws {
        let process = "interop-\(UUID().uuidString.prefix(8).lowercased())"
        defer {
            // Python's counter, which it leaves behind.
            try? FileManager.default.removeItem(atPath: "/dev/shm/node9_\(process)-python_qmanager")
        }
        @Sendable func options(_ side: String) -> String {
            "use_queue_manager=true&hostname=node9&processname=\(process)-\(side)"
        }
        let topic = InteropEnvironment.uniqueTopic("named")
        let arguments = ["--topic", topic, "--server", "one"]
        for _ in 1...2 {
            try await withPythonPeer("server.py", arguments, options: options("python")) { _ in
                try await withTransport(options: options("swift")) { transport in
                    let client = RPCClient(transport, target: .topic(topic))
                    let answer = try await client.call("echo", ["value": 1], timeout: .seconds(20))
                    #expect(answer == 1)
                    let queue = try await transport.openReplyQueue(deadline: nil)
                    #expect(queue == "reply_node9:\(process)-swift:1")
                }
            }
        }
        try await self.withServer(options: options("swift")) { topic, received in
            try await withPythonPeer("client.py", options: options("python")) { client in
                #expect(try await self.echo("x", topic, client)["result"] == "x")
                try await self.fanout(7, topic, client)
                #expect(await received.first { _ in true } == ["n": 7])
            }
        }
    }

    // MARK: Streams

    private static let stream =
        "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true&rabbit_qos_prefetch_count=5"

    @Test func `wire contract 1.3, replay: casts of Python are not given to a server that starts later`() async throws {
        let topic = InteropEnvironment.uniqueTopic("stream")
        try await withPythonPeer("client.py", options: Self.stream) { client in
            for start in 0..<3 {
                try await self.withServer(topic, options: Self.stream) { topic, received in
                    for number in 0..<5 { try await self.fanout(start * 10 + number, topic, client) }
                    var seen: [JSONValue] = []
                    for await arguments in received {
                        seen.append(arguments)
                        if seen.count == 5 { break }
                    }
                    #expect(seen == (0..<5).map { ["n": .integer(start * 10 + $0)] })
                }
            }
        }
    }

    @Test func `wire contract 1.3: Python and Swift servers read the same stream`() async throws {
        let topic = InteropEnvironment.uniqueTopic("stream")
        let arguments = ["--topic", topic, "--server", "one"]
        try await withPythonPeer("server.py", arguments, options: Self.stream) { _ in
            try await self.withServer(topic, options: Self.stream) { topic, received in
                try await withTransport(options: Self.stream) { transport in
                    let client = RPCClient(transport, target: .topic(topic))
                    for number in 0..<12 { try await client.fanout("record", ["n": .integer(number)]) }
                    let expected = (0..<12).map { JSONValue.object(["n": .integer($0)]) }
                    let python = try await client.on(host: "one")
                        .call("received", ["count": 12], timeout: .seconds(20))
                    #expect(Set(python.arrayValue ?? []) == Set(expected))
                    var seen: Set<JSONValue> = []
                    for await arguments in received {
                        seen.insert(arguments)
                        if seen.count == 12 { break }
                    }
                    #expect(seen == Set(expected))
                }
            }
        }
    }

    // MARK: Support

    /// Lends a Swift server, its topic and what its method `record` was given.
    private func withServer(
        _ topic: String = InteropEnvironment.uniqueTopic("options"),
        options: String = "",
        _ body: @escaping @Sendable (_ topic: String, _ received: AsyncStream<JSONValue>) async throws -> Void
    ) async throws {
        let (stream, records) = AsyncStream<JSONValue>.makeStream()
        let endpoint = RPCEndpoint {
            RPCHandler("echo") { _, arguments in arguments["value"] ?? nil }
            RPCHandler("record") { _, arguments in
                records.yield(arguments)
                return nil
            }
        }
        try await withTransport(options: options) { transport in
            let target = Target.topic(topic, server: "swift")
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            try await withRPCServer(
                on: transport,
                target: target,
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                try await body(topic, stream)
            }
        }
    }

    private func echo(_ value: JSONValue, _ topic: String, _ client: PythonPeer) async throws -> JSONValue {
        try await client.ask([
            "op": "call", "topic": .string(topic), "timeout": 60, "method": "echo", "args": ["value": value],
        ])
    }

    private func fanout(_ number: Int, _ topic: String, _ client: PythonPeer) async throws {
        _ = try await client.ask([
            "op": "fanout", "topic": .string(topic), "method": "record", "args": ["n": .integer(number)],
        ])
    }
}
