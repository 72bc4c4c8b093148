/// How long a failed request waits for its next attempt.
///
/// It waits in the broker, where each length of time needs a queue of its own. So there are few of them: a quarter of a
/// second, doubled again and again; other times are rounded up to the next of these.
public struct RetryBackoff: Sendable, Hashable {
    private let first: Duration
    private let limit: Duration

    /// 1, 2, 4, … seconds, 64 at most.
    public static let exponential = RetryBackoff.exponential(from: .seconds(1), limit: .seconds(64))

    /// Twice as long after each attempt.
    ///
    /// - Parameters:
    ///   - first: The time after the first attempt; at least a quarter of a second.
    ///   - limit: The longest time; 64 s by default, an hour at most.
    /// - Returns: The times.
    public static func exponential(from first: Duration, limit: Duration = .seconds(64)) -> RetryBackoff {
        RetryBackoff(first: first, limit: limit)
    }

    /// The same time after each attempt.
    ///
    /// - Parameter time: The time; at least a quarter of a second, an hour at most.
    /// - Returns: The times.
    public static func constant(_ time: Duration) -> RetryBackoff {
        RetryBackoff(first: time, limit: time)
    }

    private init(first: Duration, limit: Duration) {
        self.limit = min(max(limit, Self.shortest), Self.longest)
        self.first = min(max(first, Self.shortest), self.limit)
    }

    private static let shortest = Duration.milliseconds(250)
    private static let longest = Duration.seconds(3600)

    /// How long to wait after an attempt.
    ///
    /// - Parameter attempt: The attempt that failed, counted from 1.
    /// - Returns: The time.
    public func delay(after attempt: Int) -> Duration {
        var delay = self.first
        var passed = 1
        while passed < attempt, delay < self.limit {
            delay *= 2
            passed += 1
        }
        return min(delay, self.limit)
    }
}
