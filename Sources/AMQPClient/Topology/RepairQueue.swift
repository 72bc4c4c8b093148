/// One thing that must be declared, opened or started again.
enum RepairItem: Hashable {
    case operations
    case exchange(String)
    case queue(String)
    case binding(Binding)
    case channel(Int)
    case consumer(channel: Int, tag: String)

    /// Whether the operations' channel must be open for it.
    var needsOperations: Bool {
        switch self {
        case .operations, .channel: false
        case .exchange, .queue, .binding, .consumer: true
        }
    }

    /// What a later one needs comes first.
    var rank: Int {
        switch self {
        case .operations: 0
        case .exchange: 1
        case .queue: 2
        case .binding: 3
        case .channel: 4
        case .consumer: 5
        }
    }
}

/// What is to be repaired, and when: at once the first time, later each time it fails or breaks again soon.
struct RepairQueue {
    private struct Schedule {
        var attempt: Int
        var due: ContinuousClock.Instant
        /// Why the last attempt failed.
        var failure: AMQPError.Code?
    }

    private var schedules: [RepairItem: Schedule] = [:]
    /// When something was last repaired, and after how many attempts: breaking again at once is no fresh start.
    private var history: [RepairItem: Schedule] = [:]
    /// What is being repaired: it is not begun a second time meanwhile.
    private var begun: Set<RepairItem> = []
    private let backoff: AMQPConfiguration.Backoff
    private var generator = SystemRandomNumberGenerator()

    init(_ backoff: AMQPConfiguration.Backoff) {
        self.backoff = backoff
    }

    var isEmpty: Bool { self.schedules.isEmpty }

    func contains(_ item: RepairItem) -> Bool {
        self.schedules[item] != nil
    }

    /// Asks for a repair, unless one is due already.
    mutating func add(_ item: RepairItem, now: ContinuousClock.Instant = .now) {
        guard self.schedules[item] == nil else { return }
        // The operations' channel breaks by what the program asks for, never by itself: it is reopened at once.
        if item != .operations, let last = self.history[item], now - last.due < self.backoff.maximum {
            let pause = self.backoff.delay(attempt: last.attempt, using: &self.generator)
            self.schedules[item] = Schedule(attempt: last.attempt + 1, due: now + pause)
        } else {
            self.schedules[item] = Schedule(attempt: 0, due: now)
        }
    }

    mutating func begin(_ item: RepairItem) {
        self.begun.insert(item)
    }

    /// Its repair is over, whatever came of it.
    mutating func end(_ item: RepairItem) {
        self.begun.remove(item)
    }

    func isBegun(_ item: RepairItem) -> Bool {
        self.begun.contains(item)
    }

    /// The items that are to be done next: those of the lowest rank whose time has come, and not too many at a time.
    func due(withoutOperations isLimited: Bool, now: ContinuousClock.Instant = .now) -> [RepairItem] {
        let items = self.schedules.filter { $0.value.due <= now && self.mayBegin($0.key, isLimited) }.keys
        guard let rank = items.lazy.map({ $0.rank }).min() else { return [] }
        return Array(items.lazy.filter { $0.rank == rank }.prefix(64))
    }

    /// When the next item is to be done.
    func nextDue(withoutOperations isLimited: Bool) -> ContinuousClock.Instant? {
        self.schedules.lazy.filter { self.mayBegin($0.key, isLimited) }.map { $0.value.due }.min()
    }

    private func mayBegin(_ item: RepairItem, _ isLimited: Bool) -> Bool {
        !self.begun.contains(item) && !(isLimited && item.needsOperations)
    }

    /// Takes note that an item is there again, and tries at once what failed last for the same reason.
    ///
    /// That reason is over, and the longest of many pauses is longer than one.
    ///
    /// - Returns: Whether it had failed before.
    mutating func succeeded(_ item: RepairItem, now: ContinuousClock.Instant = .now) -> Bool {
        guard let schedule = self.schedules.removeValue(forKey: item) else { return false }
        self.history[item] = Schedule(attempt: schedule.attempt, due: now)
        // What was repaired long ago is a fresh start anyway; this keeps the record small.
        if self.history.count > 1_024 {
            self.history = self.history.filter { now - $0.value.due < self.backoff.maximum }
        }
        if let failure = schedule.failure {
            for (other, its) in self.schedules where its.failure == failure {
                self.hasten(other, now: now)
            }
        }
        return schedule.attempt > 0
    }

    /// Tries at once what waits for another attempt: what it failed for want of is there now.
    mutating func hasten(_ item: RepairItem, now: ContinuousClock.Instant = .now) {
        guard var schedule = self.schedules[item], schedule.due > now else { return }
        schedule.due = now
        self.schedules[item] = schedule
    }

    mutating func failed(_ item: RepairItem, _ failure: AMQPError.Code, now: ContinuousClock.Instant = .now) {
        guard var schedule = self.schedules[item] else { return }
        schedule.failure = failure
        schedule.due = now + self.backoff.delay(attempt: schedule.attempt, using: &self.generator)
        schedule.attempt += 1
        self.schedules[item] = schedule
    }

    /// Nobody wants it any more.
    mutating func forget(_ item: RepairItem) {
        self.schedules[item] = nil
        self.history[item] = nil
    }

    /// The connection is new: everything that is asked for from now on is due at once.
    mutating func reset() {
        self.schedules = [:]
        self.history = [:]
    }
}
