import Glibc

/// The connection of a client and what becomes of it; confined to the client's thread.
///
/// `@unchecked Sendable`: it is made by the client and from then on touched by the work of its thread alone.
final class PostgreSQLLink: @unchecked Sendable {
    private let configuration: PostgreSQLConfiguration
    private let thread: PostgreSQLThread
    private let lookups: HostLookups
    private var connection: ConnectionHandle?
    /// Why the last attempt to connect failed, and when the next one is made.
    private var refusal: (error: PostgreSQLError, until: ContinuousClock.Instant)?
    private var failures = 0

    init(_ configuration: PostgreSQLConfiguration, thread: PostgreSQLThread, resolver: HostResolver) {
        self.configuration = configuration
        self.thread = thread
        self.lookups = HostLookups(resolver)
    }

    /// Ends the connection.
    func close() { self.connection = nil }

    // MARK: Transactions

    /// Runs a transaction; it is undone where `body` throws.
    func transaction<Value>(
        isCancelled: @escaping () -> Bool,
        _ body: (borrowing PostgreSQLSession) throws -> Value
    ) throws -> Value {
        defer { self.closeWhenIdle() }
        guard !isCancelled() else { throw PostgreSQLError(.cancelled, "the task was cancelled") }
        try self.connect(isCancelled)
        let deadline = ContinuousClock.now + self.configuration.transactionTimeout
        let session = PostgreSQLSession { (sql, values) throws(PostgreSQLError) in
            try self.execute(sql, values, until: deadline, isCancelled)
        }
        do {
            try self.begin(until: deadline, isCancelled)
            let value = try body(session)
            _ = try session.execute("COMMIT")
            return value
        } catch {
            self.undo(until: deadline)
            throw error
        }
    }

    private func closeWhenIdle() {
        guard self.connection != nil else { return }
        self.thread.whenIdle(for: self.configuration.idleTimeout) { self.close() }
    }

    private func begin(until deadline: ContinuousClock.Instant, _ isCancelled: () -> Bool) throws(PostgreSQLError) {
        guard self.connection?.send(statements: self.configuration.beginning) ?? false else { throw self.lost() }
        _ = try self.results(until: deadline, isCancelled)
    }

    /// Leaves a transaction that has failed; a connection on which that is not possible is given up, and the server
    /// then undoes it.
    private func undo(until deadline: ContinuousClock.Instant) {
        guard self.connection?.isUsable ?? false, self.connection?.isInTransaction ?? false else { return }
        do {
            _ = try self.execute("ROLLBACK", [], until: deadline) { false }
        } catch {
            self.connection = nil
        }
    }

