public import GRDB
internal import Messaging

/// The database of a service: an SQLite file, brought to the schema that its migrations describe.
///
/// ```swift
/// let store = try ServiceStore(at: .file("/var/lib/worker/volumes.sqlite"), migrations: VolumeTable.migrations)
/// let count = try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM volume") }
/// ```
///
/// A file is opened with a write-ahead log: readers never wait for the writer, and other processes (a person with the
/// `sqlite3` shell, a backup) may read along. A commit is on the disk when ``write(_:)`` returns. A store is a value;
/// copies share the connections, which are closed with the last of them.
public struct ServiceStore: Sendable {
    /// Where the data is kept.
    public struct Location: Sendable, Hashable, CustomStringConvertible {
        let path: String?

        /// A file; it is made if there is none, in a directory that exists.
        public static func file(_ path: String) -> Location { Location(path: path) }
        /// The memory of this process; the data is gone with the store.
        public static let memory = Location(path: nil)

        /// The path, or that it is kept in memory.
        public var description: String { path ?? "a database in memory" }
    }

    /// How the database is opened.
    public struct Configuration: Sendable {
        /// How long a statement waits for another process that holds the database; 5 s by default.
        public var busyTimeout: Duration = .seconds(5)
        /// How many reads run at the same time; 4 by default.
        ///
        /// A store in memory has one connection for everything.
        public var maximumReaders = 4
        /// Told once when the database cannot be used, and once, with `nil`, when it can again; nobody by default.
        ///
        /// Called on any thread; it must not use the database.
        public var onTrouble: (@Sendable (ServiceStoreError?) -> Void)?

        /// Creates the defaults.
        public init() {}
    }

    /// Where the data is kept.
    public let location: Location
    private let writer: any DatabaseWriter
    private let health: ServiceStoreHealth

    /// Opens the database, and runs the migrations that it has not seen yet, each in a transaction of its own.
    ///
    /// - Parameters:
    ///   - location: Where the data is kept.
    ///   - migrations: All steps from an empty database to the present schema, in their order.
    ///   - configuration: Limits.
    /// - Throws: ``ServiceStoreError`` with `cannotOpen`, `newerSchema` where a later version of the program wrote the
    ///   database, or `migrationFailed`.
    public init(
        at location: Location,
        migrations: [SchemaMigration],
        configuration: Configuration = Configuration()
    ) throws(ServiceStoreError) {
        self.location = location
        self.health = ServiceStoreHealth(location, onTrouble: configuration.onTrouble)
        do {
            self.writer = try Self.open(location, configuration)
        } catch {
            throw ServiceStoreError(
                .cannotOpen,
                "the database \(location) cannot be opened; check that its directory exists and is writable",
                cause: error
            )
        }
        try Self.migrate(writer, migrations, at: location)
        health.watchFile()
    }

    /// Why the database cannot be used at present, by what was last tried; `nil` where it can.
    public var trouble: ServiceStoreError? { health.trouble }

    /// Tries whether the database can be read and written, for ``trouble``; whatever comes of it is no error here.
    public func probe() async {
        do {
            _ = try await read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_master") }
        } catch {
            // It is remembered as the trouble, as is what the writing comes to.
        }
        do {
            try await note { database in
                try database.execute(sql: "CREATE TABLE IF NOT EXISTS service_store_probe (count INTEGER NOT NULL)")
                try database.execute(
                    sql: "INSERT OR REPLACE INTO service_store_probe (rowid, count) VALUES (1, abs(random()))"
                )
            }
        } catch {
            // It is remembered as the trouble, which is all that was asked for.
        }
    }

    /// Reads from one state of the database, whatever is written meanwhile.
    ///
    /// - Throws: What `body` throws; errors of SQLite as ``ServiceStoreError``; `CancellationError` if the task is
    ///   cancelled.
    public func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await health.watching(.read) { try await writer.read(body) }
    }

    /// Changes the database in one transaction, which is undone if `body` throws.
    ///
    /// - Throws: What `body` throws; errors of SQLite as ``ServiceStoreError``; `CancellationError` if the task is
    ///   cancelled.
    public func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await health.watching(.write) { try await writer.write(body) }
    }

    /// Makes what a part of this library needs in the database.
    func prepare(_ body: (Database) throws -> Void) throws(ServiceStoreError) {
        do {
            try writer.write(body)
        } catch let error as DatabaseError {
            throw ServiceStoreError(error, at: location)
        } catch is SQLiteRequestJournal.NewerSchema {
            throw ServiceStoreError(
                .newerSchema,
                "the journal in \(location) was written by a later version of this program; run that version or a later one"
            )
        } catch {
            throw ServiceStoreError(.failed, "\(location) cannot be prepared", cause: error)
        }
    }

    /// Writes what may be lost when the machine fails, though not when the process does: the disk is not waited for.
    ///
    /// The next commit that waits for the disk takes it along, because the log is written in order.
    func note<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await health.watching(.write) {
            // In a task of its own, awaited on the spot: a cancellation must not get between the two settings.
            try await Task(executorPreference: preferredTaskExecutor) {
                try await writer.writeWithoutTransaction { try Self.note($0, body) }
            }.value
        }
    }

    private static func note<Value>(_ database: Database, _ body: (Database) throws -> Value) throws -> Value {
        try database.execute(sql: "PRAGMA synchronous = NORMAL")
        let outcome = Result {
            var value: Value?
            try database.inTransaction(.immediate) {
                value = try body(database)
                return .commit
            }
            return value
        }
        try database.execute(sql: "PRAGMA synchronous = FULL")
        guard let value = try outcome.get() else { throw DatabaseError(resultCode: .SQLITE_ABORT) }
        return value
    }

    private static func open(_ location: Location, _ settings: Configuration) throws -> any DatabaseWriter {
        var configuration = GRDB.Configuration()
        configuration.label = "service-store"
        let (seconds, attoseconds) = settings.busyTimeout.components
        configuration.busyMode = .timeout(Double(seconds) + Double(attoseconds) * 1e-18)
        configuration.maximumReaderCount = max(1, settings.maximumReaders)
        guard let path = location.path else { return try DatabaseQueue(configuration: configuration) }
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB chooses NORMAL, with which a power failure may take back the last commits: a worker that has answered
        // "created" would then have a volume that its database does not know.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        return pool
    }

    private static func migrate(
        _ writer: any DatabaseWriter,
        _ migrations: [SchemaMigration],
        at location: Location
    ) throws(ServiceStoreError) {
        var migrator = DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration(migration.name, migrate: migration.body)
        }
        let isSuperseded: Bool
        do {
            isSuperseded = try writer.read { [migrator] in try migrator.hasBeenSuperseded($0) }
        } catch {
            throw ServiceStoreError(.cannotOpen, "\(location) cannot be read as a database", cause: error)
        }
        guard !isSuperseded else {
            throw ServiceStoreError(
                .newerSchema,
                "\(location) was written by a later version of this program; run that version or a later one"
            )
        }
        do {
            try migrator.migrate(writer)
        } catch {
            throw ServiceStoreError(
                .migrationFailed,
                "the schema of \(location) cannot be brought up to date",
                cause: error
            )
        }
    }
}
