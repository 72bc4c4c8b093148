import FaultHarness
import Foundation
import Glibc
import PostgreSQL
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct PostgreSQLClientTests {
    private func client(
        _ url: String? = nil,
        _ change: (inout PostgreSQLConfiguration) -> Void = { _ in }
    ) throws -> PostgreSQLClient {
        var configuration = try PostgreSQLConfiguration(url: try url ?? PrivatePostgreSQL.sharedURL)
        change(&configuration)
        return PostgreSQLClient(configuration)
    }

    @Test(arguments: [
        "", "'; DROP TABLE x; --", "\u{1F4BE} ü \\ \" $1 %s", "a\nb\tc", String(repeating: "x", count: 100_000),
    ])
    func `values travel as they are, whatever is in them`(text: String) async throws {
        let row = try await self.client().transaction { session in
            try session.execute(
                "SELECT $1::text AS text, $2::text AS nothing, $3::bigint AS number, $4::boolean AS truth",
                [PostgreSQLValue(text), nil, PostgreSQLValue(Int64.min), PostgreSQLValue(true)]
            ).first
        }
        let result = try #require(row)
        #expect(try result.text("text") == text)
        #expect(try result.optionalText("nothing") == nil)
        #expect(try result.integer("number") == .min)
        #expect(try result.truth("truth"))
        #expect(throws: PostgreSQLError.self) { try result.text("nothing") }
        #expect(throws: PostgreSQLError.self) { try result.text("absent") }
        #expect(throws: PostgreSQLError.self) { try result.integer("text") }
    }

    @Test func `a text with a NUL is refused and not cut off`() async throws {
        let client = try self.client()
        let error = await #expect(throws: PostgreSQLError.self) {
            try await client.transaction { try $0.execute("SELECT $1::text", ["a\0b"]) }
        }
        #expect(error?.code == .invalidParameter)
        #expect(try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") } == 1)
    }

    @Test func `a refused statement says its state, undoes the transaction and leaves the connection`() async throws {
        let client = try self.client()
        let name = "refused_\(UInt32.random(in: 0 ... .max))"
        let error = await #expect(throws: PostgreSQLError.self) {
            try await client.transaction { session in
                try session.execute("CREATE TABLE \(name) (number INT PRIMARY KEY)")
                try session.execute("INSERT INTO \(name) VALUES (1)")
                try session.execute("INSERT INTO \(name) VALUES (1)")
            }
        }
        #expect(error?.code == .statementFailed && error?.sqlState == "23505" && error?.isOutage == false)
        let isThere = try await client.transaction { session in
            try session.execute("SELECT to_regclass($1) IS NOT NULL AS there", [PostgreSQLValue(name)]).first?.truth(
                "there"
            )
        }
        #expect(isThere == false)
    }

    @Test func `transactions of several callers are run one after the other`() async throws {
        let client = try self.client()
        let processes = try await withThrowingTaskGroup(of: Int64?.self) { group in
            for number in Int64(0)..<50 {
                group.addTask {
                    try await client.transaction { session in
                        let row = try session.execute(
                            "SELECT $1::bigint AS number, pg_backend_pid() AS process",
                            [PostgreSQLValue(number)]
                        ).first
                        #expect(try row?.integer("number") == number)
                        return try row?.integer("process")
                    }
                }
            }
            return try await group.reduce(into: Set<Int64?>()) { $0.insert($1) }
        }
        #expect(processes.count == 1)
    }

    @Test func `a statement that takes too long is given up in time, by the server as well`() async throws {
        let client = try self.client { $0.transactionTimeout = .milliseconds(300) }
        let start = ContinuousClock.now
        let error = await #expect(throws: PostgreSQLError.self) {
            try await client.transaction { try $0.execute("SELECT pg_sleep(30)") }
        }
        #expect(error?.isOutage == true)
        #expect(ContinuousClock.now - start < .seconds(3))
        #expect(try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") } == 1)
    }

    @Test func `the limits of a transaction are the transaction's and not the session's`() async throws {
        let client = try self.client { $0.transactionTimeout = .milliseconds(4321) }
        for _ in 0..<2 {
            let rows = try await client.transaction { session in
                try session.execute(
                    """
                    SELECT name, setting, reset_val FROM pg_settings WHERE name IN
                        ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name
                    """
                )
            }
            #expect(try rows.map { try $0.text("setting") } == ["8642", "4321", "4321"])
            #expect(try rows.map { try $0.text("reset_val") } == ["0", "0", "0"])
        }
        // Statements are not prepared by name either: another client may have the next transaction in the session.
        let prepared = try await client.transaction { session in
            try session.execute("SELECT count(*) AS count FROM pg_prepared_statements").first?.integer("count")
        }
        #expect(prepared == 0)
    }

    @Test func `a cancelled task does not wait for its statement`() async throws {
        let client = try self.client { $0.transactionTimeout = .seconds(60) }
        _ = try await client.transaction { try $0.execute("SELECT 1") }
        let start = ContinuousClock.now
        let task = Task { try await client.transaction { try $0.execute("SELECT pg_sleep(30)").count } }
        try await Task.sleep(for: .milliseconds(100))
        task.cancel()
        let error = await #expect(throws: PostgreSQLError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        #expect(ContinuousClock.now - start < .seconds(3))
        #expect(try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") } == 1)
    }

    @Test func `nobody who listens, a wrong password and a wrong host are an outage that is told at once`() async throws
    {
        let port = try Loopback.freePort()
        let shared = try PrivatePostgreSQL.sharedURL
        let wrongPassword = shared.replacingOccurrences(of: "steward:", with: "steward:wrong")
        for url in [
            "postgresql://u:hush@127.0.0.1:\(port)/d", wrongPassword, "postgresql://u:hush@no.such.host.invalid/d",
        ] {
            let client = try self.client(url) {
                $0.minimumBackoff = .seconds(60); $0.maximumBackoff = .seconds(60)
            }
            let error = await #expect(throws: PostgreSQLError.self) {
                try await client.transaction { try $0.execute("SELECT 1") }
            }
            #expect(error?.code == .unavailable && error?.isOutage == true)
            #expect(error?.description.contains("hush") == false && error?.description.contains("wrong") == false)
            // And again without another attempt.
            let start = ContinuousClock.now
            await #expect(throws: PostgreSQLError.self) { try await client.transaction { try $0.execute("SELECT 1") } }
            #expect(ContinuousClock.now - start < .seconds(1))
        }
    }

    @Test func `a server that takes connections and says nothing is given up, and the next host is tried`() async throws
    {
        // Its backlog takes them.
        let listener = try Loopback.listen()
        defer { close(listener.descriptor) }
        let silent = try self.client("postgresql://u:p@127.0.0.1:\(listener.port)/d") {
            $0.connectTimeout = .milliseconds(500)
            $0.minimumBackoff = .seconds(30)
            $0.maximumBackoff = .seconds(30)
        }
        let start = ContinuousClock.now
        let error = await #expect(throws: PostgreSQLError.self) {
            try await silent.transaction { try $0.execute("SELECT 1") }
        }
        #expect(error?.code == .unavailable)
        #expect(ContinuousClock.now - start < .seconds(3))
        // The back-off goes on: the next use does not wait once more.
        let second = ContinuousClock.now
        await #expect(throws: PostgreSQLError.self) { try await silent.transaction { try $0.execute("SELECT 1") } }
        #expect(ContinuousClock.now - second < .milliseconds(400))

        let shared = try PrivatePostgreSQL.sharedURL
        let both = shared.replacingOccurrences(of: "@", with: "@127.0.0.1:\(listener.port),")
        let client = try self.client(both) { $0.connectTimeout = .seconds(4) }
        #expect(try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") } == 1)
    }

    /// How many connections of a name the server has.
    private func connections(of name: String, _ observer: PostgreSQLClient) async throws -> Int64? {
        try await observer.transaction { session in
            try session.execute(
                "SELECT count(*) AS count FROM pg_stat_activity WHERE application_name = $1",
                [PostgreSQLValue(name)]
            ).first?.integer("count")
        }
    }

    @Test func `a connection that nobody uses is closed, and the next use makes another`() async throws {
        let observer = try self.client()
        let name = "idle-\(UUID().uuidString.prefix(8))"
        let client = try self.client {
            $0.applicationName = name
            $0.idleTimeout = .milliseconds(300)
        }
        func process() async throws -> Int64? {
            try await client.transaction { try $0.execute("SELECT pg_backend_pid() AS id").first?.integer("id") }
        }
        // Whoever uses it keeps it, unless this machine was too slow.
        var last = (start: ContinuousClock.now, id: try await process())
        for _ in 0..<10 {
            try await Task.sleep(for: .milliseconds(50))
            let next = (start: ContinuousClock.now, id: try await process())
            #expect(next.id == last.id || ContinuousClock.now - last.start >= .milliseconds(300))
            last = next
        }
        // A task that was cancelled before it began does not keep it for ever.
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await process()
        }
        await #expect(throws: PostgreSQLError.self) { try await cancelled.value }
        let deadline = ContinuousClock.now + .seconds(10)
        while try await self.connections(of: name, observer) != 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try await self.connections(of: name, observer) == 0)
        #expect(try await process() != last.id)
    }

    @Test func `a client that is let go of leaves no connection behind`() async throws {
        let observer = try self.client()
        let name = "gone-\(UUID().uuidString.prefix(8))"
        do {
            let client = try self.client { $0.applicationName = name }
            _ = try await client.transaction { try $0.execute("SELECT 1") }
        }
        let deadline = ContinuousClock.now + .seconds(10)
        var count: Int64? = 1
        while count != 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
            count = try await self.connections(of: name, observer)
        }
        #expect(count == 0)
    }
}
