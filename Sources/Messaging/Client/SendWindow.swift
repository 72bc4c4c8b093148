internal import Synchronization

/// A number of messages that may be under way at the same time without anybody waiting for them; who comes when it is
/// full waits.
final class SendWindow: Sendable {
    private struct State {
        var count = 0
        var waiters: [Eventual<Void>] = []
        /// Comes when nothing is under way any more; there is one only while somebody waits for it.
        var isEmpty: Eventual<Void>?
    }

    private let size: Int
    private let state = Mutex(State())

    init(size: Int) {
        self.size = size
    }

    /// How many messages are under way.
    var count: Int { self.state.withLock(\.count) }

    /// Takes a place, waiting for one if need be.
    ///
    /// - Throws: ``DeadlinePassed``, `CancellationError`.
    func enter(until deadline: ContinuousClock.Instant, clock: any MessagingClock) async throws {
        while let place = self.takePlace() {
            try await place.value(until: deadline, clock: clock)
        }
    }

    /// Answers what to wait for where there is no place.
    private func takePlace() -> Eventual<Void>? {
        self.state.withLock { state in
            guard state.count >= self.size else {
                state.count += 1
                return nil
            }
            let place = Eventual<Void>()
            state.waiters.append(place)
            return place
        }
    }

    /// Waits until nothing is under way, for a while at most; answers how many still are.
    func empty(within limit: Duration, clock: any MessagingClock) async -> Int {
        let isEmpty = self.state.withLock { state -> Eventual<Void>? in
            guard state.count > 0 else { return nil }
            state.isEmpty = state.isEmpty ?? Eventual()
            return state.isEmpty
        }
        do {
            try await isEmpty?.value(until: clock.now + limit, clock: clock)
        } catch {
            // The time is over, or the task was cancelled: what is left is told of by its own end.
        }
        return self.count
    }

    /// Gives a place back.
    func leave() {
        let waiters = self.state.withLock { state -> [Eventual<Void>] in
            state.count -= 1
            if state.count == 0, let isEmpty = state.isEmpty {
                defer {
                    state.isEmpty = nil
                    state.waiters = []
                }
                return state.waiters + [isEmpty]
            }
            // Half of the places at once: waking for each would cost more than what is waited for.
            guard !state.waiters.isEmpty, state.count <= self.size / 2 else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.fulfil() }
    }
}
