public import Logging
public import Messaging
public import ServiceLifecycle
internal import Synchronization

/// A manager on a topic: the service that makes it reachable and keeps its periodic tasks going.
///
/// ```swift
/// let service = ManagerService(manager, topic: "cinder-volume", host: "node-1", transport: transport)
/// try await service.run()
/// ```
///
/// It is a swift-service-lifecycle `Service`. ``run()`` lets the manager make itself ready (``Manager/initHost()``), listens on
/// the topic, on `topic.host` and on the topic's fanout, logs `ready`, and starts the periodic tasks. A graceful shutdown, or
/// ``stop()``, goes the other way: no periodic task starts any more, nothing more is consumed, what runs may finish and
/// reply, for the grace period at most. The transport is not the service's: who opened it closes it afterwards.
public final class ManagerService: Service {
    /// The manager that is served.
    public let manager: any Manager
    /// The topic and the host that it is served under.
    public let target: Target
    /// What else it is served under.
    public let additionalTargets: [Target]

    let transport: any Transport
    let configuration: ServiceConfiguration
    let liveConfiguration: LiveConfiguration
    /// The manager's place among those that are asked about a configuration that was read again, until the service ends.
    let registration: UInt64
    let journal: (any RequestJournal)?
    let logger: Logger
    let scheduler: SchedulerAPI
    let tasks: Result<PeriodicTaskContext, ServiceError>
    let membership: ServiceMembership
    let stopped: Eventual<Void>
    /// Comes when the service has started, or when it has ended without.
    let started = Eventual<Bool>()
    /// What serves, one for each target; there from the end of ``Manager/initHost()`` on.
    let servers = Mutex<[RPCServer]>([])

    /// Creates a service; it starts with ``run()``.
    ///
    /// - Parameters:
    ///   - manager: The manager.
    ///   - topic: The topic, shared by all hosts of the service.
    ///   - host: The name by which this one is addressed; `nil`, the default, for the manager's own
    ///     ``Manager/host``. They differ where a manager has several addresses (wire contract 7.1).
    ///   - additionalTargets: What the manager is served under besides, by a server each; nothing by default. Present cinder
    ///     calls a backend by such a one (``Target/ofBackend(_:topic:)``).
    ///   - transport: What carries the messages; its owner closes it when the service has ended.
    ///   - configuration: Limits and intervals, and what `service_config` answers; the defaults if there is none.
    ///   - liveConfiguration: Tells the manager when that is read again; `nil`, the default, where it never is.
    ///   - journal: What is remembered of at-least-once requests; `nil`, the default, for one that does not outlast the
    ///     process. `ServiceDatabase` has one that does.
    ///   - registry: Where the service is recorded, and says every `report_interval` that it lives; `nil`, the default, for
    ///     nowhere.
    ///   - clock: The clock of the periodic tasks.
    ///   - logger: Where the service writes.
    public init(
        _ manager: any Manager,
        topic: String,
        host: String? = nil,
        additionalTargets: [Target] = [],
        transport: any Transport,
        configuration: ServiceConfiguration = ServiceConfiguration(),
        liveConfiguration: LiveConfiguration? = nil,
        journal: (any RequestJournal)? = nil,
        registry: (any ServiceRegistry)? = nil,
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.service")
    ) {
        var logger = logger
        let target = Target.topic(topic, server: host ?? manager.host)
        logger[metadataKey: "server"] = "\(target)"
        let scheduler = SchedulerAPI(
            transport,
            topic: configuration[.schedulerTopic],
            timeout: configuration[.rpcResponseTimeout],
            logger: logger
        )
        self.manager = manager
        self.target = target
        self.additionalTargets = additionalTargets
        self.transport = transport
        self.configuration = configuration
        self.liveConfiguration = liveConfiguration ?? LiveConfiguration(configuration)
        self.journal = journal
        self.logger = logger
        self.scheduler = scheduler
        // Before it runs: what is read again meanwhile concerns it too.
        self.registration = self.liveConfiguration.add(manager, backend: configuration.backendName)
        let membership = Self.membership(of: manager, as: target, configuration, in: registry, logger: logger)
        self.membership = membership
        let stopped = Eventual<Void>()
        self.stopped = stopped
        self.tasks = Result { () throws(ServiceError) in
            try PeriodicTaskContext(
                tasks: Self.tasks(
                    of: manager,
                    scheduler: scheduler,
                    reportInterval: configuration[.reportInterval],
                    stopped: stopped
                ) + membership.tasks(of: manager, every: configuration[.reportInterval]),
                host: manager.host,
                clock: clock,
                logger: logger
            )
        }
    }

