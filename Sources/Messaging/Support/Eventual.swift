internal import Synchronization

/// A value that comes once, and for which many may wait, each until its own deadline or its task's cancellation.
package final class Eventual<Value: Sendable>: Sendable {
    /// The deadline passed before the value came.
    package struct DeadlinePassed: Error {
        package init() {}
    }

    private typealias Waiter = CheckedContinuation<Value, any Error>

    private struct State {
        var outcome: Result<Value, any Error>?
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Whether the value, or the error in its place, has come.
    package var isResolved: Bool { self.state.withLock { $0.outcome != nil } }

    /// Ends the waiting; only the first call counts.
    package func resolve(_ outcome: Result<Value, any Error>) {
        let waiters: [Waiter] = self.state.withLock { state in
            guard state.outcome == nil else { return [] }
            state.outcome = outcome
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(with: outcome) }
    }

    /// Waits for the value.
    ///
    /// - Throws: The error that came in its place, ``DeadlinePassed``, or `CancellationError`.
    package func value(until deadline: ContinuousClock.Instant? = nil) async throws -> Value {
        if let outcome = self.state.withLock(\.outcome) { return try outcome.get() }
        guard let deadline else { return try await self.wait() }
        return try await withThrowingTaskGroup(of: Value.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.wait() }
            group.addTask {
                try await ContinuousClock().sleep(until: deadline)
                throw DeadlinePassed()
            }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    private func wait() async throws -> Value {
        let id = self.state.withLock { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Value, any Error>? = self.state.withLock { state in
                    if let outcome = state.outcome { return outcome }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }
}

extension Eventual<Void> {
    /// Ends the waiting for something that has no value.
    package func resolve() {
        self.resolve(.success(()))
    }
}
