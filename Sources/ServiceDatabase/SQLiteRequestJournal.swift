internal import Foundation
public import GRDB
public import Messaging

/// A journal of requests in a service's database: it remembers over restarts, and in the transaction of an effect.
///
/// ```swift
/// let store = try ServiceStore(at: .file(path), migrations: migrations)
/// let journal = try SQLiteRequestJournal(store)
/// …
/// resize.handled { context, arguments in
///     try await store.write { database in
///         try database.execute(sql: "UPDATE disk SET size = size + ? WHERE id = ?", arguments: […])
///         try journal.complete(context.request, in: database)
///     }
/// }
/// ```
///
/// What is written and completed in one transaction happens once, at whatever moment the process is killed: either both
/// are there and the request is not run again, or neither is. An effect elsewhere (a file, another service) cannot be part
/// of it and has to bear a repetition: give it a name made of the request (``Messaging/RPCContext/Request/uniqueID``), and
/// do nothing where that name is there already.
///
/// Its table lives beside the service's own, and its schema has a record of its own: a service's migrations need not
/// know of it. One process uses a journal at a time; several hosts have one each.
public struct SQLiteRequestJournal: RequestJournal {
    /// How much is remembered.
    public struct Configuration: Sendable {
        /// How long a request is remembered; 7 days by default.
        ///
        /// Longer than a message may stay in a queue, a delay or the dead letters before its repetition arrives.
        public var retention: Duration = .seconds(7 * 86_400)
        /// How many requests are remembered; 100,000 by default.
        ///
        /// Those that run, or are being sent on, are not forgotten before there are twice as many, however old they are.
        public var maximumCount = 100_000
        /// How many bytes all remembered replies may have; 64 MiB by default.
        ///
        /// Beyond that the oldest make room: a call that comes again then is not run either, and is answered with the
        /// failure `ReplyNotKept`.
        public var maximumReplySize = 64 << 20

        /// Creates the defaults.
        public init() {}
    }

    private let store: ServiceStore
    private let configuration: Configuration
    private let now: @Sendable () -> UTCTime
    private let trimming: Trimming

    /// Makes the journal's table in a database, if it is not there.
    ///
    /// - Parameters:
    ///   - store: The service's database: the one in which its handlers write.
    ///   - configuration: How much is remembered.
    /// - Throws: ``ServiceStoreError`` where the database cannot be written.
    public init(
        _ store: ServiceStore,
        configuration: Configuration = Configuration()
    ) throws(ServiceStoreError) {
        try self.init(store, configuration: configuration) { .now }
    }

    init(
        _ store: ServiceStore,
        configuration: Configuration,
        now: @escaping @Sendable () -> UTCTime
    ) throws(ServiceStoreError) {
        self.store = store
        self.configuration = configuration
        self.now = now
        self.trimming = Trimming()
        try store.prepare { database in
            try Schema.prepare(database)
            try Self.trim(database, configuration, now: now())
        }
    }

    // MARK: RequestJournal

    /// Notes that a request is about to be run; see `RequestJournal`.
    ///
    /// - Parameter delivery: What was delivered.
    /// - Returns: What to do with it.
    /// - Throws: ``ServiceStoreError``.
    public func begin(_ delivery: RequestDelivery) async throws -> RequestStanding {
        try await self.store.note { database in
            if self.trimming.isDue(self.configuration) { try Self.trim(database, self.configuration, now: self.now()) }
            guard var record = try Self.record(delivery.key, database) else {
                try self.insert(RequestRecord(starting: delivery), delivery.key, method: delivery.method, database)
                return .run(attempt: delivery.attempts + 1)
            }
            let before = record
            let standing = record.begin(delivery)
            if record != before { try self.update(record, delivery.key, database) }
            return standing
        }
    }

    /// Notes that a request has come to its end; see `RequestJournal`.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - reply: What its caller is answered.
    /// - Throws: ``ServiceStoreError``.
    public func complete(_ key: String, reply: [UInt8]?) async throws {
        self.trimming.keeps(reply?.count ?? 0)
        try await self.change(key) { $0.complete(reply: reply) }
    }

    /// Takes back the start of an attempt; see `RequestJournal`.
    ///
    /// - Parameter key: The request.
    /// - Throws: ``ServiceStoreError``.
    public func withdraw(_ key: String) async throws {
        try await self.change(key) { $0.withdraw() }
    }

    /// Notes that a copy is about to be sent; see `RequestJournal`.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - onward: Where the copy goes.
    /// - Returns: Whether it shall be sent.
    /// - Throws: ``ServiceStoreError``.
    public func leave(_ key: String, for onward: RequestOnward) async throws -> Bool {
        try await self.change(key) { $0.leave(for: onward) } ?? true
    }

    /// Notes that the broker has the copy; see `RequestJournal`.
    ///
    /// - Parameter key: The request.
    /// - Throws: ``ServiceStoreError``.
    public func left(_ key: String) async throws {
        try await self.change(key) { $0.left() }
    }

    /// Forgets a request; see `RequestJournal`.
    ///
    /// - Parameter key: The request.
    /// - Throws: ``ServiceStoreError``.
    public func forget(_ key: String) async throws {
        try await self.store.note { database in
            try database.execute(sql: "DELETE FROM steward_request WHERE key = ?", arguments: [key])
        }
    }

    // MARK: In the transaction of an effect

