import Messaging
import MessagingRabbitMQ
import Testing

/// Both sides use the same option of oslo's driver, and so the same exchanges, queues and bodies (wire contract 1.3, 2.2).
@Suite(.serialized, .timeLimit(.minutes(3))) struct QueueProfileTests {
    private static let options = [
        "amqp_durable_queues=true", "amqp_auto_delete=true", "rabbit_transient_queues_ttl=60",
        "rabbit_quorum_queue=true&rabbit_quorum_delivery_limit=3", "rabbit_transient_quorum_queue=true",
        "rabbit_quorum_queue=true&rabbit_transient_quorum_queue=true", "rabbit_qos_prefetch_count=2",
        "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true&rabbit_qos_prefetch_count=5",
        "rabbit_ha_queues=true&enable_cancel_on_failover=true", "direct_mandatory_flag=false",
        // Python's own name for it; `bz2`, which its documentation gives, it does not find.
        "kombu_compression=gzip", "kombu_compression=bzip2",
    ]

    // An exchange of its own: that of the other tests, of the same name and other flags, would be in the way.
    @Test(arguments: options) func `a Swift client and a Python server meet`(_ options: String) async throws {
        let name = InteropEnvironment.uniqueTopic("profile")
        let arguments = ["--topic", name, "--server", "one", "--exchange", name]
        try await withPythonPeer("server.py", arguments, options: options) { _ in
            try await withTransport(options: options) { transport in
                let client = RPCClient(transport, target: .topic(name, exchange: name))
                let text = JSONValue.string(String(repeating: "text ", count: 1000))
                let echoed = try await client.call("echo", ["value": text], timeout: .seconds(20))
                #expect(echoed == text)
                try await client.fanout("record", ["n": 1])
                let received = try await client.on(host: "one").call("received", ["count": 1], timeout: .seconds(20))
                #expect(received == [["n": 1]])
            }
        }
    }

    @Test(arguments: options) func `a Python client and a Swift server meet`(_ options: String) async throws {
        let name = InteropEnvironment.uniqueTopic("profile")
        let (stream, records) = AsyncStream<JSONValue>.makeStream()
        let endpoint = RPCEndpoint {
            RPCHandler("echo") { _, arguments in arguments["value"] ?? nil }
            RPCHandler("record") { _, arguments in
                records.yield(arguments)
                return nil
            }
        }
        try await withTransport(options: options) { transport in
            let target = Target.topic(name, server: "one", exchange: name)
            try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
                try await withPythonPeer("client.py", options: options) { client in
                    let command: [String: JSONValue] = [
                        "op": "call", "topic": .string(name), "exchange": .string(name), "timeout": 20,
                    ]
                    let text = JSONValue.string(String(repeating: "text ", count: 1000))
                    let call = command.merging(["method": "echo", "args": ["value": text]]) { $1 }
                    let answer = try await client.ask(.object(call))
                    #expect(answer["result"] == text)
                    let cast = command.merging(["op": "fanout", "method": "record", "args": ["n": 1]]) { $1 }
                    _ = try await client.ask(.object(cast))
                    #expect(await stream.first { _ in true } == ["n": 1])
                }
            }
        }
    }
}
