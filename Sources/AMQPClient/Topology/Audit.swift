/// When what the consumers depend on is looked at again, and what of it is still to be asked.
struct Audit {
    private let interval: Duration
    /// Nil for never.
    var due: ContinuousClock.Instant?
    /// What is asked, and was not answered yet.
    var pending: [RepairItem] = []

    init(every interval: Duration) {
        self.interval = interval
    }

    /// So many times as long as a round has taken it is waited for the next: a broker that is slow, because hundreds ask or
    /// come back at the same time, is asked less often.
    private static let rest = 20
    /// The longest time between two rounds, unless the interval is longer.
    private static let longestRest = Duration.seconds(60)

    /// Sets the next time: spread, so that many workers do not ask their broker in step.
    ///
    /// - Parameter duration: How long the round has taken.
    mutating func schedule(after duration: Duration = .zero) {
        guard self.interval > .zero else { return }
        let rest = max(self.interval, min(duration * Self.rest, Self.longestRest))
        self.due = .now + rest * Double.random(in: 0.75...1)
    }
}
