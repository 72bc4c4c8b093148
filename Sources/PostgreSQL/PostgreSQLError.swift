/// What went wrong with a PostgreSQL database; no password is ever in it.
package struct PostgreSQLError: Error, Sendable, CustomStringConvertible {
    /// What kind of error it is.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case invalidURL, invalidParameter, unavailable, connectionLost, timedOut, cancelled, statementFailed, closed
        }
        private let kind: Kind

        /// The URL cannot be read.
        package static let invalidURL = Code(kind: .invalidURL)
        /// A value that PostgreSQL has no place for, such as a text with a NUL.
        package static let invalidParameter = Code(kind: .invalidParameter)
        /// The server cannot be reached, or does not let us in.
        package static let unavailable = Code(kind: .unavailable)
        /// The connection broke while a statement was on its way: nobody knows whether it was carried out.
        package static let connectionLost = Code(kind: .connectionLost)
        /// The server did not answer in time; the connection was given up.
        package static let timedOut = Code(kind: .timedOut)
        /// The task was cancelled; the connection was given up where a statement was on its way.
        package static let cancelled = Code(kind: .cancelled)
        /// The server refused the statement; `sqlState` says why.
        package static let statementFailed = Code(kind: .statementFailed)
        /// The client was closed.
        package static let closed = Code(kind: .closed)

        /// The code's name.
        package var description: String { self.kind.rawValue }
    }

    /// What kind of error it is.
    package let code: Code
    /// The server's SQLSTATE, five characters, where it said one; of a connection that it refused as well.
    package let sqlState: String?
    /// What was wrong.
    package let message: String

    init(_ code: Code, _ message: String, sqlState: String? = nil) {
        self.code = code
        self.sqlState = sqlState
        self.message = message
    }

    /// Whether the database as a whole cannot be used at present, and not only what was asked of it.
    package var isOutage: Bool {
        switch self.code {
        case .unavailable, .connectionLost, .timedOut: return true
        case .statementFailed:
            // Connection exceptions, insufficient resources (a full disk, too many connections), operator intervention
            // (shutting down, a statement over its limit), system errors, and a standby that cannot be written to.
            guard let state = self.sqlState else { return false }
            return ["08", "53", "57", "58"].contains(String(state.prefix(2))) || state == "25006" || state == "55P03"
        default: return false
        }
    }

    /// The code, the server's state and the message.
    package var description: String {
        "\(self.code)\(self.sqlState.map { " (\($0))" } ?? ""): \(self.message)"
    }
}
