internal import GRDB

/// What went wrong with a service's database.
public struct ServiceStoreError: Error, Sendable, CustomStringConvertible {
    /// What kind of error it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case cannotOpen, newerSchema, migrationFailed, busy, full, damaged, constraint, failed
        }
        private let kind: Kind

        /// The database cannot be opened or is no database.
        public static let cannotOpen = Code(kind: .cannotOpen)
        /// A later version of the program has changed the schema.
        public static let newerSchema = Code(kind: .newerSchema)
        /// A migration failed; the database is as it was before this step.
        public static let migrationFailed = Code(kind: .migrationFailed)
        /// Another process held the database for longer than the busy timeout.
        public static let busy = Code(kind: .busy)
        /// There is no space left for the database.
        public static let full = Code(kind: .full)
        /// The file is damaged, or cannot be read or written.
        public static let damaged = Code(kind: .damaged)
        /// The change would break a rule of the schema.
        public static let constraint = Code(kind: .constraint)
        /// Any other error of SQLite.
        public static let failed = Code(kind: .failed)

        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code
    /// What was wrong and what can be done.
    public let message: String
    /// The error beneath this one.
    public let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Translates an error of SQLite.
    ///
    /// The message names tables and columns; statements and values are left out.
    init(_ error: DatabaseError, at location: ServiceStore.Location) {
        let (code, explanation): (Code, String) =
            switch error.resultCode {
            // A quota, or a limit on a file's size: SQLite knows only ENOSPC as a full disk.
            case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_WRITE:
                (.full, "nothing can be written to it; look for a full disk or a quota")
            case .SQLITE_BUSY, .SQLITE_LOCKED: (.busy, "another process holds it")
            case .SQLITE_FULL: (.full, "there is no space left for it")
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: (.damaged, "it is damaged; restore it from a backup")
            case .SQLITE_CANTOPEN: (.cannotOpen, "its files cannot be opened")
            case .SQLITE_IOERR, .SQLITE_READONLY: (.damaged, "it cannot be read or written")
            case .SQLITE_CONSTRAINT: (.constraint, "the change breaks a rule of the schema")
            default: (.failed, "the statement failed")
            }
        let detail = error.message.map { " (\($0))" } ?? ""
        self.init(code, "\(location): \(explanation)\(detail)", cause: error)
    }

    /// The code, the message and the cause.
    public var description: String {
        cause.map { "\(code): \(message): \($0)" } ?? "\(code): \(message)"
    }
}
