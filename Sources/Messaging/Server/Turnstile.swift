internal import Synchronization

/// Lets one through at a time, in the order of their coming.
package final class Turnstile: Sendable {
    /// The right of one to be through; it ends once, by ``end()`` or with its last owner.
    package final class Turn: Sendable {
        private let turnstile: Turnstile
        private let hasEnded = Atomic(false)

        fileprivate init(_ turnstile: Turnstile) {
            self.turnstile = turnstile
        }

        deinit { self.end() }

        /// Lets the next one through; may be repeated.
        package func end() {
            guard !self.hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
            self.turnstile.leave()
        }
    }

    private struct State {
        var isTaken = false
        var queue: [Eventual<Void>] = []
    }

    private let state = Mutex(State())

    /// A turnstile that nobody is through.
    package init() {}

    /// Waits for its turn; `nil` where the task is cancelled before it has come.
    package func enter() async -> Turn? {
        let waiting = self.state.withLock { state -> Eventual<Void>? in
            guard state.isTaken else {
                state.isTaken = true
                return nil
            }
            let waiting = Eventual<Void>()
            state.queue.append(waiting)
            return waiting
        }
        guard let waiting, await waiting.wait() == nil else { return Turn(self) }
        let isNext = self.state.withLock { state in
            guard let index = state.queue.firstIndex(where: { $0 === waiting }) else { return true }
            state.queue.remove(at: index)
            return false
        }
        // Its turn came with the cancellation.
        if isNext { self.leave() }
        return nil
    }

    private func leave() {
        let next = self.state.withLock { state -> Eventual<Void>? in
            guard !state.queue.isEmpty else {
                state.isTaken = false
                return nil
            }
            return state.queue.removeFirst()
        }
        next?.fulfil()
    }
}
