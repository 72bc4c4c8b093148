internal import Synchronization

/// Remembers what happened, in order, and lets a test wait for it: for events, not for time.
///
/// ```swift
/// let ran = EventRecorder<String>()
/// … ran.record(volume.id) …
/// #expect(try await ran.first(2) == ["1", "2"])
/// ```
public final class EventRecorder<Event: Sendable>: Sendable {
    /// A wait that was given up.
    public struct NotEnough: Error, CustomStringConvertible {
        /// What was waited for, and what came instead.
        public let description: String
    }

    private struct Waiter {
        /// How many more it waits for.
        var missing: Int
        let isMeant: @Sendable (Event) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var events: [Event] = []
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Creates an empty recorder.
    public init() {}

    /// All that happened so far.
    public var events: [Event] { self.state.withLock(\.events) }

    /// Notes an event.
    ///
    /// - Parameter event: What happened.
    public func record(_ event: Event) {
        self.record([event])
    }

    /// Notes several events.
    ///
    /// - Parameter events: What happened, in order.
    public func record(_ events: [Event]) {
        let ready = self.state.withLock { state in
            state.events.append(contentsOf: events)
            return state.waiters.compactMap { id, waiter in
                var waiter = waiter
                waiter.missing -= events.count(where: waiter.isMeant)
                state.waiters[id] = waiter.missing > 0 ? waiter : nil
                return waiter.missing > 0 ? nil : waiter.continuation
            }
        }
        for continuation in ready { continuation.resume() }
    }

    /// Waits until there are `count` events and answers the first so many.
    ///
    /// - Parameters:
    ///   - count: How many events.
    ///   - limit: How long to wait; 60 s by default: generous, because it is only for what is broken.
    ///   - isMeant: Which events count; all by default.
    /// - Returns: The first `count` events that count.
    /// - Throws: ``NotEnough`` after `limit`; `CancellationError`.
    @discardableResult
    public func first(
        _ count: Int,
        within limit: Duration = .seconds(60),
        where isMeant: @escaping @Sendable (Event) -> Bool = { _ in true }
    ) async throws -> [Event] {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.reach(count, isMeant) }
            group.addTask {
                do {
                    try await Task.sleep(for: limit)
                } catch {
                    // The events came in time.
                }
            }
            await group.next()
            group.cancelAll()
        }
        let all = self.events
        let events = all.filter(isMeant)
        if events.count < count { try Task.checkCancellation() }
        guard events.count >= count else {
            throw NotEnough(
                description: "waited \(limit) for \(count) events, and there were \(events.count) of all \(all.count)"
            )
        }
        return Array(events.prefix(count))
    }

    private func reach(_ count: Int, _ isMeant: @escaping @Sendable (Event) -> Bool) async {
        let id = self.state.withLock { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReached = self.state.withLock { state in
                    let missing = count - state.events.count(where: isMeant)
                    if missing <= 0 || Task.isCancelled { return true }
                    state.waiters[id] = Waiter(missing: missing, isMeant: isMeant, continuation: continuation)
                    return false
                }
                if isReached { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume()
        }
    }
}
