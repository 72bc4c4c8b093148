internal import CPostgres
import Glibc

/// A connection of libpq, used by one thread; its end closes it.
///
/// Nothing here blocks as long as it is told addresses: libpq looks names up itself, and waits for that.
@safe struct ConnectionHandle: ~Copyable {
    /// How far a connection is being made.
    enum Progress { case reading, writing, done, failed }

    private let raw: OpaquePointer

    /// Begins to connect; `nil` where there is no memory for it.
    init?(_ parameters: [String: String]) {
        let keywords = parameters.keys.sorted()
        let values = keywords.map { parameters[$0] }
        let raw = unsafe withCStrings(keywords) { keywords in
            unsafe withCStrings(values) { values in
                unsafe PQconnectStartParams(keywords, values, 0)
            }
        }
        guard let raw = unsafe raw else { return nil }
        unsafe self.raw = raw
        // By default they are written to standard error.
        unsafe _ = PQsetNoticeProcessor(raw, { _, _ in }, nil)
        // Why a server refuses a connection libpq says in its message alone, and its code only in this one.
        unsafe _ = PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
    }

    deinit { unsafe PQfinish(self.raw) }

    var isUsable: Bool { unsafe PQstatus(self.raw) == CONNECTION_OK }
    var hasFailed: Bool { unsafe PQstatus(self.raw) == CONNECTION_BAD }
    var socket: Int32 { unsafe PQsocket(self.raw) }
    /// The last error; libpq puts no password into it.
    var message: String { unsafe PQerrorMessage(self.raw).map { unsafe String(cString: $0).trimmedLines } ?? "" }
    /// Why no connection was made.
    var refusal: PostgreSQLError {
        // `…: FATAL:  53300: sorry, …`, and a line about the server's source; the severity is in the server's language.
        let code = #/:  ([0-9A-Z]{5}): /#
        let lines = (unsafe PQerrorMessage(self.raw).map { unsafe String(cString: $0) } ?? "")
            .split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("LOCATION:") }
        let states = lines.compactMap { $0.firstMatch(of: code).map { String($0.output.1) } }
        let message = lines.map { $0.replacing(code, with: ": ", maxReplacements: 1) }.joined(separator: "; ")
        return PostgreSQLError(.unavailable, message, sqlState: states.last)
    }
    var isInTransaction: Bool { unsafe PQtransactionStatus(self.raw) != PQTRANS_IDLE }

    /// Goes on with connecting.
    func advance() -> Progress {
        switch unsafe PQconnectPoll(self.raw) {
        case PGRES_POLLING_READING: .reading
        case PGRES_POLLING_WRITING: .writing
        case PGRES_POLLING_OK: self.begin() ? .done : .failed
        default: .failed
        }
    }

    private func begin() -> Bool {
        unsafe _ = PQsetErrorVerbosity(self.raw, PQERRORS_DEFAULT)
        return unsafe PQsetnonblocking(self.raw, 1) == 0
    }

    /// Hands a statement over; answers whether that was possible.
    func send(_ sql: String, _ values: [PostgreSQLValue]) -> Bool {
        unsafe withCStrings(values.map(\.text)) { pointers in
            unsafe PQsendQueryParams(self.raw, sql, Int32(values.count), nil, pointers, nil, nil, 0) == 1
        }
    }

    /// Hands several statements without values over, for one round trip; answers whether that was possible.
    func send(statements: String) -> Bool { unsafe PQsendQuery(self.raw, statements) == 1 }

    /// Writes what is to be written: 0 when all is, 1 when the socket takes no more at present, -1 when it failed.
    func flush() -> Int32 { unsafe PQflush(self.raw) }

    /// Reads what is there; answers whether the connection stands.
    func consumeInput() -> Bool { unsafe PQconsumeInput(self.raw) == 1 }

    /// Whether the next result would have to be waited for.
    var isBusy: Bool { unsafe PQisBusy(self.raw) == 1 }

    /// The next result of what was sent; `nil` after the last.
    func nextResult() -> ResultHandle? {
        guard let result = unsafe PQgetResult(self.raw) else { return nil }
        return unsafe ResultHandle(result)
    }
}

/// A result of libpq.
@safe struct ResultHandle: ~Copyable {
    private let raw: OpaquePointer

    fileprivate init(_ raw: OpaquePointer) { unsafe self.raw = raw }

    deinit { unsafe PQclear(self.raw) }

    /// Why the statement failed; `nil` where it did not.
    var error: PostgreSQLError? {
        switch unsafe PQresultStatus(self.raw) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return nil
        default: break
        }
        let state = self.field(Int32(steward_postgresql_state))
        // The primary message names tables and columns; details, which hold values, are left out.
        let message = self.field(Int32(steward_postgresql_message)) ?? "the statement failed"
        return PostgreSQLError(.statementFailed, message.trimmedLines, sqlState: state)
    }

    private func field(_ code: Int32) -> String? {
        unsafe PQresultErrorField(self.raw, code).map { unsafe String(cString: $0) }
    }

    /// The rows, copied.
    var rows: [PostgreSQLRow] {
        let columns = unsafe PQnfields(self.raw)
        let names = (0..<columns).map { column in
            unsafe PQfname(self.raw, column).map { unsafe String(cString: $0) } ?? ""
        }
        return (0..<(unsafe PQntuples(self.raw))).map { row in
            var values: [String: String?] = [:]
            for column in 0..<columns {
                let isNull = unsafe PQgetisnull(self.raw, row, column) == 1
                let value = isNull ? nil : unsafe PQgetvalue(self.raw, row, column).map { unsafe String(cString: $0) }
                values.updateValue(value, forKey: names[Int(column)])
            }
            return PostgreSQLRow(values)
        }
    }
}

/// Lends texts as C has them, `nil` for NULL, with a NULL at the end.
private func withCStrings<Value>(
    _ texts: [String?],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value
) -> Value {
    var pointers = unsafe [UnsafeMutablePointer<CChar>?]()
    for text in texts {
        guard let text else {
            unsafe pointers.append(nil)
            continue
        }
        unsafe pointers.append(strdup(text))
    }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
        unsafe buffer.withMemoryRebound(to: UnsafePointer<CChar>?.self) { buffer in
            // There is always the NULL at the end.
            guard let base = buffer.baseAddress else { return unsafe body([nil]) }
            return unsafe body(base)
        }
    }
}