    deinit { self.liveConfiguration.remove(self.registration) }

    /// Creates a service from what the program has; its topic is the option `topic`.
    ///
    /// - Parameters:
    ///   - manager: The manager.
    ///   - context: The program's configuration, transport and logger.
    ///   - additionalTargets: What the manager is served under besides; nothing by default.
    ///   - journal: What is remembered of at-least-once requests; `nil`, the default, for one that does not outlast the
    ///     process.
    ///   - registry: Where the service is recorded; `nil`, the default, for nowhere.
    public convenience init(
        _ manager: any Manager,
        in context: ManagerContext,
        additionalTargets: [Target] = [],
        journal: (any RequestJournal)? = nil,
        registry: (any ServiceRegistry)? = nil
    ) {
        self.init(
            manager,
            topic: context.configuration[.topic],
            additionalTargets: additionalTargets,
            transport: context.transport,
            configuration: context.configuration,
            liveConfiguration: context.liveConfiguration,
            journal: journal,
            registry: registry,
            logger: context.logger
        )
    }

    /// What became of each periodic task so far; the publication of capabilities is one of them.
    public var periodicTaskStatuses: [PeriodicTaskStatus] {
        switch self.tasks {
        case .success(let context): context.statuses
        case .failure: []
        }
    }

    /// Whether the service can be reached at present and its manager is ready.
    public var isReady: Bool { self.readiness.isReady }

    /// Whether the service can be reached at present and its manager is ready, and why not.
    ///
    /// Not ready before the end of ``Manager/initHostWithRPC()``, while the broker is away or something that the service
    /// declared there is being restored, while what the service sends itself does not come back (option
    /// `self_probe_interval`), while the manager says so (``Manager/readiness``), and from the stop on. Answered at once, from what is known.
    public var readiness: Readiness {
        if self.stopped.current != nil { return .notReady("the service was stopped") }
        return switch self.started.current {
        case true:
            self.transport.readiness.and(self.selfProbeReadiness).and(self.manager.readiness)
                .and(self.membership.readiness)
        case false: .notReady("the service has ended")
        case nil: Readiness.notReady("the service is starting").and(self.transport.readiness)
        }
    }

    /// Waits until the service listens and its manager is ready.
    ///
    /// - Throws: `ServiceError`, code `stopped`, where it ended before; `CancellationError`.
    public func waitUntilReady() async throws {
        guard let isReady = await self.started.wait() else { throw CancellationError() }
        guard isReady else { throw ServiceError(.stopped, "\(self) ended before it was ready; run() says why") }
    }

    /// Asks the service to stop gracefully.
    ///
    /// Returns at once, and may be repeated; ``run()`` returns when all has ended.
    public func stop() {
        self.stopped.fulfil()
    }

    /// A manager's tasks, and for one that depends on schedulers the task that keeps them informed, unless it has its own.
    private static func tasks(
        of manager: any Manager,
        scheduler: SchedulerAPI,
        reportInterval: Duration,
        stopped: Eventual<Void>
    ) -> [PeriodicTask] {
        let name = ManagerRPC.publishServiceCapabilities.name
        let tasks = manager.periodicTasks
        guard let manager = manager as? any SchedulerDependentManager, !tasks.contains(where: { $0.name == name })
        else {
            return tasks
        }
        let publication = PeriodicTask(name, every: reportInterval) { context in
            // A host that stops has nothing more to report, and must not wait for a broker that is away.
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await manager.publishServiceCapabilities(to: scheduler, context: context.request) }
                group.addTask { await stopped.wait() }
                try await group.next()
            }
        }
        return tasks + [publication]
    }
}

extension ManagerService: CustomStringConvertible {
    /// The service's address.
    public var description: String { "ManagerService(\(self.target))" }
}
