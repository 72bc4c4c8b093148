public import Logging
public import Messaging

/// What a program has for its managers: made once by the ``ServiceLauncher``, taken by a manager's initializer.
///
/// ```swift
/// let manager = VolumeManager(context, driver: driver, database: database)
/// let service = ManagerService(manager, in: context)
/// ```
public struct ManagerContext: Sendable {
    /// The host that is served, from the option `host`.
    public let host: String
    /// The program's configuration as it was at the start.
    public let configuration: ServiceConfiguration
    /// The program's configuration as it is in force at any time.
    public let liveConfiguration: LiveConfiguration
    /// What carries messages; open, and closed by the program.
    public let transport: any Transport
    /// The program's logger.
    public let logger: Logger

    /// Creates a context; its host comes from the configuration.
    ///
    /// - Parameters:
    ///   - configuration: The program's configuration; all defaults if there is none.
    ///   - transport: What carries messages; its owner closes it.
    ///   - logger: Where the managers and their services write.
    public init(
        configuration: ServiceConfiguration = ServiceConfiguration(),
        transport: any Transport,
        logger: Logger = Logger(label: "steward.service")
    ) {
        self.init(
            configuration: configuration,
            transport: transport,
            logger: logger,
            logLevels: LogLevels(configuration.logLevel)
        )
    }

    init(
        configuration: ServiceConfiguration,
        transport: any Transport,
        logger: Logger,
        logLevels: LogLevels
    ) {
        self.host = configuration[.host]
        self.configuration = configuration
        self.liveConfiguration = LiveConfiguration(configuration, logLevels: logLevels)
        self.transport = transport
        self.logger = logger
    }
}
