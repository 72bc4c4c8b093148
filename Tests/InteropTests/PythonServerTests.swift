import Messaging
import MessagingRabbitMQ
import Testing

/// Our client calls a real oslo.messaging server.
@Suite(.pythonServers, .serialized, .timeLimit(.minutes(3))) struct PythonServerTests {
    /// Lends a client of the suite's servers.
    private func withClient(_ body: (RPCClient) async throws -> Void) async throws {
        let topic = try #require(PythonServer.current).topic
        try await withTransport { transport in
            try await body(RPCClient(transport, target: .topic(topic)).prepare { $0.timeout = .seconds(20) })
        }
    }

    // MARK: Addresses

    @Test func `a call reaches any host, or the one that is named`() async throws {
        try await self.withClient { client in
            let any = try await client.call("whoami")
            #expect(any == "one" || any == "two")
            for host in ["one", "two"] {
                #expect(try await client.on(host: host).call("whoami") == .string(host))
            }
        }
    }

    @Test func `a fanout reaches every host`() async throws {
        try await self.withClient { client in
            let mark = JSONValue.string(InteropEnvironment.uniqueTopic("fanout"))
            try await client.fanout("record", ["mark": mark])
            for host in ["one", "two"] { try await self.expectRecorded(mark, at: client.on(host: host)) }
        }
    }

    @Test func `a cast reaches the host that is named`() async throws {
        try await self.withClient { client in
            let mark = JSONValue.string(InteropEnvironment.uniqueTopic("cast"))
            try await client.on(host: "two").cast("record", ["mark": mark])
            try await self.expectRecorded(mark, at: client.on(host: "two"))
            let others = try await client.on(host: "one").call("received")
            #expect(others.arrayValue?.contains(["mark": mark]) == false)
        }
    }

    /// Waits until the server has recorded a mark; several tests record at the same servers.
    private func expectRecorded(
        _ mark: JSONValue,
        at client: RPCClient,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var count = 1
        for _ in 0..<20 {
            let received = try await client.call("received", ["count": .integer(count)]).arrayValue ?? []
            if received.contains(["mark": mark]) { return }
            count = received.count + 1
        }
        Issue.record("\(mark) was not recorded", sourceLocation: sourceLocation)
    }

    @Test func `a host or a topic that does not exist is known within a second`() async throws {
        try await self.withClient { client in
            _ = try await client.call("whoami")
            var fastest = Duration.seconds(60)
            // The fastest of a few: a machine that is busy with other tests may hold up any one of them.
            for _ in 1...10 where fastest >= .seconds(1) {
                let start = ContinuousClock.now
                let noHost = await failure { _ = try await client.on(host: "nobody").call("whoami") }
                #expect(noHost?.code == .noSuchServer)
                let noCast = await failure { try await client.on(host: "nobody").cast("whoami") }
                #expect(noCast?.code == .noSuchServer)
                var other = client
                other.target.topic += "-nobody"
                let noTopic = await failure { [other] in _ = try await other.call("whoami") }
                #expect(noTopic?.code == .noSuchServer)
                fastest = min(fastest, ContinuousClock.now - start)
            }
            #expect(fastest < .seconds(1))
        }
    }

    // MARK: Values

    @Test(arguments: [
        "null", "true", "-7", "1.0", "0.1", "-0.0", "1e+300", "1208925819614629174706176",
        "-340282366920938463463374607431768211456", #""größer – 无效 😀 \"\\\n\u0000\u2028""#, "[]", "{}",
        #"[[1,{"a":[null,{"b":{}}]}],""]"#, "[NaN,Infinity,-Infinity]",
    ])
    func `a value comes back as it was sent`(_ text: String) async throws {
        try await self.withClient { client in
            let value = try JSONValue(parsing: text)
            let echoed = try await client.call("echo", ["value": value])
            // NaN is not equal to itself; its text is.
            #expect(echoed.description == value.description)
        }
    }

    @Test func `Python's big integers and words for what is not a number arrive`() async throws {
        try await self.withClient { client in
            #expect(
                try await client.call("big", ["exponent": 200]).description
                    == "1606938044258990275541962092341162602522202993782792835301376"
            )
            let special = try await client.call("special")
            #expect(special[0]?.doubleValue?.isNaN == true)
            #expect(special[1] == .double(.infinity))
            #expect(special[2] == .double(-.infinity))
            #expect(special[4] == .double(1e300))
        }
    }

    @Test func `bodies of a mebibyte go both ways`() async throws {
        try await self.withClient { client in
            let size = 1 << 20
            let blob = try await client.call("blob", ["size": .integer(size)])
            #expect(blob.stringValue?.utf8.count == size)
            let text = String(repeating: "ü", count: size / 2)
            let echoed = try await client.call("echo", ["value": .string(text)])
            #expect(echoed.stringValue == text)
        }
    }

    @Test func `the context arrives`() async throws {
        try await self.withClient { client in
            let context = RPCContext(["user": "jürgen", "is_admin": true, "roles": ["a", "b"], "nothing": nil])
            var arrived = try #require(try await client.call("context", context: context).objectValue)
            // The server adds the call monitor timeout to it (wire contract 3.2).
            #expect(arrived.removeValue(forKey: "client_timeout") == .null)
            #expect(arrived == context.values)
        }
    }

    // MARK: Failures

    @Test(arguments: [
        ("value", "ValueError", "builtins", "bad value"), ("key", "KeyError", "builtins", "'no such key'"),
        ("unicode", "ValueError", "builtins", "größer als 10 – 无效 😀"),
        ("custom", "PeerError", "peer_exceptions", "peer error about volumes"),
        ("arguments", "OSError", "builtins", "[Errno 28] No space left on device"),
        ("chained", "RuntimeError", "builtins", "outer"),
    ])
    func `a remote error has its class, module, message and traceback`(
        _ kind: String,
        _ className: String,
        _ module: String,
        _ message: String
    ) async throws {
        try await self.withClient { client in
            let error = await failure { _ = try await client.call("fail", ["kind": .string(kind)]) }
            #expect(error?.code == .remote)
            let remote = try #require(error?.failure)
            #expect(remote.className == className)
            #expect(remote.module == module)
            #expect(remote.message == message)
            #expect(remote.traceback.joined().contains("in fail"))
            if kind == "custom" { #expect(remote.kwargs["subject"] == "volumes") }
            if kind == "arguments" { #expect(remote.args.first == 28) }
        }
    }

    @Test func `an expected error is an error as any other`() async throws {
        try await self.withClient { client in
            let error = await failure { _ = try await client.call("fail_expected") }
            #expect(error?.failure?.className == "PeerError")
            #expect(error?.failure?.message == "expected")
        }
    }

    @Test func `unknown methods, versions, namespaces and arguments are refused by name`() async throws {
        try await self.withClient { client in
            let noMethod = await failure { _ = try await client.call("no_such_method") }
            #expect(noMethod?.failure?.className == "NoSuchMethod")
            #expect(noMethod?.failure?.module == "oslo_messaging.rpc.dispatcher")
            let newer = client.prepare { $0.version = "1.6" }
            let noVersion = await failure { _ = try await newer.call("echo", ["value": 1]) }
            #expect(noVersion?.failure?.className == "UnsupportedVersion")
            let noNamespace = await failure { _ = try await client.call("echo", ["value": 1], namespace: "beta") }
            #expect(noNamespace?.failure?.className == "UnsupportedVersion")
            let badArguments = await failure { _ = try await client.call("echo", ["no": 1]) }
            #expect(badArguments?.failure?.className == "TypeError")
            #expect(badArguments?.failure?.module == "builtins")
        }
    }

    @Test func `a namespace has its own methods and versions`() async throws {
        try await self.withClient { client in
            let alpha = client.prepare { $0.version = "2.3" }
            let echoed = try await alpha.call("echo", ["value": 1], namespace: "alpha")
            #expect(echoed == ["alpha", 1])
        }
    }

    // MARK: Time

    @Test func `a call of 6 s outlives a call monitor of 5 s`() async throws {
        try await self.withClient { client in
            let monitored = client.prepare { $0.callMonitorTimeout = .seconds(5) }
            let result = try await monitored.call("slow", ["seconds": 6])
            #expect(result == 6)
        }
    }

    @Test func `a call that takes too long ends in time`() async throws {
        try await self.withClient { client in
            // The first call also connects.
            _ = try await client.call("whoami", timeout: .seconds(20))
            let start = ContinuousClock.now
            let error = await failure { _ = try await client.call("slow", ["seconds": 6], timeout: .milliseconds(500)) }
            #expect(error?.code == .timeout)
            #expect(ContinuousClock.now - start < .seconds(6))
        }
    }

    @Test func `a result that Python cannot write is a timeout here, since it answers nothing`() async throws {
        try await self.withClient { client in
            _ = try await client.call("whoami", timeout: .seconds(20))
            let error = await failure { _ = try await client.call("unserialisable", timeout: .seconds(1)) }
            #expect(error?.code == .timeout)
        }
    }
}
