internal import Synchronization

/// The requests that a server is running: so that they can be cancelled, and their callers told who took them.
final class InFlight: Sendable {
    /// Why a request was cancelled that runs.
    enum Withdrawal: Sendable {
        /// Its caller said so.
        case cancelled
        /// Its caller's patience has ended.
        case expired
    }

    /// A task that is running.
    ///
    /// It has a lock of its own, because cancelling runs what the handler has put there for that case: other requests must
    /// not wait for it.
    private final class RunningTask: Sendable {
        /// `@unchecked Sendable`: `UnsafeCurrentTask.cancel()` may be called from any thread while the task lives, and the
        /// task takes itself out of `handle`, under its lock, before it ends.
        private struct Handle: @unchecked Sendable {
            let task: UnsafeCurrentTask
        }

        private let handle: Mutex<Handle?>

        init(_ task: UnsafeCurrentTask?) {
            self.handle = Mutex(task.map(Handle.init))
        }

        func cancel() {
            self.handle.withLock { $0?.task.cancel() }
        }

        func end() {
            self.handle.withLock { $0 = nil }
        }
    }

    private struct Entry {
        let task: RunningTask
        let messageID: String?
        /// Whom to tell, and when, that the request was taken.
        var announcement: (address: ReplyAddress, due: ContinuousClock.Instant)?
        /// When it is cancelled.
        let expiry: ContinuousClock.Instant?
        var withdrawal: Withdrawal?

        /// When something is to be done about it.
        var due: ContinuousClock.Instant? {
            let expiry = self.withdrawal == nil ? self.expiry : nil
            guard let announcement else { return expiry }
            return expiry.map { min($0, announcement.due) } ?? announcement.due
        }
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var byMessageID: [String: UInt64] = [:]
        var next: UInt64 = 0
        /// Calls that were cancelled before they were started here.
        var withdrawn: Set<String> = []
        /// The ids of `withdrawn` in the order they came; the oldest is overwritten at `oldest`.
        var order: [String] = []
        var oldest = 0
        /// Wakes at `armedFor`; there is one only while something is due.
        var timer: Task<Void, Never>?
        var armedFor: ContinuousClock.Instant?
    }

    /// How long a handler runs before its caller is told who took the request; most have ended by then.
    private static let announceAfter: Duration = .milliseconds(100)
    /// As many cancellations are remembered of requests that are not here.
    private static let maximumWithdrawn = 1024

    private let clock: any MessagingClock
    private let announce: @Sendable (ReplyAddress) async -> Void
    private let state = Mutex(State())

    /// Creates a table without requests.
    ///
    /// - Parameters:
    ///   - clock: The time by which requests expire.
    ///   - announce: Tells a caller that its request was taken.
    init(clock: any MessagingClock, announce: @escaping @Sendable (ReplyAddress) async -> Void) {
        self.clock = clock
        self.announce = announce
    }

    /// How many requests run.
    var count: Int { self.state.withLock(\.entries.count) }

    /// Notes that the current task begins to run a request.
    ///
    /// - Parameters:
    ///   - messageID: The call's id; `nil` for a cast.
    ///   - announceTo: Whom to tell who took it, if the caller wants to know.
    ///   - expiry: When the task is to be cancelled; `nil` for never.
    /// - Returns: The key for ``end(_:)``.
    func begin(messageID: String?, announceTo: ReplyAddress?, expiry: ContinuousClock.Instant?) -> UInt64 {
        let announcement = announceTo.map { ($0, self.clock.now + Self.announceAfter) }
        let task = withUnsafeCurrentTask { RunningTask($0) }
        let (key, isWithdrawn) = self.state.withLock { state in
            let key = state.next
            state.next += 1
            var entry = Entry(task: task, messageID: messageID, announcement: announcement, expiry: expiry)
            if let messageID {
                state.byMessageID[messageID] = key
                // It was cancelled on its way here.
                if state.withdrawn.remove(messageID) != nil { entry.withdrawal = .cancelled }
            }
            state.entries[key] = entry
            if entry.withdrawal == nil, let due = entry.due { self.arm(&state, for: due) }
            return (key, entry.withdrawal != nil)
        }
        if isWithdrawn { task.cancel() }
        return key
    }

