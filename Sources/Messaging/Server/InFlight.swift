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

    /// A request that is running.
    ///
    /// The handle on its task has a lock of its own, because cancelling runs what the handler has put there for that case:
    /// other requests must not wait for it.
    ///
    /// `@unchecked Sendable`: what changes is touched only under the table's lock, but for `handle`.
    final class Running: @unchecked Sendable {
        /// `@unchecked Sendable`: `UnsafeCurrentTask.cancel()` may be called from any thread while the task lives, and the
        /// task takes itself out of `handle`, under its lock, before it ends.
        private struct Handle: @unchecked Sendable {
            let task: UnsafeCurrentTask
        }

        fileprivate let messageID: String?
        /// When it is cancelled.
        fileprivate let expiry: ContinuousClock.Instant?
        /// Whom to tell, and when, that the request was taken.
        fileprivate var announcement: (address: ReplyAddress, due: ContinuousClock.Instant)?
        fileprivate var withdrawal: Withdrawal?
        /// Its place among all that run.
        fileprivate var index = 0
        private let handle: Mutex<Handle?>

        fileprivate init(
            _ task: UnsafeCurrentTask?,
            messageID: String?,
            announcement: (address: ReplyAddress, due: ContinuousClock.Instant)?,
            expiry: ContinuousClock.Instant?
        ) {
            self.handle = Mutex(task.map(Handle.init))
            self.messageID = messageID
            self.announcement = announcement
            self.expiry = expiry
        }

        /// When something is to be done about it.
        fileprivate var due: ContinuousClock.Instant? {
            let expiry = self.withdrawal == nil ? self.expiry : nil
            guard let due = self.announcement?.due else { return expiry }
            return expiry.map { min($0, due) } ?? due
        }

        fileprivate func cancel() {
            self.handle.withLock { $0?.task.cancel() }
        }

        fileprivate func end() {
            self.handle.withLock { $0 = nil }
        }
    }

    private struct State {
        /// All that run, in no order.
        var running: [Running] = []
        var byMessageID: [String: Running] = [:]
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
    var count: Int { self.state.withLock(\.running.count) }

    /// Notes that the current task begins to run a request.
    ///
    /// - Parameters:
    ///   - messageID: The call's id; `nil` for a cast.
    ///   - announceTo: Whom to tell who took it, if the caller wants to know.
    ///   - expiry: When the task is to be cancelled; `nil` for never.
    /// - Returns: What is to be given to ``end(_:)``.
    func begin(messageID: String?, announceTo: ReplyAddress?, expiry: ContinuousClock.Instant?) -> Running {
        let announcement = announceTo.map { ($0, self.clock.now + Self.announceAfter) }
        let request = withUnsafeCurrentTask { task in
            Running(task, messageID: messageID, announcement: announcement, expiry: expiry)
        }
        let isWithdrawn = self.state.withLock { state in
            request.index = state.running.count
            state.running.append(request)
            if let messageID {
                state.byMessageID[messageID] = request
                // It was cancelled on its way here.
                if !state.withdrawn.isEmpty, state.withdrawn.remove(messageID) != nil {
                    request.withdrawal = .cancelled
                    return true
                }
            }
            if let due = request.due { self.arm(&state, for: due) }
            return false
        }
        if isWithdrawn { request.cancel() }
        return request
    }

    /// Notes that a request has ended; answers why, if it was cancelled here.
    func end(_ request: Running) -> Withdrawal? {
        let withdrawal = self.state.withLock { state in
            if let last = state.running.popLast(), last !== request {
                last.index = request.index
                state.running[last.index] = last
            }
            if let id = request.messageID, let other = state.byMessageID.removeValue(forKey: id), other !== request {
                state.byMessageID[id] = other
            }
            // The timer is left to fire in vain: calls that follow one another closely would pay for each.
            return request.withdrawal
        }
        request.end()
        return withdrawal
    }

    /// Cancels a call; one that is not here is not started if it still comes.
    ///
    /// - Parameter messageID: The call's id.
    /// - Returns: Whether it was running here.
    func cancel(_ messageID: String) -> Bool {
        let request = self.state.withLock { state -> Running? in
            guard let request = state.byMessageID[messageID] else {
                Self.withdraw(messageID, &state)
                return nil
            }
            request.withdrawal = .cancelled
            return request
        }
        request?.cancel()
        return request != nil
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
            if !state.withdrawn.isEmpty, state.withdrawn.contains(messageID) { return true }
            return state.byMessageID[messageID]?.withdrawal != nil
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
        let (addresses, expired): ([ReplyAddress], [Running]) = self.state.withLock { state in
            var addresses: [ReplyAddress] = []
            var expired: [Running] = []
            var next: ContinuousClock.Instant?
            for request in state.running {
                if let announcement = request.announcement, announcement.due <= now {
                    addresses.append(announcement.address)
                    request.announcement = nil
                }
                if request.withdrawal == nil, let expiry = request.expiry, expiry <= now {
                    request.withdrawal = .expired
                    expired.append(request)
                }
                if let due = request.due { next = next.map { min($0, due) } ?? due }
            }
            // The timer is this one, or one that replaced it while it fired; there must not be two.
            state.timer?.cancel()
            state.timer = nil
            state.armedFor = nil
            // All were looked at: where they are many, the next look may be a little late.
            if let next { self.arm(&state, for: max(next, now + .microseconds(2 * state.running.count))) }
            return (addresses, expired)
        }
        for request in expired { request.cancel() }
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