    /// Notes in a handler's own transaction that its request has come to its end, and returns nothing.
    ///
    /// - Parameters:
    ///   - request: The request, from the handler's context; without an id there is nothing to remember it by, and nothing
    ///     is noted.
    ///   - database: The transaction in which the effect is written.
    /// - Throws: ``RequestAlreadyCompleted`` where another attempt has come to its end first; the transaction is then to be
    ///   undone, as it is when the error leaves ``ServiceStore/write(_:)``. `DatabaseError`.
    public func complete(_ request: RPCContext.Request?, in database: Database) throws {
        try self.complete(request, reply: nil, in: database)
    }

    /// Notes in a handler's own transaction that its request has come to its end, and what it returns: where the worker is
    /// killed before its caller has heard of it, that is what the caller hears then.
    ///
    /// - Parameters:
    ///   - request: The request, from the handler's context.
    ///   - result: What the handler is about to return.
    ///   - database: The transaction in which the effect is written.
    /// - Throws: ``RequestAlreadyCompleted``, as above; `JSONError` where the result is not JSON; `DatabaseError`.
    public func complete(
        _ request: RPCContext.Request?,
        returning result: some Encodable,
        in database: Database
    ) throws {
        try self.complete(
            request,
            reply: try ReplyPayload.encoded(result: result, messageID: request?.journalKey ?? "-"),
            in: database
        )
    }

    private func complete(_ request: RPCContext.Request?, reply: [UInt8]?, in database: Database) throws {
        guard let request, let key = request.journalKey else { return }
        self.trimming.keeps(reply?.count ?? 0)
        guard var record = try Self.record(key, database) else {
            // It was forgotten while it ran, or begun with another journal.
            var record = RequestRecord(starting: RequestDelivery(key: key, method: request.method))
            record.complete(reply: reply)
            return try self.insert(record, key, method: request.method, database)
        }
        guard record.phase != .done else { throw RequestAlreadyCompleted(method: request.method, key: key) }
        record.complete(reply: reply)
        try self.update(record, key, database)
    }

    // MARK: Rows

    @discardableResult
    private func change<Value: Sendable>(
        _ key: String,
        _ body: @escaping @Sendable (inout RequestRecord) -> Value
    ) async throws -> Value? {
        try await self.store.note { database in
            guard var record = try Self.record(key, database) else { return nil }
            let value = body(&record)
            try self.update(record, key, database)
            return value
        }
    }

    private static func record(_ key: String, _ database: Database) throws -> RequestRecord? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT * FROM steward_request WHERE key = ?"),
            arguments: [key]
        ).map { row in
            let reason: String? = try row.decode(forColumn: "reason")
            let reply: Data? = try row.decode(forColumn: "reply")
            let phase: String = try row.decode(forColumn: "phase")
            return RequestRecord(
                // What a later version has written here is at least not to be run twice at a time.
                phase: RequestRecord.Phase(rawValue: phase) ?? .running,
                replays: try row.decode(forColumn: "replays"),
                carrier: try row.decode(forColumn: "carrier"),
                attempts: try row.decode(forColumn: "attempts"),
                reason: reason.map { DeadLetterReason(rawValue: $0) },
                reply: reply.map { [UInt8]($0) }
            )
        }
    }

    private func insert(_ record: RequestRecord, _ key: String, method: String, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO steward_request (key, method, phase, replays, carrier, attempts, reason, reply, seen_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            key, method, record.phase.rawValue, record.replays, record.carrier, record.attempts,
            record.reason?.rawValue, record.reply.map { Data($0) }, self.now().milliseconds,
        ])
    }

    private func update(_ record: RequestRecord, _ key: String, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE steward_request SET phase = ?, replays = ?, carrier = ?, attempts = ?, reason = ?, reply = ?
                WHERE key = ?
                """
        ).execute(arguments: [
            record.phase.rawValue, record.replays, record.carrier, record.attempts, record.reason?.rawValue,
            record.reply.map { Data($0) }, key,
        ])
    }

    // MARK: Retention

    private static func trim(_ database: Database, _ configuration: Configuration, now: UTCTime) throws {
        let (seconds, attoseconds) = configuration.retention.components
        let retention = seconds.multipliedReportingOverflow(by: 1000)
        let age = retention.overflow ? .max : retention.partialValue + attoseconds / 1_000_000_000_000_000
        let oldest = now.milliseconds.subtractingReportingOverflow(age)
        let count = min(max(1, configuration.maximumCount), .max / 2)
        try database.execute(
            sql: """
                DELETE FROM steward_request
                WHERE phase NOT IN ('running', 'moving', 'parking')
                    AND (seen_at < ?1 OR id <= (SELECT max(id) FROM steward_request) - ?2)
                    OR id <= (SELECT max(id) FROM steward_request) - ?3
                """,
            arguments: [oldest.overflow ? .min : oldest.partialValue, count, 2 * count]
        )
        // Down to three quarters: the last one is for what comes until the next time. An empty reply says that there was
        // one.
        try database.execute(
            sql: """
                UPDATE steward_request SET reply = x'' WHERE id IN (
                    SELECT id FROM (
                        SELECT id, sum(length(reply)) OVER (ORDER BY id DESC) AS size
                        FROM steward_request WHERE length(reply) > 0
                    ) WHERE size > ?
                )
                """,
            arguments: [max(0, configuration.maximumReplySize) / 4 * 3]
        )
    }
}

/// An attempt came to its end after another one had: its effect is to be undone.
public struct RequestAlreadyCompleted: Error, Sendable, CustomStringConvertible {
    /// The method's name on the wire.
    public let method: String
    /// The request, as the journal names it.
    public let key: String

    /// What has happened, and to which request.
    public var description: String { "the request \(self.key) (\(self.method)) was completed by another attempt" }
}
