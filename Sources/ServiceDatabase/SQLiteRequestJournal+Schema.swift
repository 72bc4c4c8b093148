internal import GRDB
internal import Synchronization

extension SQLiteRequestJournal {
    /// The journal's table.
    ///
    /// Its steps are remembered apart from those of the service, whose migrator takes what it does not know for the work
    /// of a later version.
    enum Schema {
        private static let steps: [@Sendable (Database) throws -> Void] = [
            { database in
                try database.execute(
                    sql: """
                        CREATE TABLE steward_request (
                            id INTEGER PRIMARY KEY AUTOINCREMENT,
                            key TEXT NOT NULL UNIQUE,
                            method TEXT NOT NULL,
                            phase TEXT NOT NULL,
                            replays INTEGER NOT NULL,
                            carrier INTEGER NOT NULL,
                            attempts INTEGER NOT NULL,
                            reason TEXT,
                            reply BLOB,
                            seen_at INTEGER NOT NULL
                        )
                        """
                )
            }
        ]

        static func prepare(_ database: Database) throws {
            try database.execute(
                sql: "CREATE TABLE IF NOT EXISTS steward_request_schema (version INTEGER NOT NULL PRIMARY KEY)"
            )
            let version = try Int.fetchOne(database, sql: "SELECT max(version) FROM steward_request_schema") ?? 0
            guard version <= Self.steps.count else { throw NewerSchema() }
            for number in version..<Self.steps.count {
                try Self.steps[number](database)
                try database.execute(
                    sql: "INSERT INTO steward_request_schema (version) VALUES (?)",
                    arguments: [number + 1]
                )
            }
        }
    }

    /// A later version of the package has changed the table.
    struct NewerSchema: Error {}

    /// Says from time to time that the old is to be forgotten.
    final class Trimming: Sendable {
        private let count = Atomic(0)
        /// How much was added to the replies since the last time.
        private let size = Atomic(0)

        /// Notes that a reply of so many bytes is about to be kept.
        func keeps(_ bytes: Int) {
            self.size.wrappingAdd(bytes, ordering: .relaxed)
        }

        func isDue(_ configuration: Configuration) -> Bool {
            let isCounted = self.count.wrappingAdd(1, ordering: .relaxed).newValue.isMultiple(of: 1000)
            let isLarge = self.size.load(ordering: .relaxed) > max(0, configuration.maximumReplySize) / 4
            guard isCounted || isLarge else { return false }
            self.size.store(0, ordering: .relaxed)
            return true
        }
    }
}
