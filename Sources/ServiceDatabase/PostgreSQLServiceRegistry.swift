internal import Messaging
internal import PostgreSQL
public import ServiceRuntime
internal import Synchronization

/// A registry of services in PostgreSQL, for the services of many machines.
///
/// Each process has one connection at most, which it opens when it needs it and closes when it has not used it for 1 s.
/// All times are the database's own.
public struct PostgreSQLServiceRegistry: ServiceRegistry {
    /// What hosts that start at the same time wait for each other with, before they look at the tables.
    private static let schemaLock: Int64 = 0x7374_6577_6172_6401

    private let client: PostgreSQLClient
    private let location: String
    private let schema: ServiceRegistrySchema
    private let preparation = Preparation()

    init(_ configuration: PostgreSQLConfiguration, at location: String, schema: ServiceRegistrySchema) {
        self.client = PostgreSQLClient(configuration)
        self.location = location
        self.schema = schema
    }

    /// Records a service that has started; see `ServiceRegistry`.
    ///
    /// - Parameter registration: What the service is.
    /// - Returns: The row.
    /// - Throws: `ServiceRegistryError`.
    public func register(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        try registration.validate()
        return try await self.insert(
            registration,
            """
            UPDATE SET "binary" = excluded."binary", availability_zone = excluded.availability_zone,
                versions = excluded.versions, incarnation = excluded.incarnation
            """
        )
    }

