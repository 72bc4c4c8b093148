internal import Dispatch
internal import Foundation
internal import GRDB
internal import Messaging
public import ServiceRuntime

/// A registry of services in an SQLite file, for the services of one machine.
///
/// Several processes may use the file at the same time. It is opened with the first use; the times in it are the machine's.
public struct SQLiteServiceRegistry: ServiceRegistry {
    private let opener: Opener

    /// Describes a registry.
    ///
    /// - Parameters:
    ///   - path: The file; its directory is made with the first use, where the tables are.
    ///   - schema: What becomes of its tables; by default they are made.
    ///   - busyTimeout: How long is waited for another process that holds the file; 5 s by default.
    public init(path: String, schema: ServiceRegistrySchema = .made, busyTimeout: Duration = .seconds(5)) {
        self.opener = Opener(path: path, schema: schema, busyTimeout: busyTimeout)
    }

    /// Records a service that has started; see `ServiceRegistry`.
    ///
    /// - Parameter registration: What the service is.
    /// - Returns: The row.
    /// - Throws: `ServiceRegistryError`.
    public func register(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        try registration.validate()
        return try await self.write(registration.key) { database in
            try Self.insert(
                registration,
                """
                UPDATE SET "binary" = excluded."binary", availability_zone = excluded.availability_zone,
                    versions = excluded.versions, incarnation = excluded.incarnation
                """,
                database
            )
        }
    }

    /// Counts one more report; see `ServiceRegistry`.
    ///
    /// - Parameter registration: What the service is.
    /// - Returns: The row.
    /// - Throws: `ServiceRegistryError`.
    public func heartbeat(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        try registration.validate()
        return try await self.write(registration.key) { database in
            try Self.insert(
                registration,
                "UPDATE SET report_count = report_count + 1, updated_at = excluded.updated_at",
                database
            )
        }
    }

    private static func insert(
        _ registration: ServiceRegistration,
        _ update: String,
        _ database: Database
    ) throws {
        try database.execute(
            sql: """
                INSERT INTO steward_service (topic, host, "binary", availability_zone, versions, incarnation, disabled,
                    frozen, report_count, updated_at)
                VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, ?) ON CONFLICT (topic, host) DO \(update)
                """,
            arguments: [
                registration.key.topic, registration.key.host, registration.binary, registration.availabilityZone,
                registration.versions.joined(separator: ","), registration.incarnation, UTCTime.now.milliseconds,
            ]
        )
    }

    /// Reads all services; see `ServiceRegistry`.
    ///
    /// - Throws: `ServiceRegistryError`.
    public func services() async throws(ServiceRegistryError) -> [ServiceRecord] {
        try await self.use { store in
            try await store.read { database in
                try Row.fetchAll(database, sql: "SELECT * FROM steward_service ORDER BY topic, host").map(Self.record)
            }
        }
    }

    /// Changes what operators have decided; see `ServiceRegistry`.
    ///
    /// - Parameters:
    ///   - key: The service.
    ///   - change: What changes.
    /// - Returns: The row.
    /// - Throws: `ServiceRegistryError`.
    public func change(
        _ key: ServiceKey,
        _ change: ServiceStandingChange
    ) async throws(ServiceRegistryError) -> ServiceRecord {
        try change.validate()
        return try await self.write(key) { database in
            try database.execute(
                sql: """
                    UPDATE steward_service SET
                        disabled = coalesce(?1, disabled),
                        disabled_reason = CASE WHEN ?1 IS NULL THEN disabled_reason ELSE ?2 END,
                        frozen = coalesce(?3, frozen)
                    WHERE topic = ?4 AND host = ?5
                    """,
                arguments: [change.isDisabled, change.disabledReason, change.isFrozen, key.topic, key.host]
            )
        }
    }

    /// Forgets a service; see `ServiceRegistry`.
    ///
    /// - Parameter key: The service.
    /// - Returns: Whether it was recorded.
    /// - Throws: `ServiceRegistryError`.
    @discardableResult
    public func remove(_ key: ServiceKey) async throws(ServiceRegistryError) -> Bool {
        try await self.use { store in
            try await store.note { database in
                try database.execute(
                    sql: "DELETE FROM steward_service WHERE topic = ? AND host = ?",
                    arguments: [key.topic, key.host]
                )
                return database.changesCount > 0
            }
        }
    }

    // MARK: Rows

    private func write(
        _ key: ServiceKey,
        _ body: @escaping @Sendable (Database) throws -> Void
    ) async throws(ServiceRegistryError) -> ServiceRecord {
        try await self.use { store in
            try await store.note { database in
                try body(database)
                let row = try Row.fetchOne(
                    database,
                    sql: "SELECT * FROM steward_service WHERE topic = ? AND host = ?",
                    arguments: [key.topic, key.host]
                )
                guard let row else { throw ServiceRegistryError.noSuchService(key) }
                return try Self.record(row)
            }
        }
    }

