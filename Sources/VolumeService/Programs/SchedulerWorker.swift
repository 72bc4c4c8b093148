internal import Logging
internal import ServiceDatabase
public import ServiceRuntime

/// The program `scheduler-worker`: a ``SchedulerManager``.
public enum SchedulerWorker {
    /// What can be configured.
    ///
    /// `state_path` is among it so that all programs of a host can be configured alike; a scheduler keeps nothing on disk.
    public static let options = ServiceConfiguration.options(
        topic: SchedulerRPC.defaultTopic,
        [
            ServiceOption<Duration>.startTimeout,
            ServiceOption<String>.volumeTopic,
            ServiceOption<Duration>.serviceDownTime,
            ServiceOption<String>.statePath,
        ]
    )

    /// Runs the program.
    public static let launcher = ServiceLauncher("scheduler-worker", options: options)

    /// Makes the service.
    ///
    /// - Parameter context: What the program has.
    /// - Returns: The service, not yet running.
    /// - Throws: `ServiceError` where `database_connection` is wrong.
    public static func service(in context: ManagerContext) throws -> ManagerService {
        let options = context.configuration
        var configuration = SchedulerManager.Configuration()
        configuration.volumeTopic = options[.volumeTopic]
        configuration.serviceDownTime = downTime(options[.serviceDownTime], reportInterval: options[.reportInterval])
        if options[.serviceDownTime] != configuration.serviceDownTime {
            context.logger.info(
                "service_down_time is raised, as hosts report less often",
                metadata: ["service_down_time": "\(configuration.serviceDownTime)"]
            )
        }
        let registry = try ServiceRegistryLocation(options)?.registry()
        configuration.services = registry.map {
            ServiceDirectory($0, downTime: configuration.serviceDownTime, logger: context.logger)
        }
        let manager = SchedulerManager(
            host: context.host,
            transport: context.transport,
            configuration: configuration,
            logger: context.logger
        )
        return ManagerService(manager, in: context, registry: registry)
    }

    /// A host must miss two reports before it counts as down; cinder raises the limit in the same way (wire contract 7.3).
    static func downTime(_ configured: Duration, reportInterval: Duration) -> Duration {
        configured > reportInterval ? configured : reportInterval * 5 / 2
    }
}
