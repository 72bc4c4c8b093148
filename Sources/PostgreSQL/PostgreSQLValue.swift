/// A value that is handed to a statement; it is never part of the statement's text.
package struct PostgreSQLValue: Sendable, Hashable {
    /// As PostgreSQL reads it; `nil` for NULL.
    let text: String?

    /// A text, or NULL.
    package init(_ text: String?) { self.text = text }
    /// A whole number, or NULL.
    package init(_ number: Int64?) { self.text = number.map { String($0) } }
    /// A truth, or NULL.
    package init(_ truth: Bool?) { self.text = truth.map { $0 ? "t" : "f" } }
}

extension PostgreSQLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral {
    /// A text.
    package init(stringLiteral value: String) { self.init(value) }
    /// A whole number.
    package init(integerLiteral value: Int64) { self.init(value) }
    /// NULL.
    package init(nilLiteral: ()) { self.text = nil }
}

/// A row of a result.
package struct PostgreSQLRow: Sendable {
    private let values: [String: String?]

    init(_ values: [String: String?]) { self.values = values }

    /// A column's value as text; `nil` for NULL.
    ///
    /// - Throws: `invalidParameter` where the result has no such column.
    package func optionalText(_ column: String) throws(PostgreSQLError) -> String? {
        guard let value = self.values[column] else {
            throw PostgreSQLError(.invalidParameter, "the result has no column '\(column)'")
        }
        return value
    }

    /// A column's value as text.
    ///
    /// - Throws: `invalidParameter` where there is none.
    package func text(_ column: String) throws(PostgreSQLError) -> String {
        guard let value = try self.optionalText(column) else {
            throw PostgreSQLError(.invalidParameter, "column '\(column)' is NULL")
        }
        return value
    }

    /// A column's value as a whole number.
    ///
    /// - Throws: `invalidParameter` where it is none.
    package func integer(_ column: String) throws(PostgreSQLError) -> Int64 {
        let text = try self.text(column)
        guard let value = Int64(text) else {
            throw PostgreSQLError(.invalidParameter, "column '\(column)' is no whole number")
        }
        return value
    }

    /// A column's value as a truth.
    ///
    /// - Throws: `invalidParameter` where there is none.
    package func truth(_ column: String) throws(PostgreSQLError) -> Bool { try self.text(column) == "t" }
}
