public import Logging
public import Messaging

/// What a periodic task knows of its surroundings, and where its manager's tasks are kept track of.
///
/// A ``ManagerService`` makes one for its manager. A test makes its own, with a clock that it controls:
///
/// ```swift
/// let context = try PeriodicTaskContext(for: manager, clock: clock)
/// clock.advance(by: .seconds(60))
/// try await manager.periodicTasks(context: context, raiseOnError: true)
/// ```
public struct PeriodicTaskContext: Sendable {
    /// The host that the manager serves.
    public let host: String
    /// The request context with which a task calls other services: the system's own.
    public var request: RPCContext
    /// Where a task writes; it names the host and, in a task, the task.
    public internal(set) var logger: Logger

    let table: PeriodicTaskTable

    /// Creates the context of a manager's tasks; their grids start now.
    ///
    /// - Parameters:
    ///   - manager: The manager whose tasks it is for.
    ///   - clock: The clock of the spacings and limits; the system's monotonic clock by default.
    ///   - logger: Where changes are logged: a task that begins to fail, and one that recovers.
    /// - Throws: `invalidPeriodicTask`.
    public init(
        for manager: any Manager,
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.periodic")
    ) throws(ServiceError) {
        try self.init(tasks: manager.periodicTasks, host: manager.host, clock: clock, logger: logger)
    }

    init(
        tasks: [PeriodicTask],
        host: String,
        clock: any Clock<Duration>,
        logger: Logger,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) throws(ServiceError) {
        var logger = logger
        logger[metadataKey: "host"] = "\(host)"
        self.host = host
        self.request = .admin()
        self.logger = logger
        self.table = try PeriodicTaskTable(tasks, clock: MonotonicClock(clock), logger: logger, random: random)
    }

    /// What became of each task so far, in the order of the manager's list.
    public var statuses: [PeriodicTaskStatus] { self.table.entries.map(\.status) }

    /// What became of one task so far, or `nil` if the manager has none of this name.
    public func status(of name: String) -> PeriodicTaskStatus? {
        self.table.entries.first { $0.task.name == name }?.status
    }

    /// The context as it is handed to one task: with a request id of its own, and its name in the log.
    func forTask(_ name: String) -> PeriodicTaskContext {
        var context = self
        context.request = .admin()
        context.logger[metadataKey: "task"] = "\(name)"
        return context
    }
}