    /// Notes that a request has ended; answers why, if it was cancelled here.
    func end(_ key: UInt64) -> Withdrawal? {
        let entry = self.state.withLock { state -> Entry? in
            guard let entry = state.entries.removeValue(forKey: key) else { return nil }
            if let id = entry.messageID, state.byMessageID[id] == key { state.byMessageID[id] = nil }
            // The timer is left to fire in vain: calls that follow one another closely would pay for each.
            return entry
        }
        entry?.task.end()
        return entry?.withdrawal
    }

    /// Cancels a call; one that is not here is not started if it still comes.
    ///
    /// - Parameter messageID: The call's id.
    /// - Returns: Whether it was running here.
    func cancel(_ messageID: String) -> Bool {
        let task = self.state.withLock { state -> RunningTask? in
            guard let key = state.byMessageID[messageID], var entry = state.entries[key] else {
                Self.withdraw(messageID, &state)
                return nil
            }
            entry.withdrawal = .cancelled
            state.entries[key] = entry
            return entry.task
        }
        task?.cancel()
        return task != nil
    }

    private static func withdraw(_ messageID: String, _ state: inout State) {
        guard state.withdrawn.insert(messageID).inserted else { return }
        if state.order.count < Self.maximumWithdrawn {
            state.order.append(messageID)
        } else {
            state.withdrawn.remove(state.order[state.oldest])
            state.order[state.oldest] = messageID
            state.oldest = (state.oldest + 1) % Self.maximumWithdrawn
        }
    }

    /// Whether a call was cancelled: before it was started, or while it runs.
    func isWithdrawn(_ messageID: String) -> Bool {
        self.state.withLock { state in
            if state.withdrawn.contains(messageID) { return true }
            guard let key = state.byMessageID[messageID] else { return false }
            return state.entries[key]?.withdrawal != nil
        }
    }

    // MARK: Time

    /// Sees to it that what is due at `instant` is done then.
    ///
    /// One timer for all requests, as for the calls of a client.
    private func arm(_ state: inout State, for instant: ContinuousClock.Instant) {
        if let armedFor = state.armedFor, armedFor <= instant { return }
        state.timer?.cancel()
        state.armedFor = instant
        state.timer = Task(executorPreference: preferredTaskExecutor) { [weak self, clock] in
            do {
                try await clock.sleep(until: instant, tolerance: nil)
            } catch {
                return  // Replaced by an earlier timer, or the server has ended.
            }
            await self?.handleDue()
        }
    }

    private func handleDue() async {
        let now = self.clock.now
        let (addresses, expired): ([ReplyAddress], [RunningTask]) = self.state.withLock { state in
            var addresses: [ReplyAddress] = []
            var expired: [RunningTask] = []
            var next: ContinuousClock.Instant?
            for (key, var entry) in state.entries {
                if let announcement = entry.announcement, announcement.due <= now {
                    addresses.append(announcement.address)
                    entry.announcement = nil
                    state.entries[key] = entry
                }
                if entry.withdrawal == nil, let expiry = entry.expiry, expiry <= now {
                    entry.withdrawal = .expired
                    state.entries[key] = entry
                    expired.append(entry.task)
                }
                if let due = entry.due { next = next.map { min($0, due) } ?? due }
            }
            // The timer is this one, or one that replaced it while it fired; there must not be two.
            state.timer?.cancel()
            state.timer = nil
            state.armedFor = nil
            // All were looked at: where they are many, the next look may be a little late.
            if let next { self.arm(&state, for: max(next, now + .microseconds(2 * state.entries.count))) }
            return (addresses, expired)
        }
        for task in expired { task.cancel() }
        guard !addresses.isEmpty else { return }
        // Not in the timer's task, which may just have been cancelled; each announcement is bounded in time.
        await Task(executorPreference: preferredTaskExecutor) { [announce] in
            for address in addresses { await announce(address) }
        }.value
    }

    /// Lets the timer go; to be called when nothing runs any more.
    func close() {
        self.state.withLock { state in
            state.timer?.cancel()
            state.timer = nil
        }
    }
}
