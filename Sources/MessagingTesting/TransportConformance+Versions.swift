internal import Messaging
internal import Testing

extension TransportConformance {
    static let versions = [
        Check("of two workers of mixed versions a client pinned to the old one uses both") { bench in
            try await bench.withCatalogs { catalog async throws in
                let pinned = catalog.prepare { $0.versionCap = "1.0" }
                #expect(pinned.canSend(Catalog.get) && !pinned.canSend(Catalog.list))
                for host in ["old", "new"] {
                    #expect(try await pinned.on(host: host).get("a") == "a at \(host)")
                }
                // The shared topic gives the requests to either.
                var hosts: Set<String> = []
                for _ in 0..<20 { hosts.insert(try await pinned.get("a")) }
                #expect(hosts == ["a at old", "a at new"])
                // Refused here, and not by a server that happens to be too old.
                for client in [pinned, pinned.on(host: "new")] {
                    let error = await #expect(throws: RPCError.self) { _ = try await client.list() }
                    #expect(error?.code == .versionCapExceeded)
                }
            }
        },
        Check("of two workers of mixed versions the old one answers a client of the new with a typed error") { bench in
            try await bench.withCatalogs { catalog async throws in
                #expect(catalog.canSend(Catalog.list))
                #expect(try await catalog.on(host: "new").list() == ["a"])
                let error = await #expect(throws: RPCError.self) { _ = try await catalog.on(host: "old").list() }
                #expect(error?.code == .unsupportedVersion)
                #expect(error?.failure?.className == "UnsupportedVersion")
                #expect(error?.failure?.module == "oslo_messaging.rpc.dispatcher")
                // A client that sends a new argument asks for the version in which the argument appeared.
                let detailed = catalog.prepare { $0.version = "1.1" }
                #expect(try await detailed.on(host: "new").get("a") == "a at new")
                let refused = await #expect(throws: RPCError.self) { _ = try await detailed.on(host: "old").get("a") }
                #expect(refused?.code == .unsupportedVersion)
                // On the shared topic it depends on who takes the request, and each outcome is one of the two.
                var served = 0
                var refusals = 0
                for _ in 0..<20 {
                    do {
                        let items = try await catalog.list()
                        #expect(items == ["a"])
                        served += 1
                    } catch let error as RPCError where error.code == .unsupportedVersion {
                        refusals += 1
                    }
                }
                #expect(served > 0 && refusals > 0)
                // The old worker has taken no harm.
                #expect(try await catalog.on(host: "old").get("b") == "b at old")
            }
        },
    ]

    /// A service that has learnt a method.
    enum Catalog {
        struct Item: Codable, Sendable { var name: String }

        static let get = RPCMethod<Item, String>("get", since: "1.0")
        static let list = RPCMethod<Void, [String]>("list", since: "1.1")

        static let old = RPCContract<any CatalogOperations>("catalog", version: "1.0") {
            get.served { catalog, _, item in try await catalog.get(item.name) }
        }
        static let new = RPCContract<any CatalogOperations>("catalog", version: "1.1") {
            get.served { catalog, _, item in try await catalog.get(item.name) }
            list.served { catalog, _ in try await catalog.list() }
        }
    }

    struct CatalogService: CatalogOperations {
        let host: String
        func get(_ name: String) async throws -> String { "\(name) at \(self.host)" }
        func list() async throws -> [String] { ["a"] }
    }

    struct CatalogAPI: CatalogOperations, RPCServiceClient {
        var client: RPCClient
        func get(_ name: String) async throws -> String { try await self.client.call(Catalog.get, .init(name: name)) }
        func list() async throws -> [String] { try await self.client.call(Catalog.list) }
    }
}

protocol CatalogOperations: Sendable {
    func get(_ name: String) async throws -> String
    func list() async throws -> [String]
}

extension TransportConformance.Bench {
    /// Runs the catalog in its old version at the host `old` and in its new one at `new`.
    func withCatalogs(_ body: @Sendable (TransportConformance.CatalogAPI) async throws -> Void) async throws {
        typealias Catalog = TransportConformance.Catalog
        let client = RPCClient(try await self.transport(), of: Catalog.new, target: .topic(self.topic))
            .prepare { $0.timeout = .seconds(20) }
        try await withRPCServer(
            on: try await self.transport(),
            target: .topic(self.topic, server: "old"),
            endpoints: [RPCEndpoint(Catalog.old, serving: TransportConformance.CatalogService(host: "old"))]
        ) { _ in
            try await withRPCServer(
                on: try await self.transport(),
                target: .topic(self.topic, server: "new"),
                endpoints: [RPCEndpoint(Catalog.new, serving: TransportConformance.CatalogService(host: "new"))]
            ) { _ in try await body(TransportConformance.CatalogAPI(client: client)) }
        }
    }
}
