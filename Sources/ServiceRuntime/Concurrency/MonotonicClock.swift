/// An injected clock of any kind, read as the time since this value was made.
///
/// The instants of `any Clock<Duration>` have no type that could be stored; durations from one origin say the same.
package struct MonotonicClock: Sendable {
    /// The time since the origin.
    package let now: @Sendable () -> Duration
    private let sleepUntil: @Sendable (Duration) async throws -> Void

    package init(_ clock: some Clock<Duration>) {
        let origin = clock.now
        self.now = { origin.duration(to: clock.now) }
        self.sleepUntil = { try await clock.sleep(until: origin.advanced(by: $0), tolerance: nil) }
    }

    /// Sleeps until a time; answers whether it has come, which it has not when the task was cancelled.
    package func sleep(until time: Duration) async -> Bool {
        do {
            try await self.sleepUntil(time)
            return true
        } catch {
            // A clock's sleep fails for one reason: its task was cancelled.
            return false
        }
    }

    /// Sleeps for a time; answers whether it has passed.
    package func sleep(for duration: Duration) async -> Bool {
        await self.sleep(until: self.now() + duration)
    }
}