    private func execute(
        _ sql: String,
        _ values: [PostgreSQLValue],
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> [PostgreSQLRow] {
        guard values.allSatisfy({ !($0.text?.utf8.contains(0) ?? false) }) else {
            throw PostgreSQLError(.invalidParameter, "PostgreSQL has no texts that hold a NUL")
        }
        guard self.connection?.send(sql, values) ?? false else { throw self.lost() }
        return try self.results(until: deadline, isCancelled)
    }

    /// The rows of the last result of what was sent.
    private func results(
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> [PostgreSQLRow] {
        var rows: [PostgreSQLRow] = []
        var failure: PostgreSQLError?
        while true {
            try self.awaitResult(until: deadline, isCancelled)
            guard let result = self.connection?.nextResult() else { break }
            failure = failure ?? result.error
            rows = result.rows
        }
        guard self.connection?.isUsable ?? false else {
            // The server may have said why before it went.
            let error = self.lost()
            throw failure.map { PostgreSQLError(.connectionLost, $0.message, sqlState: $0.sqlState) } ?? error
        }
        if let failure { throw failure }
        return rows
    }

    private func awaitResult(
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) {
        while true {
            let flushed = self.connection?.flush() ?? -1
            guard flushed >= 0 else { throw self.lost() }
            if flushed == 0, !(self.connection?.isBusy ?? true) { return }
            let events = flushed == 1 ? POLLIN | POLLOUT : POLLIN
            try self.wait(for: events, until: deadline, isCancelled)
            // What fails here is seen by the result, or by the end of the connection.
            guard self.connection?.consumeInput() ?? false else { throw self.lost() }
        }
    }

    private func lost() -> PostgreSQLError {
        let message = self.connection?.message ?? ""
        self.connection = nil
        return PostgreSQLError(.connectionLost, message.isEmpty ? "the connection to the server is lost" : message)
    }

    // MARK: Connecting

    /// Makes sure that there is a connection.
    ///
    /// One that was idle is looked at first: where the server has closed it meanwhile, the statement finds a new one
    /// and does not fail.
    private func connect(_ isCancelled: () -> Bool) throws(PostgreSQLError) {
        if self.hasClosed() { self.connection = nil }
        guard self.connection == nil else { return }
        if let refusal = self.refusal, ContinuousClock.now < refusal.until { throw refusal.error }
        do {
            self.connection = try self.connectToAnyHost(isCancelled)
            self.refusal = nil
            self.failures = 0
        } catch {
            // That nobody waits any more says nothing about the server.
            if error.code == .cancelled { throw error }
            let growth = 1 << min(self.failures, 20)
            let backoff = min(self.configuration.minimumBackoff * growth, self.configuration.maximumBackoff)
            self.failures += 1
            self.refusal = (error, .now + backoff * Double.random(in: 0.5...1))
            throw error
        }
    }

    /// A connection to the first host that lets us in.
    ///
    /// A server that has none left is asked again while there is time: where many hosts start together, each needs its
    /// connection for a second.
    private func connectToAnyHost(_ isCancelled: () -> Bool) throws(PostgreSQLError) -> ConnectionHandle {
        let hosts = self.configuration.hosts
        let end = ContinuousClock.now + self.configuration.connectTimeout
        var pause = Duration.milliseconds(100)
        // It tells more than that the time was over in a later round.
        var shortage: PostgreSQLError?
        while true {
            var last = PostgreSQLError(.unavailable, "the URL of the database names no host")
            var isFull = false
            for host in hosts {
                let limit = ContinuousClock.now + self.configuration.connectTimeout / max(1, hosts.count)
                do {
                    return try self.reach(host, until: min(limit, end), isCancelled)
                } catch {
                    if error.code == .cancelled { throw error }
                    last = error
                    guard error.sqlState == Self.tooManyConnections else { continue }
                    isFull = true
                    shortage = error
                }
            }
            let next = ContinuousClock.now + pause * Double.random(in: 0.5...1.5)
            guard isFull, next < end else { throw shortage ?? last }
            try self.rest(until: next, isCancelled)
            pause = min(pause * 2, .milliseconds(500))
        }
    }

    /// PostgreSQL's `too_many_connections`.
    private static let tooManyConnections = "53300"

    /// Whether the server has ended the idle connection, or says something although it was asked nothing: then it is
    /// about to, and its last word may arrive before the end of the stream.
    private func hasClosed() -> Bool {
        guard self.connection?.isUsable ?? false, let socket = self.connection?.socket else {
            return self.connection != nil
        }
        var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&descriptor, 1, 0) > 0
    }

    /// Connects to a host: to the first of its addresses that lets us in.
    private func reach(
        _ host: [String: String],
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> ConnectionHandle {
        guard let name = HostResolver.name(in: host) else { return try self.open(host, until: deadline, isCancelled) }
        let addresses = try self.addresses(of: name, until: deadline, isCancelled)
        var failures: [PostgreSQLError] = []
        for (index, address) in addresses.enumerated() {
            // One that is silent leaves time for those after it.
            let share = (deadline - .now) / (addresses.count - index)
            var host = host
            // The name stays what the server's certificate is checked against.
            host["hostaddr"] = address
            do {
                return try self.open(host, until: .now + share, isCancelled)
            } catch {
                if error.code == .cancelled { throw error }
                failures.append(error)
            }
        }
        guard !failures.isEmpty else { throw PostgreSQLError(.unavailable, "host '\(name)' has no address") }
        throw PostgreSQLError(
            .unavailable,
            failures.map(\.message).joined(separator: "; "),
            sqlState: failures.compactMap(\.sqlState).last
        )
    }

    private func addresses(
        of name: String,
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> [String] {
        let lookup = try self.lookups.start(name) { [thread] in thread.wake() }
        while true {
            if let result = lookup.result { return try result.get() }
            do {
                _ = try Self.pause(until: deadline, self.thread, isCancelled)
            } catch  where error.code == .timedOut {
                throw PostgreSQLError(.unavailable, "no address of host '\(name)' is found in time")
            }
        }
    }

    private func open(
        _ host: [String: String],
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> ConnectionHandle {
        guard let connection = ConnectionHandle(self.configuration.parameters(of: host)) else {
            throw PostgreSQLError(.unavailable, "there is no memory for a connection")
        }
        guard !connection.hasFailed else { throw connection.refusal }
        var progress = ConnectionHandle.Progress.writing
        while progress != .done {
            guard connection.socket >= 0 else { throw connection.refusal }
            do {
                try Self.wait(
                    for: progress == .reading ? POLLIN : POLLOUT,
                    on: connection.socket,
                    until: deadline,
                    self.thread,
                    isCancelled
                )
            } catch  where error.code == .timedOut {
                let place = host["hostaddr"] ?? host["host"] ?? "this machine"
                throw PostgreSQLError(.unavailable, "no connection to \(place) in time")
            }
            progress = connection.advance()
            guard progress != .failed else { throw connection.refusal }
        }
        return connection
    }

    // MARK: Waiting

    private func wait(
        for events: Int32,
        until deadline: ContinuousClock.Instant,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) {
        do {
            let socket = self.connection?.socket ?? -1
            try Self.wait(for: events, on: socket, until: deadline, self.thread, isCancelled)
        } catch {
            // What was asked is still on its way there.
            self.connection = nil
            throw error
        }
    }

    /// Lets time go by.
    private func rest(until time: ContinuousClock.Instant, _ isCancelled: () -> Bool) throws(PostgreSQLError) {
        do {
            while true { _ = try Self.pause(until: time, self.thread, isCancelled) }
        } catch {
            guard error.code == .timedOut else { throw error }
        }
    }

    /// Waits until the socket is ready, the deadline has come, or the work was cancelled.
    private static func wait(
        for events: Int32,
        on socket: Int32,
        until deadline: ContinuousClock.Instant,
        _ thread: PostgreSQLThread,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) {
        while try !self.pause(for: events, on: socket, until: deadline, thread, isCancelled) {}
    }

    /// Waits until the socket is ready or the thread is woken, a minute at most; answers whether the socket is ready.
    private static func pause(
        for events: Int32 = 0,
        on socket: Int32 = -1,
        until deadline: ContinuousClock.Instant,
        _ thread: PostgreSQLThread,
        _ isCancelled: () -> Bool
    ) throws(PostgreSQLError) -> Bool {
        guard !isCancelled() else { throw PostgreSQLError(.cancelled, "the task was cancelled") }
        let left = deadline - .now
        guard left > .zero else { throw PostgreSQLError(.timedOut, "the server did not answer in time") }
        // A descriptor that is negative is left out.
        var descriptors = [
            pollfd(fd: socket, events: Int16(events), revents: 0),
            pollfd(fd: thread.wakeDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        let milliseconds = Int32(min(left / .milliseconds(1), 60_000).rounded(.up))
        let ready = unsafe poll(&descriptors, 2, milliseconds)
        if ready > 0, descriptors[1].revents != 0 { thread.clearWake() }
        return ready > 0 && descriptors[0].revents != 0
    }
}

/// A transaction as the code sees it that runs in it.
package struct PostgreSQLSession: ~Copyable {
    private let body: (String, [PostgreSQLValue]) throws(PostgreSQLError) -> [PostgreSQLRow]

    init(_ body: @escaping (String, [PostgreSQLValue]) throws(PostgreSQLError) -> [PostgreSQLRow]) {
        self.body = body
    }

    /// Runs one statement.
    ///
    /// - Parameters:
    ///   - sql: The statement; values stand in it as `$1`, `$2`, …
    ///   - values: The values, in their order.
    /// - Returns: The rows, none where the statement has no result.
    /// - Throws: ``PostgreSQLError``; the transaction is then to be left.
    @discardableResult
    package borrowing func execute(
        _ sql: String,
        _ values: [PostgreSQLValue] = []
    ) throws(PostgreSQLError) -> [PostgreSQLRow] {
        try self.body(sql, values)
    }
}
