import Foundation
import GRDB
import InMemoryLogging
import Logging
import Messaging
import MessagingTesting
import PostgreSQL
import ServiceDatabase
import ServiceRuntime
import Synchronization
import TestSupport
import Testing

/// What becomes of services while the database of their registry is away.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RegistryOutageTests {
    private struct Host: Manager {
        static let echo = RPCMethod<Void, String>("echo", since: "1.0")
        let host: String
        var endpoint: RPCEndpoint {
            RPCEndpoint(version: "1.0") { Self.echo.handled { _ in self.host } }
        }
    }

    private struct Log: Sendable {
        let handler = InMemoryLogHandler()
        var logger: Logger { Logger(label: "test") { _ in self.handler } }
        func count(_ text: String) -> Int { self.handler.entries.count { "\($0.message)".contains(text) } }
    }

    private func eventually(
        within limit: Duration = .seconds(20),
        _ condition: () async throws -> Bool
    ) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    /// Two hosts whose registries are at one place; `body` gets their logs.
    private func withHosts(
        at url: String,
        reportingEvery interval: String = "0.1",
        _ body: (any Transport, [ManagerService], Log) async throws -> Void
    ) async throws {
        let transport = InMemoryTransport(InMemoryBroker())
        let configuration = try ServiceConfiguration(overrides: ["report_interval": interval], environment: [:])
        let log = Log()
        func service(_ host: String) throws -> ManagerService {
            ManagerService(
                Host(host: host),
                topic: "hosts",
                transport: transport,
                configuration: configuration,
                registry: try ServiceRegistryLocation(Secret(url: url)).registry(),
                logger: log.logger
            )
        }
        try await withManagerService(service("node-1")) { one in
            try await withManagerService(service("node-2")) { two in
                try await body(transport, [one, two], log)
            }
        }
        await transport.close()
    }

    /// Calls both hosts again and again while `body` goes on; answers how many calls there were, none of which failed.
    private func whileCalling(_ transport: any Transport, _ body: () async throws -> Void) async throws -> Int {
        let isOver = Atomic(false)
        let count = Atomic(0)
        func call() async throws {
            while !isOver.load(ordering: .relaxed) {
                for host in ["node-1", "node-2"] {
                    let client = RPCClient(transport, target: .topic("hosts", server: host))
                    let start = ContinuousClock.now
                    #expect(try await client.call(Host.echo, timeout: .seconds(5)) == host)
                    // Nothing waits for the database, which may take five seconds to be given up.
                    #expect(ContinuousClock.now - start < .seconds(4))
                    count.add(1, ordering: .relaxed)
                }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        async let calls: Void = call()
        do {
            defer { isOver.store(true, ordering: .relaxed) }
            try await body()
        }
        try await calls
        return count.load(ordering: .relaxed)
    }

    private func counts(_ registry: any ServiceRegistry) async throws -> [Int64] {
        try await registry.services().map(\.reportCount)
    }

    @Test func `calls go on while PostgreSQL is down, each host says so once, and reports go on after it`() async throws
    {
        try await PrivatePostgreSQL.with { server in
            try await self.withHosts(at: server.url) { transport, services, log in
                let registry = try ServiceRegistryLocation(Secret(url: server.url)).registry()
                #expect(try await self.eventually { try await self.counts(registry).allSatisfy { $0 >= 2 } })
                let calls = try await self.whileCalling(transport) {
                    try await server.kill()
                    #expect(try await self.eventually { log.count("cannot be used") == 2 })
                    #expect(services.allSatisfy { $0.isReady && !$0.readiness.reasons.isEmpty })
                    // Operators reach the hosts all the same.
                    let client = RPCClient(transport, target: .topic("hosts", server: "node-1"))
                    let answer = try await client.call(ManagerRPC.disableHost, DisableHost(reason: "outage"))
                    #expect(answer.isDisabled && !answer.isRecorded)
                    try await Task.sleep(for: .seconds(1))
                    #expect(log.count("cannot be used") == 2)

                    let start = ContinuousClock.now
                    try await server.start()
                    #expect(try await self.eventually { log.count("can be used again") == 2 })
                    print("reports go on \(ContinuousClock.now - start) after the start of PostgreSQL")
                    let before = try await self.untilRead { try await self.counts(registry) }
                    #expect(
                        try await self.eventually {
                            zip(before, try await self.counts(registry)).allSatisfy { $0 < $1 }
                        }
                    )
                    // What was decided meanwhile is written.
                    #expect(
                        try await self.eventually {
                            try await registry.services().first?.standing
                                == ServiceStanding(isDisabled: true, disabledReason: "outage")
                        }
                    )
                    #expect(services.allSatisfy { $0.readiness.reasons.isEmpty })
                }
                #expect(calls > 100)
            }
        }
    }

    @Test func `hosts that report seldom hold no connections between reports, and that is no outage`() async throws {
        try await PrivatePostgreSQL.with { server in
            try await self.withHosts(at: server.url, reportingEvery: "3") { _, services, log in
                var configuration = try PostgreSQLConfiguration(url: server.url)
                configuration.applicationName = "observer"
                // Who looks on has more patience than the hosts, also where a sanitizer takes the processor.
                configuration.connectTimeout = .seconds(30)
                configuration.transactionTimeout = .seconds(30)
                let observer = PostgreSQLClient(configuration)
                func query(_ sql: String) async throws -> Int64? {
                    try await observer.transaction { try $0.execute(sql).first?.integer("number") }
                }
                func connections() async throws -> Int64? {
                    try await query(
                        "SELECT count(*) AS number FROM pg_stat_activity WHERE application_name = 'steward'"
                    )
                }
                for count in 1...2 {
                    let hasReported = try await self.eventually {
                        try await query("SELECT min(report_count) AS number FROM steward_service") ?? 0 >= Int64(count)
                    }
                    #expect(hasReported)
                    #expect(try await self.eventually { try await connections() == 0 })
                }
                #expect(log.count("cannot be used") == 0 && log.count("can be used again") == 0)
                #expect(services.allSatisfy { $0.readiness.reasons.isEmpty })
            }
        }
    }

    /// The reader's own connection comes back a little after the server.
    private func untilRead(_ body: () async throws -> [Int64]) async throws -> [Int64] {
        var result: [Int64] = []
        _ = try await self.eventually {
            do { result = try await body() } catch is ServiceRegistryError { return false }
            return true
        }
        return result
    }

    @Test func `a host starts while PostgreSQL is down, and records itself later`() async throws {
        try await PrivatePostgreSQL.with { server in
            try await server.stop()
            try await self.withHosts(at: server.url) { transport, _, log in
                let client = RPCClient(transport, target: .topic("hosts", server: "node-2"))
                #expect(try await client.call(Host.echo) == "node-2")
                #expect(log.count("cannot be used") == 2)
                try await server.start()
                let registry = try ServiceRegistryLocation(Secret(url: server.url)).registry()
                let hosts = try await self.eventually {
                    do {
                        return try await registry.services().map(\.key.host) == ["node-1", "node-2"]
                    } catch let error as ServiceRegistryError where error.code == .unavailable {
                        return false
                    }
                }
                #expect(hosts)
            }
        }
    }

    @Test func `calls go on while another process holds the SQLite file, and reports go on after it`() async throws {
        try await withDirectory { directory in
            let path = directory + "/services.sqlite"
            try await self.withHosts(at: "sqlite://\(path)") { transport, _, log in
                let registry = SQLiteServiceRegistry(path: path)
                #expect(try await self.eventually { try await self.counts(registry).allSatisfy { $0 >= 2 } })
                let calls = try await self.whileCalling(transport) {
                    var configuration = Configuration()
                    configuration.allowsUnsafeTransactions = true
                    let holder = try DatabaseQueue(path: path, configuration: configuration)
                    try await holder.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
                    // The busy timeout of 5 s comes first.
                    #expect(try await self.eventually { log.count("cannot be used") == 2 })
                    try await holder.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
                    #expect(try await self.eventually { log.count("can be used again") == 2 })
                    let before = try await self.counts(registry)
                    #expect(
                        try await self.eventually {
                            zip(before, try await self.counts(registry)).allSatisfy { $0 < $1 }
                        }
                    )
                }
                #expect(calls > 100)
            }
        }
    }
}
