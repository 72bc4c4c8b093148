internal import Messaging
internal import Synchronization

/// Something that is made at its first use, once, however many ask for it at the same time.
///
/// Each waits no longer than its own deadline, and the making goes on without it. After a failure the next one who asks
/// starts anew.
final class Once<Value: Sendable>: Sendable {
    private enum State {
        case idle
        case making(Eventual<Value>)
        case made(Value)
    }

    private enum Step {
        case take(Value)
        case wait(Eventual<Value>)
        case make(Eventual<Value>)
    }

    private let state = Mutex(State.idle)
    private let make: @Sendable () async throws -> Value

    init(_ make: @escaping @Sendable () async throws -> Value) {
        self.make = make
    }

    /// The value, if it is there.
    var current: Value? {
        self.state.withLock { state in
            guard case .made(let value) = state else { return nil }
            return value
        }
    }

    func value(until deadline: ContinuousClock.Instant?) async throws -> Value {
        let step: Step = self.state.withLock { state in
            switch state {
            case .made(let value): return .take(value)
            case .making(let eventual): return .wait(eventual)
            case .idle:
                let eventual = Eventual<Value>()
                state = .making(eventual)
                return .make(eventual)
            }
        }
        switch step {
        case .take(let value): return value
        case .wait(let eventual): return try await eventual.value(until: deadline)
        case .make(let eventual):
            // Not a child of the caller's task: others wait for it as well, and the caller's deadline is not theirs.
            Task {
                do {
                    let value = try await self.make()
                    self.state.withLock { $0 = .made(value) }
                    eventual.fulfil(value)
                } catch {
                    self.state.withLock { $0 = .idle }
                    eventual.resolve(.failure(error))
                }
            }
            return try await eventual.value(until: deadline)
        }
    }
}
