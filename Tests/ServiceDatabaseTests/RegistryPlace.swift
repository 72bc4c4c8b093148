import Foundation
import GRDB
import PostgreSQL
import ServiceDatabase
import ServiceRuntime
import TestSupport
import Testing

/// The databases that a registry may be in: the same tests run on all of them.
enum RegistryKind: CaseIterable, CustomTestStringConvertible {
    case sqlite, postgreSQL

    var testDescription: String { "\(self)" }
}

/// A place for one registry of a test's own.
struct RegistryPlace: Sendable {
    let kind: RegistryKind
    /// As `database_connection` has it.
    let url: String

    /// A registry as another process would open it.
    func registry(schema: ServiceRegistrySchema = .made) throws -> any ServiceRegistry {
        try ServiceRegistryLocation(Secret(url: self.url)).registry(schema: schema)
    }

    /// Runs a statement in the database, past the registry.
    func execute(_ sql: String) async throws {
        switch self.kind {
        case .postgreSQL:
            let client = PostgreSQLClient(try PostgreSQLConfiguration(url: self.url))
            _ = try await client.transaction { try $0.execute(sql) }
        case .sqlite:
            let store = try ServiceStore(at: .file(String(self.url.dropFirst(9))), migrations: [])
            try await store.write { try $0.execute(sql: sql) }
        }
    }

    /// A new place for the time of `body`.
    static func with<Value>(_ kind: RegistryKind, _ body: (RegistryPlace) async throws -> Value) async throws -> Value {
        switch kind {
        case .sqlite:
            return try await withDirectory { directory in
                try await body(RegistryPlace(kind: kind, url: "sqlite://\(directory)/services.sqlite"))
            }
        case .postgreSQL:
            let shared = try PrivatePostgreSQL.sharedURL
            let schema = "test_\(UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: ""))"
            let client = PostgreSQLClient(try PostgreSQLConfiguration(url: shared))
            _ = try await client.transaction { try $0.execute("CREATE SCHEMA \(schema)") }
            let place = RegistryPlace(kind: kind, url: "\(shared)?options=-csearch_path%3D\(schema)")
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(place))
            } catch {
                result = .failure(error)
            }
            _ = try await client.transaction { try $0.execute("DROP SCHEMA \(schema) CASCADE") }
            return try result.get()
        }
    }
}

extension ServiceRegistration {
    /// A service of a test.
    static func of(_ host: String, topic: String = "cinder-volume", incarnation: String = "1") -> ServiceRegistration {
        ServiceRegistration(
            key: ServiceKey(topic: topic, host: host),
            binary: "volume-worker",
            versions: ["3.20", "1.0"],
            incarnation: incarnation
        )
    }
}
