/// Something that a manager does again and again.
///
/// ```swift
/// PeriodicTask("report_driver_status", every: .seconds(60), runImmediately: true, timeLimit: .seconds(30)) { context in
///     try await self.reportDriverStatus(context)
/// }
/// ```
///
/// Runs are planned on a grid of the spacing, on a monotonic clock. A run that takes longer than the spacing, or a
/// machine that slept, leaves out the runs that were missed: the next one is on the grid again, and there is never a
/// burst. A task never overlaps itself, and no task waits for another.
public struct PeriodicTask: Sendable {
    /// The task's name, in logs and in its status; one manager has no two tasks of one name.
    public let name: String
    /// The time from one planned run to the next.
    public let spacing: Duration
    /// Whether the first run is at once, or one spacing after the start.
    public let runImmediately: Bool
    /// Whether the task runs at all.
    public let isEnabled: Bool
    /// How long a run may take before it is cancelled and counted as failed; `nil` for no limit.
    public let timeLimit: Duration?
    /// The largest share of the spacing by which a run is delayed at random, so that many hosts do not act in step.
    public let jitter: Double

    let body: @Sendable (PeriodicTaskContext) async throws -> Void

    /// Creates a task.
    ///
    /// A spacing or a time limit that is not positive, and a jitter outside of 0 up to 1, are found when the service
    /// starts: ``ServiceError/Code/invalidPeriodicTask``. Other than in oslo.service, neither disables a task.
    ///
    /// - Parameters:
    ///   - name: The task's name, unique in its manager.
    ///   - spacing: The time from one planned run to the next.
    ///   - runImmediately: Whether the first run is at once; by default it is one spacing after the start.
    ///   - isEnabled: Whether the task runs at all; `true` by default.
    ///   - timeLimit: How long a run may take before it is cancelled; no limit by default.
    ///   - jitter: The largest share of the spacing by which a run is delayed; 5 % by default, as in oslo.service. The
    ///     grid stays, so that no run is ever skipped for it.
    ///   - body: What is done. It should end soon when it is cancelled; one that does not is left behind at shutdown,
    ///     and is not started again before it has ended.
    public init(
        _ name: String,
        every spacing: Duration,
        runImmediately: Bool = false,
        isEnabled: Bool = true,
        timeLimit: Duration? = nil,
        jitter: Double = 0.05,
        _ body: @escaping @Sendable (PeriodicTaskContext) async throws -> Void
    ) {
        self.name = name
        self.spacing = spacing
        self.runImmediately = runImmediately
        self.isEnabled = isEnabled
        self.timeLimit = timeLimit
        self.jitter = jitter
        self.body = body
    }

    /// Checks what the compiler cannot.
    func validate() throws(ServiceError) {
        guard self.spacing > .zero else {
            throw ServiceError(
                .invalidPeriodicTask,
                "periodic task '\(self.name)' has a spacing of \(self.spacing); give it a positive one, or isEnabled: false"
            )
        }
        guard self.timeLimit.map({ $0 > .zero }) ?? true else {
            throw ServiceError(
                .invalidPeriodicTask,
                "periodic task '\(self.name)' has a time limit that is not positive; nil means none"
            )
        }
        guard (0..<1).contains(self.jitter) else {
            throw ServiceError(
                .invalidPeriodicTask,
                "periodic task '\(self.name)' has a jitter of \(self.jitter); it is a share of the spacing, 0 up to 1"
            )
        }
    }
}

/// Collects the tasks of a manager.
@resultBuilder
public enum PeriodicTasksBuilder {
    /// One task.
    public static func buildExpression(_ task: PeriodicTask) -> [PeriodicTask] { [task] }
    /// Tasks that were made elsewhere.
    public static func buildExpression(_ tasks: [PeriodicTask]) -> [PeriodicTask] { tasks }
    /// All of a block.
    public static func buildBlock(_ parts: [PeriodicTask]...) -> [PeriodicTask] { parts.flatMap { $0 } }
    /// An `if` without an `else`.
    public static func buildOptional(_ part: [PeriodicTask]?) -> [PeriodicTask] { part ?? [] }
    /// The first branch of an `if`.
    public static func buildEither(first: [PeriodicTask]) -> [PeriodicTask] { first }
    /// The second branch of an `if`.
    public static func buildEither(second: [PeriodicTask]) -> [PeriodicTask] { second }
    /// A loop.
    public static func buildArray(_ parts: [[PeriodicTask]]) -> [PeriodicTask] { parts.flatMap { $0 } }
}
