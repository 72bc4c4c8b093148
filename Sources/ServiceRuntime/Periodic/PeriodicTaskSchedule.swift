/// When one task runs: points of a grid, each delayed a little at random.
struct PeriodicTaskSchedule: Sendable {
    private let spacing: Duration
    private let jitter: Double
    /// The point of the grid that the next run belongs to.
    private(set) var planned: Duration
    /// When the next run starts.
    private(set) var due: Duration

    /// Creates the schedule of a task that starts at a time; `random` draws from 0 up to 1.
    init(of task: PeriodicTask, startingAt now: Duration, random: () -> Double) {
        self.spacing = task.spacing
        self.jitter = task.jitter
        self.planned = task.runImmediately ? now : now + task.spacing
        self.due = self.planned
        if !task.runImmediately { self.delay(random) }
    }

    /// Plans the run after one that has ended at a time, and answers how many points of the grid went by unused.
    ///
    /// A run that began late, after a machine slept, stands for all points up to its beginning: without `start` it would be
    /// followed by another at once where the sleep ends at a point of the grid.
    @discardableResult
    mutating func advance(at now: Duration, start: Duration? = nil, random: () -> Double) -> Int {
        var steps = 1
        if now > self.planned {
            // The first point that is not before now; more than one step means that some were missed.
            steps = max(1, Int(((now - self.planned) / self.spacing).rounded(.up)))
        }
        self.planned += self.spacing * steps
        // The quotient is a Double: after years of uptime it may be off by one.
        if self.planned < now { self.planned += self.spacing }
        if let start, self.planned <= start {
            self.planned += self.spacing
            steps += 1
        }
        self.delay(random)
        return steps - 1
    }

    private mutating func delay(_ random: () -> Double) {
        self.due = self.planned + self.spacing * (self.jitter * random())
    }
}
