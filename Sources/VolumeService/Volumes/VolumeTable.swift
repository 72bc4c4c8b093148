internal import GRDB
public import ServiceDatabase

/// The volumes of one worker in its database.
public struct VolumeTable: Sendable {
    /// All steps from an empty database to the present schema.
    public static let migrations: [SchemaMigration] = [
        SchemaMigration("volume") { database in
            try database.execute(
                sql: """
                    CREATE TABLE volume (
                        id TEXT NOT NULL PRIMARY KEY,
                        name TEXT,
                        size INTEGER NOT NULL CHECK (size > 0),
                        status TEXT NOT NULL,
                        fault TEXT,
                        created_at TEXT NOT NULL,
                        updated_at TEXT NOT NULL
                    ) WITHOUT ROWID
                    """
            )
        }
    ]

    private let store: ServiceStore
    private let host: String

    /// Takes a database that has seen ``migrations``.
    ///
    /// - Parameters:
    ///   - store: The database of one worker.
    ///   - host: The worker, for ``Volume/host``; a worker may be renamed, so it is not kept in the database.
    public init(_ store: ServiceStore, host: String) {
        self.store = store
        self.host = host
    }

    /// Why the database cannot be used at present; `nil` where it can.
    var trouble: ServiceStoreError? { store.trouble }

    /// Tries whether the database can be written, as far as nobody else has found out.
    func probe() async { await store.probe() }

    /// Reads one volume; `nil` if there is none.
    func volume(_ id: VolumeID) async throws -> Volume? {
        try await translatingErrors {
            try await store.read { [host] database in
                try Row.fetchOne(database, sql: "SELECT * FROM volume WHERE id = ?", arguments: [id.text])
                    .map { try Self.volume($0, host: host) }
            }
        }
    }

    /// Reads all volumes, ordered by id.
    func all() async throws -> [Volume] {
        try await translatingErrors {
            try await store.read { [host] database in
                try Row.fetchAll(database, sql: "SELECT * FROM volume ORDER BY id")
                    .map { try Self.volume($0, host: host) }
            }
        }
    }

    /// Writes a volume over what is known of it, and its time of change.
    @discardableResult
    func save(_ volume: Volume) async throws -> Volume {
        var volume = volume
        volume.updatedAt = wireTimestamp()
        try await translatingErrors {
            try await store.write { [volume] database in
                try database.execute(
                    sql: """
                        INSERT OR REPLACE INTO volume (id, name, size, status, fault, created_at, updated_at)
                        VALUES (?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        volume.id.text, volume.name, volume.size, volume.status.rawValue, volume.fault,
                        volume.createdAt, volume.updatedAt,
                    ]
                )
            }
        }
        return volume
    }

    /// Forgets a volume.
    func remove(_ id: VolumeID) async throws {
        try await translatingErrors {
            try await store.write { try $0.execute(sql: "DELETE FROM volume WHERE id = ?", arguments: [id.text]) }
        }
    }

    /// An error of the database reaches callers as one of the backend, which peers know.
    private func translatingErrors<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as ServiceStoreError {
            throw VolumeError.backendFailed("the database of host \(host) failed: \(error.code)", cause: error)
        }
    }

    private static func volume(_ row: Row, host: String) throws -> Volume {
        let text: String = try row.decode(forColumn: "id")
        guard let id = VolumeID(text) else {
            throw VolumeError.backendFailed("the database holds a volume with the impossible id '\(text)'")
        }
        return Volume(
            id: id,
            name: try row.decode(forColumn: "name"),
            size: try row.decode(forColumn: "size"),
            status: Volume.Status(rawValue: try row.decode(forColumn: "status")),
            fault: try row.decode(forColumn: "fault"),
            host: host,
            createdAt: try row.decode(forColumn: "created_at"),
            updatedAt: try row.decode(forColumn: "updated_at")
        )
    }
}
