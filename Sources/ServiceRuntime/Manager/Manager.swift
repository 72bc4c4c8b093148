public import Messaging

/// A manager: one part of a system, served on one host.
///
/// A manager's methods do the work; its endpoint says which of them other services may call, and its periodic tasks what
/// happens by itself. ``ManagerService`` puts it on a topic:
///
/// ```swift
/// actor GreetingManager: Manager {
///     nonisolated let host: String
///
///     init(host: String) { self.host = host }
///
///     nonisolated var endpoint: RPCEndpoint {
///         RPCEndpoint(version: "1.0") {
///             GreetingRPC.greet.handled { context, name in "hello \(name) from \(self.host)" }
///         }
///     }
///     nonisolated var periodicTasks: [PeriodicTask] {
///         PeriodicTask("count_guests", every: .seconds(60)) { context in try await self.countGuests() }
///     }
/// }
/// ```
///
/// What a manager needs (a driver, a database, clients of other services) it takes through its initializer;
/// ``ManagerContext`` holds what the program has for that.
public protocol Manager: Sendable {
    /// The host that this manager serves; by default the machine's name.
    ///
    /// It is the server part of the manager's address and what its reports are filed under, so it must be the same after
    /// a restart. A manager that is configured takes it from ``ManagerContext/host``.
    var host: String { get }

    /// The version of the software, as the RPC method `service_version` answers it; by default the endpoint's version.
    var serviceVersion: String { get }

    /// The manager's own methods.
    var endpoint: RPCEndpoint { get }

    /// Further methods under other namespaces or versions, asked after ``endpoint``; none by default.
    var additionalEndpoints: [RPCEndpoint] { get }

    /// What is done again and again while the service runs; nothing by default.
    @PeriodicTasksBuilder var periodicTasks: [PeriodicTask] { get }

    /// Makes the host ready, before the first request is taken; does nothing by default.
    ///
    /// - Throws: What keeps the host from being ready: the service then does not start.
    func initHost() async throws

    /// Does what needs the service to be reachable already, such as asking others to report to it; after the consumers
    /// are confirmed and before the periodic tasks. Does nothing by default.
    ///
    /// - Throws: What makes the service useless: it then stops with this error.
    func initHostWithRPC() async throws

    /// Whether the manager can do its work at present, and why not; ready by default.
    ///
    /// Part of ``ManagerService/readiness``, and asked often: to be answered at once, from what is known.
    var readiness: Readiness { get }

    /// Whether the manager works at all: as long as it does not, its service reports no life to the registry, so that no
    /// work is given to it. Works by default.
    ///
    /// For what lasts, such as a driver that hangs; asked before each report, to be answered at once.
    var isWorking: Bool { get }

    /// Takes over what operators have decided about the service; does nothing by default.
    ///
    /// Called with the start where something was decided before, and with each change; an answer to whoever asked for the
    /// change waits for it.
    ///
    /// - Parameter standing: What holds from now on.
    func standingDidChange(_ standing: ServiceStanding) async

    /// Looks at a configuration that was read again while the program runs, before it is taken over; takes any by default.
    ///
    /// Asked of all managers of the program before ``configurationDidChange(_:changes:)`` of any.
    ///
    /// - Parameter configuration: The present configuration with the new values of the mutable options.
    /// - Throws: What keeps it from being taken over: everything then stays as it is.
    func checkConfiguration(_ configuration: ServiceConfiguration) async throws

    /// Takes over what has changed; does nothing by default.
    ///
    /// - Parameters:
    ///   - configuration: What is in force from now on.
    ///   - changes: Which of the mutable options differ, never none.
    func configurationDidChange(_ configuration: ServiceConfiguration, changes: [ServiceOptionChange]) async

    /// Begins afresh with what the program has been told to read again; does nothing by default.
    ///
    /// After each SIGHUP whose configuration was taken over, also where nothing has changed in it, and after
    /// ``configurationDidChange(_:changes:)``: the moment to let go of what was learned of others, such as their versions.
    func reset() async
}

extension Manager {
    /// The machine's name.
    public var host: String { HostName.current }

    /// The version of the endpoint.
    public var serviceVersion: String { self.endpoint.version.description }

    /// None.
    public var additionalEndpoints: [RPCEndpoint] { [] }

    /// None.
    public var periodicTasks: [PeriodicTask] { [] }

    /// Does nothing.
    public func initHost() async throws {}

    /// Does nothing.
    public func initHostWithRPC() async throws {}

    /// Ready.
    public var readiness: Readiness { .ready }

    /// Works.
    public var isWorking: Bool { true }

    /// Does nothing.
    public func standingDidChange(_ standing: ServiceStanding) async {}

    /// Takes any.
    public func checkConfiguration(_ configuration: ServiceConfiguration) async throws {}

    /// Does nothing.
    public func configurationDidChange(_ configuration: ServiceConfiguration, changes: [ServiceOptionChange]) async {}

    /// Does nothing.
    public func reset() async {}

    /// Runs once what is due, each task beside the others, and waits for all of them: oslo's `run_periodic_tasks`.
    ///
    /// For tests, and for programs that have a loop of their own; a ``ManagerService`` does better by itself, as it lets
    /// no task wait for another.
    ///
    /// - Parameters:
    ///   - context: Remembers what ran when; one and the same for all calls.
    ///   - raiseOnError: Whether the error of a task is thrown, after all have ended; otherwise it is only noted in
    ///     ``PeriodicTaskContext/statuses`` and logged.
    /// - Returns: How long until the next task is due; 60 s at most.
    /// - Throws: What the first failing task threw, if `raiseOnError`.
    @discardableResult
    public func periodicTasks(context: PeriodicTaskContext, raiseOnError: Bool = false) async throws -> Duration {
        try await context.runDue(raiseOnError: raiseOnError)
    }
}
