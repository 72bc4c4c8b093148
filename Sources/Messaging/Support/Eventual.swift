internal import Synchronization

/// A value that comes once, and for which many may wait, each until its own deadline or its task's cancellation.
package final class Eventual<Value: Sendable>: Sendable {
    /// What a waiting task is told; `nil` when it was cancelled.
    private typealias Waiter = CheckedContinuation<Result<Value, any Error>?, Never>

    private struct State {
        var outcome: Result<Value, any Error>?
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Whether the value, or the error in its place, has come.
    package var isResolved: Bool { self.state.withLock { $0.outcome != nil } }

    /// The value, if it has come.
    package var current: Value? {
        guard case .success(let value) = self.state.withLock(\.outcome) else { return nil }
        return value
    }

    /// Ends the waiting with a value, or with an error in its place; only the first call counts.
    package func resolve(_ outcome: Result<Value, any Error>) {
        let waiters: [Waiter] = self.state.withLock { state in
            guard state.outcome == nil else { return [] }
            state.outcome = outcome
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: outcome) }
    }

    /// Ends the waiting with a value; only the first call counts.
    package func fulfil(_ value: Value) {
        self.resolve(.success(value))
    }

    /// Waits for the value.
    ///
    /// - Parameters:
    ///   - deadline: When to give up; `nil` for never.
    ///   - clock: Whose time it is.
    /// - Returns: The value.
    /// - Throws: The error that came in its place, ``DeadlinePassed``, or `CancellationError`.
    package func value(
        until deadline: ContinuousClock.Instant? = nil,
        clock: any MessagingClock = ContinuousClock()
    ) async throws -> Value {
        if let outcome = self.state.withLock(\.outcome) { return try outcome.get() }
        guard let deadline else { return try await self.valueOrCancellation() }
        return try await withThrowingTaskGroup(of: Value.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.valueOrCancellation() }
            group.addTask {
                try await clock.sleep(until: deadline, tolerance: nil)
                throw DeadlinePassed()
            }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    /// Waits until the value has come; `nil` when the waiting task was cancelled before, or an error came instead.
    @discardableResult
    package func wait() async -> Value? {
        guard case .success(let value) = await self.outcome() else { return nil }
        return value
    }

    private func valueOrCancellation() async throws -> Value {
        guard let outcome = await self.outcome() else { throw CancellationError() }
        return try outcome.get()
    }

    private func outcome() async -> Result<Value, any Error>? {
        let id = self.state.withLock { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Result<Value, any Error>?? = self.state.withLock { state in
                    if let outcome = state.outcome { return .some(outcome) }
                    // The handler below takes the lock after the flag was set: either it finds this waiter, or the flag
                    // is seen here.
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[id] = continuation
                    return .none
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: nil)
        }
    }
}

extension Eventual<Void> {
    /// Says that it has happened.
    package func fulfil() {
        self.fulfil(())
    }
}

/// The deadline passed before what was waited for had come.
package struct DeadlinePassed: Error {
    package init() {}
}
