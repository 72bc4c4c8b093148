import Synchronization

/// A clock that stands still until a test moves it.
final class TestClock: Clock, Sendable {
    struct Instant: InstantProtocol {
        var offset: Duration

        func advanced(by duration: Duration) -> Instant { Instant(offset: self.offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - self.offset }
        static func < (one: Instant, other: Instant) -> Bool { one.offset < other.offset }
    }

    private struct Sleeper {
        let id: UInt64
        let deadline: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = Instant(offset: .zero)
        var nextID: UInt64 = 0
        var sleepers: [Sleeper] = []
        var observers: [(deadline: Instant, continuation: CheckedContinuation<Void, Never>)] = []

        func hasSleeper(until deadline: Instant) -> Bool {
            self.sleepers.contains { $0.deadline == deadline }
        }

        mutating func satisfiedObservers() -> [CheckedContinuation<Void, Never>] {
            let all = self.observers
            self.observers = all.filter { !self.hasSleeper(until: $0.deadline) }
            return all.filter { self.hasSleeper(until: $0.deadline) }.map(\.continuation)
        }
    }

    private let state = Mutex(State())

    var now: Instant { self.state.withLock(\.now) }
    let minimumResolution = Duration.zero

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let id = self.state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                var result: Result<Void, any Error>?
                let observers = self.state.withLock { state in
                    if Task.isCancelled {
                        result = .failure(CancellationError())
                    } else if deadline <= state.now {
                        result = .success(())
                    } else {
                        state.sleepers.append(Sleeper(id: id, deadline: deadline, continuation: continuation))
                    }
                    return state.satisfiedObservers()
                }
                if let result { continuation.resume(with: result) }
                for observer in observers { observer.resume() }
            }
        } onCancel: {
            let sleeper = self.state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else { return nil }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Whether somebody sleeps until a time.
    func hasSleeper(until offset: Duration) -> Bool {
        self.state.withLock { $0.hasSleeper(until: Instant(offset: offset)) }
    }

    /// Moves the time and wakes who has slept long enough.
    func advance(by duration: Duration) {
        let woken = self.state.withLock { state -> [Sleeper] in
            state.now = state.now.advanced(by: duration)
            let now = state.now
            let woken = state.sleepers.filter { $0.deadline <= now }
            state.sleepers.removeAll { $0.deadline <= now }
            return woken
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    /// Waits until somebody sleeps until a time: what was done before is done, and the time may be moved there.
    func waitForSleeper(until offset: Duration) async {
        await withCheckedContinuation { continuation in
            let deadline = Instant(offset: offset)
            let isThere = self.state.withLock { state in
                guard !state.hasSleeper(until: deadline) else { return true }
                state.observers.append((deadline, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
