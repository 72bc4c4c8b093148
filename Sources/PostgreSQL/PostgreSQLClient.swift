import Synchronization

/// A PostgreSQL database, over one connection at a time, on a thread of its own.
///
/// ```swift
/// let client = PostgreSQLClient(try PostgreSQLConfiguration(url: url))
/// let names = try await client.transaction { session in
///     try session.execute("SELECT name FROM host WHERE zone = $1", [PostgreSQLValue(zone)])
///         .map { try $0.text("name") }
/// }
/// ```
///
/// It connects with its first use and again whenever that is needed, after failures not before a back-off is over. A
/// connection that nobody uses is closed after `idleTimeout`, and the next use makes another. Nothing waits without a
/// limit, and the threads of the shared pool never wait at all. Transactions of several callers are run one after the
/// other.
package final class PostgreSQLClient: Sendable {
    private let thread: PostgreSQLThread
    private let link: PostgreSQLLink

    /// Describes a client; it connects with its first use.
    package convenience init(_ configuration: PostgreSQLConfiguration) {
        self.init(configuration, thread: PostgreSQLThread(), resolver: .system)
    }

    init(_ configuration: PostgreSQLConfiguration, thread: PostgreSQLThread, resolver: HostResolver) {
        self.thread = thread
        self.link = PostgreSQLLink(configuration, thread: thread, resolver: resolver)
    }

    deinit {
        let link = self.link
        // On its own thread, which then ends; where there is none, there is no connection either.
        self.thread.perform({ link.close() }, orElse: {})
        self.thread.close()
    }

    /// Runs a transaction.
    ///
    /// - Parameter body: What is done in it, on the client's thread; it must not wait for anything but the session.
    /// - Returns: What `body` returns, when the transaction is committed.
    /// - Throws: What `body` throws, after the transaction was undone; ``PostgreSQLError``.
    package func transaction<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing PostgreSQLSession) throws -> Value
    ) async throws -> Value {
        let cancelled = Flag()
        let thread = self.thread
        let link = self.link
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                thread.perform {
                    continuation.resume(
                        with: Result { try link.transaction(isCancelled: { cancelled.isSet }, body) }
                    )
                } orElse: {
                    continuation.resume(throwing: PostgreSQLError(.closed, "there is no thread for the database"))
                }
            }
        } onCancel: {
            cancelled.set()
            thread.wake()
        }
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { self.value.load(ordering: .acquiring) }
        func set() { self.value.store(true, ordering: .releasing) }
    }
}
