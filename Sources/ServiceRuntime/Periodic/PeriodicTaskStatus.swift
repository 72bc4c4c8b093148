/// What became of a periodic task so far.
public struct PeriodicTaskStatus: Sendable {
    /// The task's name.
    public let name: String
    /// Whether the task runs at all.
    public let isEnabled: Bool
    /// Whether it is running now; one that was cancelled and does not end still counts as running.
    public internal(set) var isRunning = false
    /// How many runs were started.
    public internal(set) var runs = 0
    /// How many runs threw an error or exceeded the time limit.
    public internal(set) var failures = 0
    /// How many runs took longer than the spacing.
    public internal(set) var overruns = 0
    /// How many planned runs were left out, because the one before took too long or the machine slept.
    public internal(set) var skippedRuns = 0
    /// The error of the last run, or `nil` if it succeeded.
    public internal(set) var lastError: (any Error)?
    /// When the last run started, in time since the context was made.
    public internal(set) var lastStart: Duration?
    /// When the last run ended that succeeded, in time since the context was made; `nil` where none did.
    public internal(set) var lastSuccess: Duration?
    /// How long the last run that has ended took.
    public internal(set) var lastDuration: Duration?
    /// When the next run is due, in time since the context was made; `nil` for a task that is not enabled.
    public internal(set) var nextRun: Duration?

    init(name: String, isEnabled: Bool) {
        self.name = name
        self.isEnabled = isEnabled
    }
}
