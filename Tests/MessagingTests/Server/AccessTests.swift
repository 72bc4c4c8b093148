import Logging
import Messaging
import MessagingTesting
import Testing

/// Who may call what: policies over the verified user and the context.
@Suite(.timeLimit(.minutes(3))) struct AccessTests {
    private func caller(_ userID: String? = nil, roles: JSONValue? = nil) -> Caller {
        Caller(userID: userID, context: RPCContext(roles.map { ["roles": $0] } ?? [:]))
    }

    @Test func `rules are about the user, the roles, or both`() {
        #expect(AccessPolicy.anyone.permits(caller()))
        let admins = AccessPolicy.roles(["admin", "service"])
        #expect(admins.permits(caller(roles: ["member", "admin"])))
        #expect(!admins.permits(caller(roles: ["Admin"])))
        #expect(!admins.permits(caller("admin", roles: [1, nil])))
        #expect(!admins.permits(caller(roles: "admin")))
        #expect(!admins.permits(caller()))
        let cinder = AccessPolicy.users(["cinder"])
        #expect(cinder.permits(caller("cinder")))
        #expect(!cinder.permits(caller("nova")))
        // Not sent, so not verified: whatever the context says of a user.
        #expect(!cinder.permits(Caller(userID: nil, context: RPCContext(["user_id": "cinder", "user": "cinder"]))))
        #expect(!AccessPolicy.users([]).permits(caller("cinder")))
        #expect(!AccessPolicy.roles([]).permits(caller(roles: ["admin"])))
        let both = AccessPolicy.all(cinder, admins)
        #expect(both.permits(caller("cinder", roles: ["admin"])))
        #expect(!both.permits(caller("cinder")) && !both.permits(caller("nova", roles: ["admin"])))
        let either = AccessPolicy.any(cinder, admins)
        #expect(either.permits(caller("cinder")) && either.permits(caller("nova", roles: ["admin"])))
        #expect(!either.permits(caller("nova")))
        #expect(!AccessPolicy.any().permits(caller("cinder")) && AccessPolicy.all().permits(caller()))
        let own = AccessPolicy.custom("the project demo") { $0.context["project_id"] == "demo" }
        #expect(own.permits(Caller(userID: nil, context: RPCContext(["project_id": "demo"]))))
        #expect(!own.permits(caller("cinder")))
        #expect(
            "\(AccessPolicy.all(both, own))" == "all of (all of (user cinder, role admin or service), the project demo)"
        )
    }

    private enum VaultRPC {
        static let look = RPCMethod<Void, String>("look", since: "1.0", access: .anyone)
        static let take = RPCMethod<Void, String>("take", since: "1.0")
        static let burn = RPCMethod<Void, String>("burn", since: "1.0", access: .users(["keeper"]))
        static let secret = RPCMethod<Void, String>("_secret", since: "1.0")
    }

    /// A vault that is open to admins by default, at a broker where this transport is logged in as `user`.
    private func withVault(
        user: String = "guest",
        _ body: @Sendable (RPCServer, RPCClient) async throws -> Void
    ) async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker, user: user)
        let vault = RPCEndpoint(access: .roles(["admin"])) {
            VaultRPC.look.handled { context in context.request?.userID ?? "-" }
            VaultRPC.take.handled { context in context.request?.userID ?? "-" }
            VaultRPC.burn.handled { _ in "burnt" }
            VaultRPC.secret.handled { _ in "whispered" }
        }
        var configuration = RPCServer.Configuration()
        configuration.answersOsloPing = true
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [vault],
            configuration: configuration
        ) { server async throws in
            try await body(server, RPCClient(transport, target: .topic("vault")))
        }
        await transport.close()
    }

    private let admin = RPCContext(["roles": ["admin"]])

    @Test func `a method's own rule goes before its endpoint's, and a refusal is typed and counted`() async throws {
        let admin = self.admin
        try await withVault { server, client async throws in
            #expect(try await client.call(VaultRPC.look) == "guest")
            let denied = await #expect(throws: RPCError.self) { _ = try await client.call(VaultRPC.take) }
            #expect(denied?.code == .accessDenied)
            #expect(denied?.failure?.className == "AccessDenied")
            #expect(denied?.failure?.module == "steward.rpc")
            #expect(denied?.failure?.message == "take is not open to this caller, but to role admin")
            #expect(try await client.call(VaultRPC.take, context: admin) == "guest")
            let burnt = await #expect(throws: RPCError.self) {
                _ = try await client.call(VaultRPC.burn, context: admin)
            }
            #expect(burnt?.code == .accessDenied)
            #expect(server.refusals["access_denied"] == 2)
            // A cast cannot be told, but is counted and not run.
            try await client.cast(VaultRPC.burn, context: admin)
            while server.refusals["access_denied"] != 3 { await Task.yield() }
        }
        try await withVault(user: "keeper") { server, client async throws in
            #expect(try await client.call(VaultRPC.burn) == "burnt")
            #expect(server.refusals["access_denied"] == 0)
        }
    }

    /// Keeps what is logged.
    private struct Keeper: LogHandler {
        let lines: EventRecorder<String>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            self.lines.record("\(event.level) \(event.message) \(event.metadata ?? [:])")
        }
    }

    @Test func `a refusal is logged with method and user, and without what the request holds`() async throws {
        let lines = EventRecorder<String>()
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker, user: "mallory")
        let guarded = RPCMethod<JSONValue, Void>("guarded", since: "1.0", access: .users(["alice"]))
        let server = RPCServer(
            InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [RPCEndpoint { guarded.handled { _, _ in } }],
            logger: Logger(label: "test") { _ in Keeper(lines: lines) }
        )
        let ready = EventRecorder<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { ready.record(()) } }
            try await ready.first(1)
            let client = RPCClient(transport, target: .topic("vault"))
            let context = RPCContext(["auth_token": "t0ken", "roles": ["admin"]])
            await #expect(throws: RPCError.self) {
                try await client.call(guarded, ["password": "passw0rd"], context: context)
            }
            server.stop()
            try await group.waitForAll()
        }
        let refusals = lines.events.filter { $0.contains("refused request") }
        #expect(refusals.count == 1)
        #expect(refusals.first?.contains("guarded") == true && refusals.first?.contains("mallory") == true)
        #expect(!lines.events.contains { $0.contains("t0ken") || $0.contains("passw0rd") })
        await transport.close()
    }

    @Test func `wire contract 4.2: a name that ends in _ignore_errors only changes how loudly it is logged`()
        async throws
    {
        let lines = EventRecorder<String>()
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        let server = RPCServer(
            InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [RPCEndpoint { VaultRPC.look.handled { _ in "" } }],
            logger: Logger(label: "test") { _ in Keeper(lines: lines) }
        )
        let ready = EventRecorder<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { ready.record(()) } }
            try await ready.first(1)
            let client = RPCClient(transport, target: .topic("vault"))
            for name in ["absent", "absent_ignore_errors"] {
                let error = await #expect(throws: RPCError.self) { _ = try await client.call(name) }
                #expect(error?.code == .noSuchMethod)
            }
            server.stop()
            try await group.waitForAll()
        }
        let levels = lines.events.filter { $0.contains("refused request") }.map { $0.prefix { $0 != " " } }
        #expect(levels == ["info", "debug"])
        await transport.close()
    }

    @Test func `questions about a server can be kept to its operators`() async throws {
        let broker = InMemoryBroker()
        var configuration = RPCServer.Configuration()
        configuration.controlAccess = .users(["operator"])
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [RPCEndpoint { VaultRPC.look.handled { _ in "" } }],
            configuration: configuration
        ) { _ async throws in
            let control = Target.topic("vault", server: "a").control
            let `operator` = RPCClient(InMemoryTransport(broker, user: "operator"), target: control)
            #expect(try await `operator`.call(ControlRPC.info).host == "a")
            let stranger = RPCClient(InMemoryTransport(broker, user: "mallory"), target: control)
            for method in [ControlRPC.info.name, ControlRPC.stats.name, ControlRPC.ping.name] {
                let denied = await #expect(throws: RPCError.self) { _ = try await stranger.call(method) }
                #expect(denied?.code == .accessDenied)
            }
            let cancel = await #expect(throws: RPCError.self) {
                _ = try await stranger.call(ControlRPC.cancel, ControlRPC.Cancellation(id: "1"))
            }
            #expect(cancel?.code == .accessDenied)
        }
    }

    @Test func `wire contract 4.2: a refused name that begins with an underscore looks like no method`() async throws {
        let admin = self.admin
        try await withVault { server, client async throws in
            let hidden = await #expect(throws: RPCError.self) { _ = try await client.call(VaultRPC.secret) }
            #expect(hidden?.code == .noSuchMethod)
            #expect(hidden?.failure?.message == "Endpoint does not support RPC method _secret")
            #expect(server.refusals["no_such_method"] == 1 && server.refusals["access_denied"] == 0)
            // Declared is declared: oslo's explicit policy.
            #expect(try await client.call(VaultRPC.secret, context: admin) == "whispered")
        }
    }

    @Test func `wire contract 4.2: what was not declared is not reachable`() async throws {
        let admin = self.admin
        try await withVault { _, client async throws in
            for name in ["description", "handlers", "__init__", "_look", "init", "", "LOOK"] {
                let none = await #expect(throws: RPCError.self) { _ = try await client.call(name, context: admin) }
                #expect(none?.code == .noSuchMethod)
            }
        }
    }

    @Test func `wire contract 4.2: an endpoint that refuses leaves the request to the next one`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [
                RPCEndpoint(access: .roles(["admin"])) { VaultRPC.take.handled { _ in "all" } },
                RPCEndpoint(version: "1.1") { VaultRPC.take.handled { _ in "little" } },
            ]
        ) { _ async throws in
            let client = RPCClient(transport, target: .topic("vault"))
            #expect(try await client.call(VaultRPC.take) == "little")
            #expect(try await client.call(VaultRPC.take, context: RPCContext(["roles": ["admin"]])) == "all")
        }
        await transport.close()
    }

    @Test func `wire contract 4.2: oslo_rpc_server_ping is answered where it is switched on`() async throws {
        try await withVault { server, client async throws in
            #expect(try await client.call("oslo_rpc_server_ping") == "pong")
            #expect(try await client.prepare { $0.version = "1.0" }.call("oslo_rpc_server_ping") == "pong")
            let elsewhere = await #expect(throws: RPCError.self) {
                _ = try await client.call("oslo_rpc_server_ping", namespace: "vault")
            }
            #expect(elsewhere?.code == .unsupportedVersion)
            #expect(server.contracts.last?.methods.map(\.name) == ["oslo_rpc_server_ping"])
        }
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("vault", server: "a"),
            endpoints: [RPCEndpoint { VaultRPC.look.handled { _ in "" } }]
        ) { _ async throws in
            let client = RPCClient(transport, target: .topic("vault"))
            let off = await #expect(throws: RPCError.self) { _ = try await client.call("oslo_rpc_server_ping") }
            #expect(off?.code == .noSuchMethod)
        }
        await transport.close()
    }
}
