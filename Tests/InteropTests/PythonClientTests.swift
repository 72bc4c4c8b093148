import Messaging
import MessagingRabbitMQ
import Testing

/// A real oslo.messaging client calls our server.
@Suite(.pythonClient, .serialized, .timeLimit(.minutes(3))) struct PythonClientTests {
    /// An error with a name on the wire, as a service has them.
    private struct VolumeNotFound: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure {
            RemoteFailure(
                className: "VolumeNotFound",
                module: "cinder.exception",
                message: "Volume ü could not be found.",
                kwargs: ["volume_id": "ü"]
            )
        }
    }

    /// An error that Python can build: `Peer/peer_exceptions.py` has its class.
    private struct PeerError: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure {
            RemoteFailure(
                className: "PeerError",
                module: "peer_exceptions",
                message: "peer error about ü",
                args: ["peer error about ü"],
                kwargs: ["subject": "ü"]
            )
        }
    }

    private struct BadValue: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure {
            RemoteFailure(className: "ValueError", module: "builtins", message: "größer als 10")
        }
    }

    private struct Unnamed: Error, CustomStringConvertible {
        var description: String { "something broke" }
    }

    /// Gives the Python client a command: by default a call at the server of the test.
    private typealias Ask = @Sendable ([String: JSONValue]) async throws -> JSONValue

    /// Lends a server of ours, and what asks it from Python.
    private func withServer(
        hosts: [String] = ["one"],
        recorded: AsyncStream<(host: String, arguments: JSONValue)>.Continuation? = nil,
        _ body: @escaping @Sendable (_ ask: Ask) async throws -> Void
    ) async throws {
        let client = try #require(PythonClient.current)
        let topic = InteropEnvironment.uniqueTopic("swift")
        try await withTransport { transport in
            try await self.serve(hosts[...], topic: topic, on: transport, recorded: recorded) {
                try await body { command in
                    let defaults: [String: JSONValue] = ["op": "call", "topic": .string(topic), "timeout": 20]
                    return try await client.ask(.object(defaults.merging(command) { _, own in own }))
                }
            }
        }
    }

    private func serve(
        _ hosts: ArraySlice<String>,
        topic: String,
        on transport: RabbitMQTransport,
        recorded: AsyncStream<(host: String, arguments: JSONValue)>.Continuation?,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard let host = hosts.first else { return try await body() }
        try await withRPCServer(
            on: transport,
            target: .topic(topic, server: host),
            endpoints: self.endpoints(host, recorded: recorded)
        ) { _ in
            try await self.serve(hosts.dropFirst(), topic: topic, on: transport, recorded: recorded, body)
        }
    }

    private func endpoints(
        _ host: String,
        recorded: AsyncStream<(host: String, arguments: JSONValue)>.Continuation?
    ) -> [RPCEndpoint] {
        [
            RPCEndpoint(version: "1.5") {
                RPCHandler("echo") { _, arguments in arguments["value"] ?? nil }
                RPCHandler("whoami") { _, _ in .string(host) }
                RPCHandler("context") { context, _ in .object(context.values) }
                RPCHandler("record") { _, arguments in
                    recorded?.yield((host, arguments))
                    return nil
                }
                RPCHandler("slow") { _, arguments in
                    try await Task.sleep(for: .seconds(arguments["seconds"]?.doubleValue ?? 0))
                    return arguments["seconds"] ?? nil
                }
                RPCHandler("fail") { _, arguments in
                    switch arguments["kind"]?.stringValue {
                    case "value": throw BadValue()
                    case "custom": throw VolumeNotFound()
                    case "peer": throw PeerError()
                    default: throw Unnamed()
                    }
                }
                RPCMethod<[String: Int], Int>("typed", since: "1.0").handled { _, arguments in arguments["a"] ?? 0 }
            },
            RPCEndpoint(namespace: "alpha", version: "2.3") {
                RPCHandler("echo", namespace: "alpha") { _, arguments in ["alpha", arguments["value"] ?? nil] }
            },
        ]
    }

    // MARK: Addresses

    @Test func `a call reaches any host, or the one that is named`() async throws {
        try await self.withServer(hosts: ["one", "two"]) { ask in
            let any = try await ask(["method": "whoami"])["result"]
            #expect(any == "one" || any == "two")
            for host: JSONValue in ["one", "two"] {
                #expect(try await ask(["method": "whoami", "server": host])["result"] == host)
            }
        }
    }

    @Test func `a fanout cast reaches every host, a cast the one that is named`() async throws {
        let (stream, continuation) = AsyncStream<(host: String, arguments: JSONValue)>.makeStream()
        try await self.withServer(hosts: ["one", "two"], recorded: continuation) { ask in
            var records = stream.makeAsyncIterator()
            #expect(try await ask(["op": "fanout", "method": "record", "args": ["n": 1]])["result"] == .null)
            var hosts: Set<String> = []
            for _ in 0..<2 {
                let record = try #require(await records.next())
                #expect(record.arguments == ["n": 1])
                hosts.insert(record.host)
            }
            #expect(hosts == ["one", "two"])
            _ = try await ask(["op": "cast", "server": "two", "method": "record", "args": ["n": 2]])
            let record = try #require(await records.next())
            #expect(record.host == "two")
            #expect(record.arguments == ["n": 2])
        }
    }

    // MARK: Values

    @Test(arguments: [
        "null", "true", "-7", "1.0", "0.1", "1e+300", "1208925819614629174706176",
        "-340282366920938463463374607431768211456", #""größer – 无效 😀 \"\\\n\u0000\u2028""#, "[]", "{}",
        #"[[1,{"a":[null,{"b":{}}]}],""]"#, "[NaN,Infinity,-Infinity]",
    ])
    func `a value comes back as it was sent`(_ text: String) async throws {
        try await self.withServer { ask in
            let value = try JSONValue(parsing: text)
            let answer = try await ask(["method": "echo", "args": ["value": value]])
            #expect(answer["result"]?.description == value.description)
        }
    }

    @Test func `bodies of a mebibyte go both ways`() async throws {
        try await self.withServer { ask in
            let text = JSONValue.string(String(repeating: "ü", count: 1 << 19))
            let answer = try await ask(["method": "echo", "args": ["value": text]])
            #expect(answer["result"] == text)
        }
    }

    @Test func `the context arrives as Python sent it`() async throws {
        try await self.withServer { ask in
            let context: JSONValue = ["user": "jürgen", "is_admin": true, "roles": ["a", "b"], "nothing": nil]
            let arrived = try await ask(["method": "context", "context": context])["result"]
            #expect(arrived == context)
        }
    }

    // MARK: Failures

    @Test func `Python raises its own exceptions for those of ours that bear their names`() async throws {
        try await self.withServer { ask in
            let answer = try await ask(["method": "fail", "args": ["kind": "value"]])
            #expect(answer["raised"] == "ValueError")
            #expect(answer["message"]?.stringValue?.hasPrefix("größer als 10") == true)
        }
    }

    @Test func `Python builds the exceptions of a module that it allows from our arguments`() async throws {
        try await self.withServer { ask in
            let answer = try await ask([
                "method": "fail", "args": ["kind": "peer"], "allowed_remote_exmods": ["peer_exceptions"],
            ])
            #expect(answer["raised"] == "PeerError_Remote")
            #expect(answer["module"] == "peer_exceptions_Remote")
            #expect(answer["message"]?.stringValue?.hasPrefix("peer error about ü") == true)
        }
    }

    @Test func `other errors are RemoteError with the class that we gave them`() async throws {
        try await self.withServer { ask in
            let custom = try await ask(["method": "fail", "args": ["kind": "custom"]])
            #expect(custom["raised"] == "RemoteError")
            #expect(custom["exc_type"] == "VolumeNotFound")
            #expect(custom["message"] == "Volume ü could not be found.")
            let unnamed = try await ask(["method": "fail"])
            #expect(unnamed["raised"] == "RemoteError")
            #expect(unnamed["exc_type"]?.stringValue?.hasSuffix("Unnamed") == true)
            #expect(unnamed["message"] == "something broke")
        }
    }

    @Test func `unknown methods, versions and namespaces are refused by name`() async throws {
        try await self.withServer { ask in
            let modules: JSONValue = ["oslo_messaging.rpc.dispatcher"]
            let noMethod = try await ask(["method": "nothing"])
            #expect(noMethod["exc_type"] == "NoSuchMethod")
            #expect(noMethod["message"] == "Endpoint does not support RPC method nothing")
            let noVersion = try await ask(["method": "echo", "version": "1.6", "args": ["value": 1]])
            #expect(noVersion["exc_type"] == "UnsupportedVersion")
            #expect(
                noVersion["message"] == "Endpoint does not support RPC version 1.6. Attempted method: echo"
            )
            let noNamespace = try await ask(["method": "echo", "namespace": "beta", "args": ["value": 1]])
            #expect(noNamespace["exc_type"] == "UnsupportedVersion")
            // Where Python may import the class, it raises it.
            let typed = try await ask(["method": "nothing", "allowed_remote_exmods": modules])
            #expect(typed["raised"] == "NoSuchMethod_Remote")
        }
    }

    @Test func `arguments that do not fit are a TypeError`() async throws {
        try await self.withServer { ask in
            let answer = try await ask(["method": "typed", "args": ["a": "text"]])
            #expect(answer["raised"] == "TypeError")
            #expect(try await ask(["method": "typed", "args": ["a": 3]])["result"] == 3)
        }
    }

    @Test func `a namespace has its own methods and versions`() async throws {
        try await self.withServer { ask in
            let answer = try await ask([
                "method": "echo", "namespace": "alpha", "version": "2.3", "args": ["value": 1],
            ])
            #expect(answer["result"] == ["alpha", 1])
        }
    }

    // MARK: Time

    @Test func `a call of 6 s outlives a call monitor of 5 s`() async throws {
        try await self.withServer { ask in
            let answer = try await ask([
                "method": "slow", "args": ["seconds": 6], "call_monitor_timeout": 5, "timeout": 20,
            ])
            #expect(answer["result"] == 6)
        }
    }

    @Test func `a call monitor notices a server that has gone`() async throws {
        try await self.withServer { ask in
            // Nobody consumes where a host of another name would: the call waits and no sign of life comes.
            let answer = try await ask([
                "method": "slow", "server": "gone", "args": ["seconds": 1], "call_monitor_timeout": 2, "timeout": 20,
            ])
            #expect(answer["raised"] == "MessagingTimeout")
            #expect(try #require(answer["seconds"]?.doubleValue) < 10)
        }
    }
}
