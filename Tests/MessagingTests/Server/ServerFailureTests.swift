import Testing

@testable import Messaging

/// Wire contract 3.4: the pairs of class and module that a server must send, compared with what a Python server sent.
@Suite(.timeLimit(.minutes(3))) struct ServerFailureTests {
    private struct Value: Codable, Sendable { var value: Int }

    /// An error with a name on the wire.
    private struct Named: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure {
            RemoteFailure(
                className: "VolumeNotFound",
                module: "cinder.exception",
                message: "Volume 7 could not be found.",
                kwargs: ["volume_id": "7"]
            )
        }
    }

    private struct Unnamed: Error {}

    private func failure(_ body: @Sendable (RPCClient) async throws -> Void) async throws -> RemoteFailure {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        let endpoint = RPCEndpoint(version: "1.5") {
            RPCMethod<Value, Int>("echo", since: "1.0").handled { _, arguments in arguments.value }
            RPCHandler("named") { _, _ in throw Named() }
            RPCHandler("unnamed") { _, _ in throw Unnamed() }
        }
        let error = try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "s"),
            endpoints: [endpoint]
        ) { _ in
            await #expect(throws: RPCError.self) { try await body(RPCClient(transport, target: .topic("t"))) }
        }
        await transport.close()
        return try #require(error?.failure)
    }

    @Test(
        arguments: [
            ("no_such_method", "absent", [:], nil, "1.0"), ("private", "_private", [:], nil, "1.0"),
            ("unsupported_version", "echo", ["value": 1], nil, "1.6"),
            ("unknown_namespace", "echo", ["value": 1], "nowhere", "1.0"),
            ("bad_args", "echo", ["wrong": 1], nil, "1.0"), ("missing_args", "echo", [:], nil, "1.0"),
        ] as [(String, String, [String: JSONValue], String?, RPCVersion)]
    )
    func `wire contract 3.4: a refusal has the class and module that Python's has`(
        fixture: String,
        method: String,
        arguments: [String: JSONValue],
        namespace: String?,
        version: RPCVersion
    ) async throws {
        let python = try #require(try Fixture("reply_failure_" + fixture).failure)
        let ours = try await self.failure { client in
            _ = try await client.prepare { $0.version = version }.call(method, arguments, namespace: namespace)
        }
        #expect(ours.className == python["class"]?.stringValue)
        #expect(ours.module == python["module"]?.stringValue)
        // One argument, the message; the text of a TypeError is each language's own.
        #expect(ours.args == [.string(ours.message)])
        #expect(ours.kwargs.isEmpty)
        if ours.className != "TypeError" { #expect(ours.message == python["message"]?.stringValue) }
    }

    @Test func `wire contract 3.4: a service's error travels under its own class with its arguments`() async throws {
        let named = try await self.failure { client in _ = try await client.call("named") }
        #expect(named == Named().remoteFailure)
        #expect(named.args == ["Volume 7 could not be found."])
        // Any other has the name of its Swift type.
        let unnamed = try await self.failure { client in _ = try await client.call("unnamed") }
        #expect(unnamed.className.hasSuffix("Unnamed"))
        #expect(!unnamed.module.isEmpty && !unnamed.message.isEmpty)
    }

    @Test func `wire contract 4.2: endpoints are asked in their order, and the first that has the method serves`()
        async throws
    {
        func endpoint(_ name: String, version: RPCVersion, methods: [String]) -> RPCEndpoint {
            RPCEndpoint(version: version) { methods.map { RPCHandler($0) { _, _ in .string(name) } } }
        }
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "s"),
            endpoints: [
                endpoint("first", version: "1.1", methods: ["both", "one"]),
                endpoint("second", version: "1.4", methods: ["both", "two"]),
                endpoint("third", version: "2.0", methods: ["both"]),
            ]
        ) { _ async throws in
            let client = RPCClient(transport, target: .topic("t"))
            func ask(_ method: String, _ version: RPCVersion) async throws -> JSONValue {
                try await client.prepare { $0.version = version }.call(method)
            }
            #expect(try await ask("both", "1.0") == "first")
            #expect(try await ask("two", "1.0") == "second")
            // The first does not offer the version.
            #expect(try await ask("both", "1.2") == "second")
            #expect(try await ask("both", "2.0") == "third")
            for (method, version, code) in [
                ("one", "1.2", RPCError.Code.noSuchMethod), ("both", "1.5", .unsupportedVersion),
                ("both", "3.0", .unsupportedVersion), ("absent", "1.0", .noSuchMethod),
            ] as [(String, RPCVersion, RPCError.Code)] {
                let error = await #expect(throws: RPCError.self) { _ = try await ask(method, version) }
                #expect(error?.code == code)
            }
        }
        await transport.close()
    }
}