    /// Counts one more report; see `ServiceRegistry`.
    ///
    /// - Parameter registration: What the service is.
    /// - Returns: The row.
    /// - Throws: `ServiceRegistryError`.
    public func heartbeat(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord {
        try registration.validate()
        return try await self.insert(
            registration,
            "UPDATE SET report_count = steward_service.report_count + 1, updated_at = excluded.updated_at"
        )
    }

    private func insert(
        _ registration: ServiceRegistration,
        _ update: String
    ) async throws(ServiceRegistryError) -> ServiceRecord {
        try await self.record(registration.key) { session in
            try session.execute(
                """
                INSERT INTO steward_service (topic, host, "binary", availability_zone, versions, incarnation, disabled,
                    frozen, report_count, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, false, false, 0, \(Self.now))
                ON CONFLICT (topic, host) DO \(update) RETURNING \(Self.columns)
                """,
                [
                    PostgreSQLValue(registration.key.topic), PostgreSQLValue(registration.key.host),
                    PostgreSQLValue(registration.binary), PostgreSQLValue(registration.availabilityZone),
                    PostgreSQLValue(registration.versions.joined(separator: ",")),
                    PostgreSQLValue(registration.incarnation),
                ]
            )
        }
    }

    /// Reads all services; see `ServiceRegistry`.
    ///
    /// - Throws: `ServiceRegistryError`.
    public func services() async throws(ServiceRegistryError) -> [ServiceRecord] {
        try await self.use { session in
            // By code points, as SQLite orders and whatever the database's language is.
            try session.execute(
                #"SELECT \#(Self.columns) FROM steward_service ORDER BY topic COLLATE "C", host COLLATE "C""#
            ).map(Self.record)
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
        return try await self.record(key) { session in
            try session.execute(
                """
                UPDATE steward_service SET
                    disabled = coalesce($1::boolean, disabled),
                    disabled_reason = CASE WHEN $1::boolean IS NULL THEN disabled_reason ELSE $2 END,
                    frozen = coalesce($3::boolean, frozen)
                WHERE topic = $4 AND host = $5 RETURNING \(Self.columns)
                """,
                [
                    PostgreSQLValue(change.isDisabled), PostgreSQLValue(change.disabledReason),
                    PostgreSQLValue(change.isFrozen), PostgreSQLValue(key.topic), PostgreSQLValue(key.host),
                ]
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
        try await self.use { session in
            let rows = try session.execute(
                "DELETE FROM steward_service WHERE topic = $1 AND host = $2 RETURNING topic",
                [PostgreSQLValue(key.topic), PostgreSQLValue(key.host)]
            )
            return !rows.isEmpty
        }
    }

    // MARK: Rows

    /// The database's time in milliseconds since 1970: that of the statement, not of a transaction that waited for a lock.
    private static let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    private static let columns = "*, greatest(0, \(now) - updated_at) AS age"

    private func record(
        _ key: ServiceKey,
        _ body: @escaping @Sendable (borrowing PostgreSQLSession) throws -> [PostgreSQLRow]
    ) async throws(ServiceRegistryError) -> ServiceRecord {
        try await self.use { session in
            guard let row = try body(session).first else { throw ServiceRegistryError.noSuchService(key) }
            return try Self.record(row)
        }
    }

    private static func record(_ row: PostgreSQLRow) throws -> ServiceRecord {
        ServiceRecord(
            registration: ServiceRegistration(
                key: ServiceKey(topic: try row.text("topic"), host: try row.text("host")),
                binary: try row.text("binary"),
                availabilityZone: try row.text("availability_zone"),
                versions: try row.text("versions").split(separator: ",").map(String.init),
                incarnation: try row.text("incarnation")
            ),
            standing: ServiceStanding(
                isDisabled: try row.truth("disabled"),
                disabledReason: try row.optionalText("disabled_reason"),
                isFrozen: try row.truth("frozen")
            ),
            reportCount: try row.integer("report_count"),
            updatedAt: UTCTime(milliseconds: try row.integer("updated_at")).description,
            age: .milliseconds(try row.integer("age"))
        )
    }

    // MARK: Tables

    /// Whether the tables were looked at.
    private final class Preparation: Sendable {
        let isDone = Atomic(false)
    }

    private func use<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing PostgreSQLSession) throws -> Value
    ) async throws(ServiceRegistryError) -> Value {
        do {
            if !self.preparation.isDone.load(ordering: .acquiring) {
                try await self.prepare()
                self.preparation.isDone.store(true, ordering: .releasing)
            }
            return try await self.client.transaction(body)
        } catch let error as ServiceRegistryError {
            throw error
        } catch let error as PostgreSQLError {
            // Somebody has removed the tables: they are made again with the next use.
            if error.sqlState == "42P01" { self.preparation.isDone.store(false, ordering: .releasing) }
            throw ServiceRegistryError(
                error.isOutage ? .unavailable : .failed,
                "the registry of services in \(self.location) cannot be used",
                cause: error
            )
        } catch {
            throw ServiceRegistryError(.failed, "the registry of services cannot be used", cause: error)
        }
    }

    private func prepare() async throws {
        let (schema, location) = (self.schema, self.location)
        let isComplete = try await self.client.transaction { session in
            try schema.missingSteps(after: Self.version(session), at: location).isEmpty
        }
        // Whoever may only read and write rows comes no further than this, and need not.
        if isComplete { return }
        // In a transaction of its own: within one, the server remembers that there was no table.
        try await self.client.transaction { session in try Self.migrate(session, schema, at: location) }
    }

    private static func migrate(
        _ session: borrowing PostgreSQLSession,
        _ schema: ServiceRegistrySchema,
        at location: String
    ) throws {
        try session.execute("SELECT pg_advisory_xact_lock($1::bigint)", [PostgreSQLValue(Self.schemaLock)])
        // Another host may have been faster.
        var version = try Self.version(session)
        if version == 0 {
            try session.execute(
                "CREATE TABLE IF NOT EXISTS steward_service_schema (version BIGINT NOT NULL PRIMARY KEY)"
            )
            // That a table is not there the server may answer from a cache of before the lock; its rows it may not.
            version = try Self.recordedVersion(session)
        }
        let missing = try schema.missingSteps(after: version, at: location)
        for step in missing {
            try session.execute(step.sql)
            try session.execute(
                "INSERT INTO steward_service_schema (version) VALUES ($1::bigint)",
                [PostgreSQLValue(Int64(step.number))]
            )
        }
    }

    private static func version(_ session: borrowing PostgreSQLSession) throws -> Int {
        let isThere = try session.execute(
            "SELECT to_regclass('steward_service_schema') IS NOT NULL AS is_there"
        ).first?.truth("is_there")
        return isThere ?? false ? try Self.recordedVersion(session) : 0
    }

    private static func recordedVersion(_ session: borrowing PostgreSQLSession) throws -> Int {
        let rows = try session.execute("SELECT coalesce(max(version), 0) AS version FROM steward_service_schema")
        return Int(try rows.first?.integer("version") ?? 0)
    }
}
