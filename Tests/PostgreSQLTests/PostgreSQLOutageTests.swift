import Foundation
import Glibc
import PostgreSQL
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct PostgreSQLOutageTests {
    private func one(_ client: PostgreSQLClient) async throws -> Int64? {
        try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") }
    }

    /// Tries until it works, for 20 s at most.
    private func untilItWorks(_ client: PostgreSQLClient) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            do {
                return try await self.one(client) == 1
            } catch let error as PostgreSQLError where error.isOutage {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        return false
    }

    @Test func `a server that is restarted, killed or frozen is an outage, and then it is used again`() async throws {
        try await PrivatePostgreSQL.with { server in
            var configuration = try PostgreSQLConfiguration(url: server.url)
            configuration.transactionTimeout = .seconds(1)
            configuration.connectTimeout = .seconds(1)
            configuration.maximumBackoff = .milliseconds(200)
            let client = PostgreSQLClient(configuration)
            #expect(try await self.one(client) == 1)

            // An idle connection that has ended is seen before a statement is lost with it.
            try await server.stop()
            try await server.start()
            #expect(try await self.one(client) == 1)

            let sleeping = Task { try await client.transaction { try $0.execute("SELECT pg_sleep(0.9)").count } }
            try await Task.sleep(for: .milliseconds(100))
            try await server.kill()
            let lost = await #expect(throws: PostgreSQLError.self) { try await sleeping.value }
            #expect(lost?.isOutage == true)
            let refused = await #expect(throws: PostgreSQLError.self) { try await self.one(client) }
            #expect(refused?.code == .unavailable)
            try await server.start()
            #expect(try await self.untilItWorks(client))

            // Its sockets stay open, and the kernel goes on to confirm what is sent there.
            let processes = try await self.processes(of: server)
            for process in processes { _ = Glibc.kill(process, SIGSTOP) }
            let start = ContinuousClock.now
            let frozen = await #expect(throws: PostgreSQLError.self) { try await self.one(client) }
            #expect(frozen?.isOutage == true)
            #expect(ContinuousClock.now - start < .seconds(4))
            for process in processes { _ = Glibc.kill(process, SIGCONT) }
            #expect(try await self.untilItWorks(client))
        }
    }

    @Test func `more clients than a server has connections use it in turns when they start together`() async throws {
        try await PrivatePostgreSQL.with { server in
            var configuration = try PostgreSQLConfiguration(url: server.url)
            configuration.idleTimeout = .milliseconds(100)
            configuration.connectTimeout = .seconds(30)
            let first = PostgreSQLClient(configuration)
            let limit = try await first.transaction { session in
                try session.execute("SELECT setting FROM pg_settings WHERE name = 'max_connections'").first?
                    .integer("setting")
            }
            let count = 3 * Int(try #require(limit))
            let clients = (0..<count).map { [configuration] _ in PostgreSQLClient(configuration) }
            try await withThrowingTaskGroup(of: Int64?.self) { group in
                for client in clients { group.addTask { try await self.one(client) } }
                for try await one in group { #expect(one == 1) }
            }
        }
    }

    @Test func `a server that has no connection left is an outage when the time is over`() async throws {
        try await PrivatePostgreSQL.with { server in
            var configuration = try PostgreSQLConfiguration(url: server.url)
            configuration.idleTimeout = .seconds(60)
            configuration.connectTimeout = .seconds(2)
            var holders: [PostgreSQLClient] = []
            var refusal: PostgreSQLError?
            var duration = Duration.zero
            while refusal == nil, holders.count < 200 {
                let client = PostgreSQLClient(configuration)
                let start = ContinuousClock.now
                do {
                    _ = try await self.one(client)
                } catch {
                    refusal = error as? PostgreSQLError
                }
                duration = ContinuousClock.now - start
                holders.append(client)
            }
            #expect(refusal?.code == .unavailable && refusal?.isOutage == true && refusal?.sqlState == "53300")
            #expect(refusal?.message.contains("53300") == false && refusal?.message.contains("LOCATION") == false)
            #expect((.milliseconds(100)..<(.seconds(5))).contains(duration))
        }
    }

    @Test func `TLS is as the URL says`() async throws {
        try await PrivatePostgreSQL.with { server in
            let verified = PostgreSQLClient(
                try PostgreSQLConfiguration(url: server.url("sslmode=verify-full&sslrootcert=\(server.certificate)"))
            )
            let isEncrypted = try await verified.transaction { session in
                try session.execute("SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()").first?
                    .truth("encrypted")
            }
            #expect(isEncrypted == true)

            let other = server.certificate + ".other"
            _ = try await PrivateNode.run(
                "/usr/bin/openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                    "-subj", "/CN=other", "-keyout", other + ".key", "-out", other,
                ]
            )
            let misled = PostgreSQLClient(
                try PostgreSQLConfiguration(url: server.url("sslmode=verify-full&sslrootcert=\(other)"))
            )
            let error = await #expect(throws: PostgreSQLError.self) { try await self.one(misled) }
            #expect(error?.code == .unavailable)
        }
    }

    /// The server's process and its children.
    private func processes(of server: PrivatePostgreSQL) async throws -> [Int32] {
        let parent = try server.processID
        let children = try String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
        return [parent] + children.split(separator: " ").compactMap { Int32($0) }
    }
}
