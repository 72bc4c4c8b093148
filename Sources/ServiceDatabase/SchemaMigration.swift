public import GRDB

/// One step from an older schema of a database to a newer one.
///
/// What has been released is never changed: a database remembers the names of the steps that it has seen.
public struct SchemaMigration: Sendable {
    /// The name under which the database remembers the step; unique among a service's migrations.
    public let name: String
    let body: @Sendable (Database) throws -> Void

    /// Creates a step.
    ///
    /// - Parameters:
    ///   - name: The name under which the database remembers the step.
    ///   - body: The change; it runs in a transaction, which is undone if it throws.
    public init(_ name: String, _ body: @escaping @Sendable (Database) throws -> Void) {
        self.name = name
        self.body = body
    }
}
