internal import Synchronization

/// A value that comes once and that any number of tasks wait for, each of which may be cancelled meanwhile.
final class Completion<Value: Sendable>: Sendable {
    private enum State {
        case open(waiters: [UInt64: CheckedContinuation<Value?, Never>], nextID: UInt64)
        case done(Value)
    }

    private let state = Mutex(State.open(waiters: [:], nextID: 0))

    init() {}

    /// The value, if it has come.
    var current: Value? {
        self.state.withLock { state in
            guard case .done(let value) = state else { return nil }
            return value
        }
    }

    /// Gives the value; the first one counts.
    func fulfil(_ value: Value) {
        let waiters = self.state.withLock { state -> [UInt64: CheckedContinuation<Value?, Never>] in
            guard case .open(let waiters, _) = state else { return [:] }
            state = .done(value)
            return waiters
        }
        for waiter in waiters.values { waiter.resume(returning: value) }
    }

    /// Waits for the value; `nil` when the waiting task was cancelled before it came.
    func value() async -> Value? {
        let id = self.state.withLock { state -> UInt64 in
            guard case .open(let waiters, let nextID) = state else { return 0 }
            state = .open(waiters: waiters, nextID: nextID + 1)
            return nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = self.state.withLock { state -> Value?? in
                    switch state {
                    case .done(let value):
                        return .some(value)
                    case .open(var waiters, let nextID):
                        // The handler below takes the lock after the flag was set: either it finds this waiter, or
                        // the flag is seen here.
                        if Task.isCancelled { return .some(nil) }
                        waiters[id] = continuation
                        state = .open(waiters: waiters, nextID: nextID)
                        return .none
                    }
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = self.state.withLock { state -> CheckedContinuation<Value?, Never>? in
                guard case .open(var waiters, let nextID) = state else { return nil }
                let waiter = waiters.removeValue(forKey: id)
                state = .open(waiters: waiters, nextID: nextID)
                return waiter
            }
            waiter?.resume(returning: nil)
        }
    }
}

extension Completion where Value == Void {
    /// Says that it has happened.
    func fulfil() { self.fulfil(()) }
}

/// Waits until one of several things has happened, and lets go of the others.
///
/// All of them must end soon after they are cancelled.
func firstOf(_ waits: [@Sendable () async -> Void]) async {
    await withTaskGroup(of: Void.self) { group in
        for wait in waits {
            group.addTask { await wait() }
        }
        await group.next()
        group.cancelAll()
    }
}
