internal import Synchronization

/// A journal that is gone with its process: what a server uses unless it is given another one.
///
/// It recognises repetitions as long as the process lives. After a restart a request that had been run, and whose
/// acknowledgement did not reach the broker, is run again.
public final class InMemoryRequestJournal: RequestJournal {
    private struct Entry {
        var record: RequestRecord
        let number: UInt64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// The keys in the order in which they were first seen; those before `oldest` were taken out.
        var order: [(key: String, number: UInt64, seenAt: ContinuousClock.Instant)] = []
        var oldest = 0
        var nextNumber: UInt64 = 0
        /// The size of all replies.
        var size = 0
    }

    /// It does not.
    public var outlastsProcess: Bool { false }

    private let retention: Duration
    private let maximumCount: Int
    private let maximumSize: Int
    private let clock: any MessagingClock
    private let state = Mutex(State())

    /// Creates an empty journal.
    ///
    /// - Parameters:
    ///   - retention: How long a request is remembered; an hour by default.
    ///   - maximumCount: How many requests are remembered; 10,000 by default. Those that run, or are being sent on, are
    ///     not forgotten before there are twice as many.
    ///   - maximumSize: How many bytes all remembered replies may have; 16 MiB by default.
    ///   - clock: The clock by which requests grow old.
    public init(
        retention: Duration = .seconds(3600),
        maximumCount: Int = 10_000,
        maximumSize: Int = 16 << 20,
        clock: any MessagingClock = ContinuousClock()
    ) {
        self.retention = retention
        self.maximumCount = min(max(1, maximumCount), .max / 2)
        self.maximumSize = max(0, maximumSize)
        self.clock = clock
    }

    /// How many requests are remembered.
    public var count: Int { self.state.withLock(\.entries.count) }

    /// Notes that a request is about to be run; see ``RequestJournal``.
    ///
    /// - Parameter delivery: What was delivered.
    /// - Returns: What to do with it.
    public func begin(_ delivery: RequestDelivery) async -> RequestStanding {
        let now = self.clock.now
        return self.state.withLock { state in
            self.trim(&state, now: now)
            if var entry = state.entries[delivery.key] {
                let size = entry.record.reply?.count ?? 0
                let standing = entry.record.begin(delivery)
                state.size += (entry.record.reply?.count ?? 0) - size
                state.entries[delivery.key] = entry
                return standing
            }
            self.insert(RequestRecord(starting: delivery), key: delivery.key, now: now, &state)
            self.trim(&state, now: now)
            return .run(attempt: delivery.attempts + 1)
        }
    }

    /// Notes that a request has come to its end; see ``RequestJournal``.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - reply: What its caller is answered.
    public func complete(_ key: String, reply: [UInt8]?) async {
        self.change(key) { $0.complete(reply: reply) }
    }

    /// Takes back the start of an attempt; see ``RequestJournal``.
    ///
    /// - Parameter key: The request.
    public func withdraw(_ key: String) async {
        self.change(key) { $0.withdraw() }
    }

    /// Notes that a copy is about to be sent; see ``RequestJournal``.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - onward: Where the copy goes.
    /// - Returns: Whether it shall be sent.
    public func leave(_ key: String, for onward: RequestOnward) async -> Bool {
        self.change(key) { $0.leave(for: onward) } ?? true
    }

    /// Notes that the broker has the copy; see ``RequestJournal``.
    ///
    /// - Parameter key: The request.
    public func left(_ key: String) async {
        self.change(key) { $0.left() }
    }

    /// Forgets a request; see ``RequestJournal``.
    ///
    /// - Parameter key: The request.
    public func forget(_ key: String) async {
        self.state.withLock { state in Self.remove(key, &state) }
    }

    // MARK: Support

    /// Changes what is remembered; what was forgotten meanwhile stays so.
    @discardableResult
    private func change<Value: Sendable>(_ key: String, _ body: (inout RequestRecord) -> Value) -> Value? {
        let now = self.clock.now
        return self.state.withLock { state in
            guard var entry = state.entries[key] else { return nil }
            let size = entry.record.reply?.count ?? 0
            let value = body(&entry.record)
            state.size += (entry.record.reply?.count ?? 0) - size
            state.entries[key] = entry
            self.trim(&state, now: now)
            return value
        }
    }

    private func insert(_ record: RequestRecord, key: String, now: ContinuousClock.Instant, _ state: inout State) {
        state.entries[key] = Entry(record: record, number: state.nextNumber)
        state.order.append((key, state.nextNumber, now))
        state.nextNumber += 1
    }

    private static func remove(_ key: String, _ state: inout State) {
        state.size -= state.entries.removeValue(forKey: key)?.record.reply?.count ?? 0
    }

    /// Forgets what is too old or too much, the oldest first, and what is underway last of all.
    private func trim(_ state: inout State, now: ContinuousClock.Instant) {
        for _ in state.oldest..<state.order.count {
            let (key, number, seenAt) = state.order[state.oldest]
            // Keys that were forgotten one by one still stand in the order, and count there.
            let count = state.order.count - state.oldest
            let isTooMuch = count > self.maximumCount || state.size > self.maximumSize
            guard isTooMuch || seenAt.duration(to: now) > self.retention else { break }
            if let entry = state.entries[key], entry.number == number {
                // What another host has gone on with stays underway here for ever, and so has an end as well.
                if entry.record.phase.isUnderway, count <= 2 * self.maximumCount {
                    state.order.append((key, number, seenAt))
                } else {
                    Self.remove(key, &state)
                }
            }
            state.oldest += 1
        }
        if state.oldest > 1024, state.oldest > state.order.count / 2 {
            state.order.removeFirst(state.oldest)
            state.oldest = 0
        }
    }
}
