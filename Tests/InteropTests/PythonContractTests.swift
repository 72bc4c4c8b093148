import Messaging
import MessagingRabbitMQ
import Testing

/// Contracts, access and limits between the two languages.
@Suite(.pythonClient, .pythonServers, .serialized, .timeLimit(.minutes(3))) struct PythonContractTests {
    private enum Guarded {
        static let open = RPCMethod<Void, String>("open", since: "1.0")
        static let roles = RPCMethod<Void, String>("roles", since: "1.0", access: .roles(["admin"]))
        static let users = RPCMethod<Void, String>("users", since: "1.0", access: .users(["guest"]))
        static let late = RPCMethod<Void, String>("late", since: "1.1")
        static let hidden = RPCMethod<Void, String>("_hidden", since: "1.0", access: .roles(["admin"]))
    }

    /// Lends an old and a new server of ours, and what asks them from Python.
    private func withServers(
        _ body: @escaping @Sendable (_ ask: ([String: JSONValue]) async throws -> JSONValue) async throws -> Void
    ) async throws {
        let client = try #require(PythonClient.current)
        let topic = InteropEnvironment.uniqueTopic("contract")
        var configuration = RPCServer.Configuration()
        configuration.answersOsloPing = true
        configuration.limits.arguments = 3
        let configured = configuration
        let old = RPCEndpoint(version: "1.0") {
            Guarded.open.handled { _ in "old" }
            Guarded.roles.handled { _ in "old" }
            Guarded.users.handled { context in context.request?.userID ?? "-" }
            Guarded.hidden.handled { _ in "old" }
        }
        let new = RPCEndpoint(version: "1.1") {
            Guarded.open.handled { _ in "new" }
            Guarded.late.handled { _ in "new" }
        }
        try await withTransport { transport async throws in
            try await withRPCServer(
                on: transport,
                target: .topic(topic, server: "old"),
                endpoints: [old],
                configuration: configured
            ) { _ in
                try await withRPCServer(on: transport, target: .topic(topic, server: "new"), endpoints: [new]) { _ in
                    try await body { command in
                        let defaults: [String: JSONValue] = ["op": "call", "topic": .string(topic), "timeout": 20]
                        return try await client.ask(.object(defaults.merging(command) { _, own in own }))
                    }
                }
            }
        }
    }

    @Test func `of mixed versions a Python client pinned to the old one uses both`() async throws {
        try await self.withServers { ask async throws in
            for host: JSONValue in ["old", "new"] {
                let pinned = try await ask([
                    "method": "open", "server": host, "version": "1.0", "version_cap": "1.0",
                ])
                #expect(pinned["result"] == host)
            }
            let newer: [String: JSONValue] = ["method": "late", "version": "1.1"]
            #expect(try await ask(newer.merging(["server": "new"]) { $1 })["result"] == "new")
            let refused = try await ask(newer.merging(["server": "old"]) { $1 })
            #expect(refused["raised"] == "RemoteError")
            #expect(refused["exc_type"] == "UnsupportedVersion")
        }
    }

    @Test func `Python is told by name what it may not do, and what was too much`() async throws {
        try await self.withServers { ask async throws in
            let stranger = try await ask(["method": "roles", "server": "old"])
            #expect(stranger["raised"] == "RemoteError")
            #expect(stranger["exc_type"] == "AccessDenied")
            let admin = try await ask(["method": "roles", "server": "old", "context": ["roles": ["admin"]]])
            #expect(admin["result"] == "old")
            // Its library does not send the user as whom it is logged in.
            let user = try await ask(["method": "users", "server": "old", "context": ["user_id": "guest"]])
            #expect(user["exc_type"] == "AccessDenied")
            let hidden = try await ask(["method": "_hidden", "server": "old"])
            #expect(hidden["exc_type"] == "NoSuchMethod")
            let much = try await ask(["method": "open", "server": "old", "args": ["a": 1, "b": 2, "c": 3, "d": 4]])
            #expect(much["exc_type"] == "LimitExceeded")
        }
    }

    @Test func `wire contract 4.2: Python's ping is answered where it is switched on`() async throws {
        try await self.withServers { ask async throws in
            #expect(try await ask(["method": "oslo_rpc_server_ping", "server": "old"])["result"] == "pong")
            #expect(try await ask(["method": "oslo_rpc_server_ping", "server": "new"])["exc_type"] == "NoSuchMethod")
        }
    }

    // MARK: A Python service with a contract in Swift

    /// The Python server's own error.
    private struct PeerError: Error, RemoteFailureInitializable {
        let subject: String
        init?(_ failure: RemoteFailure) {
            guard failure.module == "peer_exceptions", failure.className == "PeerError" else { return nil }
            self.subject = failure.kwargs["subject"]?.stringValue ?? ""
        }
    }

    private struct Kind: Codable, Sendable { var kind: String }
    private struct Sum: Codable, Sendable { var a: Int, b: Int }

    private protocol PeerOperations: Sendable {
        func add(_ a: Int, _ b: Int) async throws -> Int
        func fail(_ kind: String) async throws
    }

    private enum PeerRPC {
        static let add = RPCMethod<Sum, Int>("add", since: "1.2")
        static let fail = RPCMethod<Kind, Void>("fail", since: "1.0")
        static let contract = RPCContract<any PeerOperations>("peer", version: "1.5", errors: [PeerError.self]) {
            add.served { peer, _, sum in try await peer.add(sum.a, sum.b) }
            fail.served { peer, _, request in try await peer.fail(request.kind) }
        }
    }

    private struct PeerAPI: PeerOperations, RPCServiceClient {
        var client: RPCClient
        func add(_ a: Int, _ b: Int) async throws -> Int { try await self.client.call(PeerRPC.add, Sum(a: a, b: b)) }
        func fail(_ kind: String) async throws { try await self.client.call(PeerRPC.fail, Kind(kind: kind)) }
    }

    @Test func `a Python service is called by its contract, and its errors are what they were`() async throws {
        let topic = try #require(PythonServer.current).topic
        try await withTransport { transport async throws in
            let client = RPCClient(transport, of: PeerRPC.contract, target: .topic(topic))
            let peer: any PeerOperations = PeerAPI(client: client.prepare { $0.timeout = .seconds(20) })
            #expect(try await peer.add(20, 22) == 42)
            let error = await #expect(throws: PeerError.self) { try await peer.fail("custom") }
            #expect(error?.subject == "volumes")
            let other = await #expect(throws: RPCError.self) { try await peer.fail("value") }
            #expect(other?.code == .remote)
            let old = PeerAPI(client: client.prepare { $0.version = "1.6" })
            let refused = await #expect(throws: RPCError.self) { _ = try await old.add(1, 1) }
            #expect(refused?.code == .unsupportedVersion)
        }
    }
}