    private static func record(_ row: Row) throws -> ServiceRecord {
        let updatedAt = UTCTime(milliseconds: try row.decode(forColumn: "updated_at"))
        let versions: String = try row.decode(forColumn: "versions")
        return ServiceRecord(
            registration: ServiceRegistration(
                key: ServiceKey(
                    topic: try row.decode(forColumn: "topic"),
                    host: try row.decode(forColumn: "host")
                ),
                binary: try row.decode(forColumn: "binary"),
                availabilityZone: try row.decode(forColumn: "availability_zone"),
                versions: versions.split(separator: ",").map(String.init),
                incarnation: try row.decode(forColumn: "incarnation")
            ),
            standing: ServiceStanding(
                isDisabled: try row.decode(forColumn: "disabled"),
                disabledReason: try row.decode(forColumn: "disabled_reason"),
                isFrozen: try row.decode(forColumn: "frozen")
            ),
            reportCount: try row.decode(forColumn: "report_count"),
            updatedAt: updatedAt.description,
            age: max(.zero, .milliseconds(UTCTime.now.milliseconds - updatedAt.milliseconds))
        )
    }

    private func use<Value: Sendable>(
        _ body: (ServiceStore) async throws -> Value
    ) async throws(ServiceRegistryError) -> Value {
        do {
            return try await body(try await self.opener.store())
        } catch let error as ServiceRegistryError {
            throw error
        } catch let error as ServiceStoreError {
            throw ServiceRegistryError(error)
        } catch {
            throw ServiceRegistryError(.failed, "the registry of services cannot be used", cause: error)
        }
    }
}

extension SQLiteServiceRegistry {
    /// Opens the file once, away from the threads that must not wait.
    private actor Opener {
        private let path: String
        private let schema: ServiceRegistrySchema
        private let busyTimeout: Duration
        private var opened: ServiceStore?
        private var opening: Task<ServiceStore, any Error>?

        init(path: String, schema: ServiceRegistrySchema, busyTimeout: Duration) {
            self.path = path
            self.schema = schema
            self.busyTimeout = busyTimeout
        }

        func store() async throws -> ServiceStore {
            if let opened {
                guard opened.trouble?.code == .damaged, FileManager.default.fileExists(atPath: self.path) else {
                    return opened
                }
                // The file was put back, or another one: it has to be opened anew.
                self.opened = nil
            }
            let opening = self.opening ?? Task { try await self.open() }
            self.opening = opening
            defer { if self.opening == opening { self.opening = nil } }
            let store = try await opening.value
            self.opened = store
            return store
        }

        private func open() async throws -> ServiceStore {
            let (path, schema, busyTimeout) = (self.path, self.schema, self.busyTimeout)
            return try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async {
                    continuation.resume(
                        with: Result { try Self.open(path, schema, busyTimeout: busyTimeout) }
                    )
                }
            }
        }

        private static func open(
            _ path: String,
            _ schema: ServiceRegistrySchema,
            busyTimeout: Duration
        ) throws -> ServiceStore {
            if schema == .made {
                let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
                try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            } else if !FileManager.default.fileExists(atPath: path) {
                throw ServiceRegistryError(.noRegistry, "there is no file \(path)")
            }
            var configuration = ServiceStore.Configuration()
            configuration.busyTimeout = busyTimeout
            configuration.maximumReaders = 1
            let store = try Self.openFile(path, configuration)
            try store.prepare { try Self.prepare($0, schema, path: path) }
            return store
        }

        private static func openFile(
            _ path: String,
            _ configuration: ServiceStore.Configuration
        ) throws -> ServiceStore {
            do {
                return try ServiceStore(at: .file(path), migrations: [], configuration: configuration)
            } catch {
                // Several that make the file at once all change its journal, and SQLite does not let each in its turn.
                guard (error.cause as? DatabaseError)?.resultCode == .SQLITE_BUSY else { throw error }
                return try ServiceStore(at: .file(path), migrations: [], configuration: configuration)
            }
        }

        private static func prepare(_ database: Database, _ schema: ServiceRegistrySchema, path: String) throws {
            let isThere = try database.tableExists("steward_service_schema")
            let version =
                isThere ? try Int.fetchOne(database, sql: "SELECT max(version) FROM steward_service_schema") ?? 0 : 0
            let missing = try schema.missingSteps(after: version, at: path)
            guard !missing.isEmpty else { return }
            if !isThere {
                try database.execute(sql: "CREATE TABLE steward_service_schema (version BIGINT NOT NULL PRIMARY KEY)")
            }
            for step in missing {
                try database.execute(sql: step.sql)
                try database.execute(
                    sql: "INSERT INTO steward_service_schema (version) VALUES (?)",
                    arguments: [step.number]
                )
            }
        }
    }
}

extension ServiceRegistryError {
    static func noSuchService(_ key: ServiceKey) -> ServiceRegistryError {
        ServiceRegistryError(.noSuchService, "no service '\(key.host)' of topic '\(key.topic)' is recorded")
    }

    /// Translates an error of the file.
    fileprivate init(_ error: ServiceStoreError) {
        if let own = error.cause as? ServiceRegistryError {
            self = own
            return
        }
        let code: Code =
            switch error.code {
            case .newerSchema: .newerSchema
            case .constraint, .failed, .migrationFailed: .failed
            default: .unavailable
            }
        self.init(code, error.message, cause: error.cause)
    }
}
