/// When what the consumers depend on is looked at again, and what of it is still to be asked.
struct Audit {
    private let interval: Duration
    /// When the next look is due; nil for never.
    var due: ContinuousClock.Instant?
    /// What is asked, and was not answered yet.
    var pending: [RepairItem] = []
    /// When the last round was over; nil where there was none on this connection.
    private var lastRound: ContinuousClock.Instant?

    init(every interval: Duration) {
        self.interval = interval
    }

    /// So many times as long as a round would take it is waited from one to the next: a broker that is slow, because hundreds
    /// ask or come back at the same time, is asked less often.
    private static let rest = 20
    /// The longest time between two rounds, unless the interval is longer.
    private static let longestRest = Duration.seconds(60)

    /// A connection is new, and its first round is a whole one however slow the broker is.
    ///
    /// What the old connection held may go while the new one takes its place, most of all where the broker has much to do.
    mutating func begin() {
        self.pending = []
        self.lastRound = nil
        self.schedule()
    }

    /// Sets the time of the next look: spread, so that many workers do not ask their broker in step.
    ///
    /// - Parameter intervals: How many of them to wait.
    mutating func schedule(after intervals: Int = 1) {
        guard self.interval > .zero else { return }
        self.due = .now + self.interval * intervals * Double.random(in: 0.75...1)
    }

    /// Whether a whole round may follow, judged by the time that one question took just now.
    ///
    /// By that alone, and not by how long the last round took: what was slow then may be quick again.
    func allowsRound(of questions: Int, taking duration: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        guard let lastRound else { return true }
        let rest = min(duration * questions * Self.rest, Self.longestRest)
        // The looks themselves are spread.
        return rest <= self.interval || now - lastRound >= rest * 0.75
    }

    /// All was asked.
    mutating func finishRound(now: ContinuousClock.Instant = .now) {
        self.lastRound = now
        self.schedule()
    }
}
