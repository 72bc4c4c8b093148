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

    /// Sets the next time: spread, so that many workers do not ask their broker in step.
    mutating func schedule() {
        guard self.interval > .zero else { return }
        self.due = .now + self.interval * Double.random(in: 0.75...1)
    }
}
