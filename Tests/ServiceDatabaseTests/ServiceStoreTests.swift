import Foundation
import GRDB
import ServiceDatabase
import Testing

@Suite struct ServiceStoreTests {
    static let first = SchemaMigration("notes") { database in
        try database.execute(sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    }
    static let second = SchemaMigration("notes have authors") { database in
        try database.execute(sql: "ALTER TABLE note ADD COLUMN author TEXT")
    }

    @Test func `a new database gets all migrations`() async throws {
        try await withDirectory { directory in
            let store = try ServiceStore(at: .file(directory + "/a.sqlite"), migrations: [Self.first, Self.second])
            try await store.write { try $0.execute(sql: "INSERT INTO note (body, author) VALUES ('b', 'a')") }
            let author = try await store.read { try String.fetchOne($0, sql: "SELECT author FROM note") }
            #expect(author == "a")
        }
    }

    @Test func `opening again runs nothing twice and keeps the data`() async throws {
        try await withDirectory { directory in
            for _ in 1...3 {
                let store = try ServiceStore(at: .file(directory + "/a.sqlite"), migrations: [Self.first])
                try await store.write { try $0.execute(sql: "INSERT INTO note (body) VALUES ('b')") }
            }
            let store = try ServiceStore(at: .file(directory + "/a.sqlite"), migrations: [Self.first, Self.second])
            #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM note") } == 3)
            #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(author) FROM note") } == 0)
        }
    }

    @Test func `a database of a later version is refused`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            _ = try ServiceStore(at: .file(path), migrations: [Self.first, Self.second])
            let error = #expect(throws: ServiceStoreError.self) {
                try ServiceStore(at: .file(path), migrations: [Self.first])
            }
            #expect(error?.code == .newerSchema)
        }
    }

    @Test func `a failed migration leaves the database as it was`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            let broken = SchemaMigration("broken") { database in
                try database.execute(sql: "CREATE TABLE half (id INTEGER)")
                try database.execute(sql: "INSERT INTO nowhere VALUES (1)")
            }
            let error = #expect(throws: ServiceStoreError.self) {
                try ServiceStore(at: .file(path), migrations: [Self.first, broken])
            }
            #expect(error?.code == .migrationFailed)
            let store = try ServiceStore(at: .file(path), migrations: [Self.first])
            #expect(try await store.read { try !$0.tableExists("half") })
        }
    }

    @Test func `a file that is no database, and a directory that is not there, are refused`() async throws {
        try await withDirectory { directory in
            let path = directory + "/text"
            try String(repeating: "this is no database\n", count: 100).write(
                toFile: path,
                atomically: true,
                encoding: .utf8
            )
            for path in [path, directory + "/missing/a.sqlite"] {
                let error = #expect(throws: ServiceStoreError.self) {
                    try ServiceStore(at: .file(path), migrations: [Self.first])
                }
                #expect(error?.code == .cannotOpen)
                #expect(error?.description.contains(path) == true)
            }
        }
    }

    @Test func `a file has a write-ahead log and commits reach the disk`() async throws {
        try await withDirectory { directory in
            let store = try ServiceStore(at: .file(directory + "/a.sqlite"), migrations: [Self.first])
            #expect(try await store.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
            #expect(try await store.write { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        }
    }

    @Test func `a database that another connection holds is busy after the timeout`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            var configuration = ServiceStore.Configuration()
            configuration.busyTimeout = .milliseconds(50)
            let store = try ServiceStore(at: .file(path), migrations: [Self.first], configuration: configuration)
            var permissive = Configuration()
            permissive.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: path, configuration: permissive)
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            let error = await #expect(throws: ServiceStoreError.self) {
                try await store.write { try $0.execute(sql: "INSERT INTO note (body) VALUES ('b')") }
            }
            #expect(error?.code == .busy)
            try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try await store.write { try $0.execute(sql: "INSERT INTO note (body) VALUES ('b')") }
        }
    }

    @Test func `a transaction whose body throws is undone, and its error is passed on`() async throws {
        struct Refusal: Error {}
        let store = try ServiceStore(at: .memory, migrations: [Self.first])
        await #expect(throws: Refusal.self) {
            try await store.write { database in
                try database.execute(sql: "INSERT INTO note (body) VALUES ('b')")
                throw Refusal()
            }
        }
        #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM note") } == 0)
        let error = await #expect(throws: ServiceStoreError.self) {
            try await store.write { try $0.execute(sql: "INSERT INTO note (body) VALUES (NULL)") }
        }
        #expect(error?.code == .constraint)
    }
}

/// A new directory for the time of `body`.
func withDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    do {
        let value = try await body(directory.path)
        try FileManager.default.removeItem(at: directory)
        return value
    } catch {
        try FileManager.default.removeItem(at: directory)
        throw error
    }
}
