/// The time of a message system: the continuous clock, or one that a test moves.
///
/// Deadlines are instants of the continuous clock, so that every transport and every caller means the same by them.
public protocol MessagingClock: Clock where Instant == ContinuousClock.Instant {}

extension ContinuousClock: MessagingClock {}

extension MessagingClock {
    /// Waits for a time.
    ///
    /// - Parameter duration: How long.
    /// - Throws: `CancellationError`.
    package func sleep(_ duration: Duration) async throws {
        try await self.sleep(until: self.now.advanced(by: duration), tolerance: nil)
    }
}
