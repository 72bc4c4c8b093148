internal import Logging
internal import Messaging
internal import ServiceDatabase
public import ServiceLifecycle
public import ServiceRuntime

/// The program `volume-worker`: a ``VolumeManager`` with a ``DirectoryDriver`` and an SQLite database.
///
/// The state's directory holds `volumes`, one file for each volume, and `volumes.sqlite`, in which the requests are
/// remembered as well that were run. Unless `database_connection` says otherwise, the service is recorded in
/// `services.sqlite` beside it.
public enum VolumeWorker {
    /// What can be configured.
    public static let options = ServiceConfiguration.options(
        topic: VolumeRPC.defaultTopic,
        [
            ServiceOption<Duration>.startTimeout,
            ServiceOption<[String]>.enabledBackends,
            ServiceOption<String>.statePath,
            ServiceOption<String>.volumeBackendName,
            ServiceOption<Double>.maximumCapacity,
            ServiceOption<Int>.reservedPercentage,
            ServiceOption<Duration>.driverTimeLimit,
        ]
    )

    /// Runs the program.
    public static let launcher = ServiceLauncher("volume-worker", options: options)

    /// Makes the services: one for the host, or, where there are `enabled_backends`, one for each of them.
    ///
    /// A backend serves as `host@backend`, keeps its state in its own `state_path` (by default a directory of its name in
    /// the worker's), and is tried again where it fails, while the others go on.
    ///
    /// - Parameter context: What the program has.
    /// - Returns: The services, not yet running.
    /// - Throws: As ``service(in:)``, where there are no backends.
    public static func services(in context: ManagerContext) throws -> [any Service] {
        let names = context.configuration.enabledBackends
        guard !names.isEmpty else { return [try self.service(in: context)] }
        let registry = try self.registry(in: context)
        let backends = names.map { name in
            BackendService(name, logger: context.logger) { try self.backend(name, registry: registry, in: context) }
        }
        return [BackendGroup(backends)]
    }

    /// Opens a backend's directory and makes its service, with the configuration that is in force.
    ///
    /// - Parameters:
    ///   - name: One of `enabled_backends`.
    ///   - context: What the program has.
    /// - Returns: The service, not yet running.
    /// - Throws: As ``service(in:)``; `ServiceError` where the backend has no section.
    public static func backend(_ name: String, in context: ManagerContext) throws -> ManagerService {
        try self.backend(name, registry: try self.registry(in: context), in: context)
    }

    private static func backend(
        _ name: String,
        registry: any ServiceRegistry,
        in context: ManagerContext
    ) throws -> ManagerService {
        let options = try context.liveConfiguration.current.backend(name)
        let path = options[.statePath]
        return try self.service(
            host: "\(context.host)@\(name)",
            statePath: options.isSet(.statePath) ? path : "\(path)/\(name)",
            options: options,
            registry: registry,
            in: context
        )
    }

    /// The registry of the option `database_connection`, or a file beside the worker's state: one for all backends.
    private static func registry(in context: ManagerContext) throws(ServiceError) -> any ServiceRegistry {
        let options = context.configuration
        return (try ServiceRegistryLocation(options) ?? .sqlite(path: options[.statePath] + "/services.sqlite"))
            .registry()
    }

    /// Opens the state's directory and makes the service.
    ///
    /// - Parameter context: What the program has.
    /// - Returns: The service, not yet running.
    /// - Throws: ``VolumeError`` where the directory cannot be used, `ServiceStoreError` where the database cannot,
    ///   `ServiceError` where `database_connection` is wrong.
    public static func service(in context: ManagerContext) throws -> ManagerService {
        let options = context.configuration
        return try self.service(
            host: context.host,
            statePath: options[.statePath],
            options: options,
            registry: try self.registry(in: context),
            in: context
        )
    }

    private static func service(
        host: String,
        statePath: String,
        options: ServiceConfiguration,
        registry: any ServiceRegistry,
        in context: ManagerContext
    ) throws -> ManagerService {
        var settings = DirectoryDriver.Configuration(statePath: statePath)
        let limits = VolumeDriverLimits(options)
        settings.maximumCapacity = limits.maximumCapacity
        settings.reservedPercentage = limits.reservedPercentage
        // The driver first: it makes the directory, and keeps a second worker from it.
        let driver = try DirectoryDriver(settings)
        var storeSettings = ServiceStore.Configuration()
        let logger = context.logger
        storeSettings.onTrouble = { trouble in
            if let trouble {
                logger.error("the database cannot be used", metadata: ["error": "\(trouble)"])
            } else {
                logger.notice("the database can be used again")
            }
        }
        let store = try ServiceStore(
            at: .file(settings.statePath + "/volumes.sqlite"),
            migrations: VolumeTable.migrations,
            configuration: storeSettings
        )
        var configuration = VolumeManager.Configuration()
        configuration.backendName = options[.volumeBackendName]
        configuration.reportInterval = options[.reportInterval]
        configuration.driverTimeLimit = options[.driverTimeLimit]
        let manager = VolumeManager(
            host: host,
            driver: driver,
            database: VolumeTable(store, host: host),
            configuration: configuration,
            logger: context.logger
        )
        let topic = options[.topic]
        return ManagerService(
            manager,
            topic: topic,
            additionalTargets: [Target.ofBackend(host, topic: topic)].compactMap(\.self),
            transport: context.transport,
            configuration: options,
            liveConfiguration: context.liveConfiguration,
            journal: try SQLiteRequestJournal(store),
            registry: registry,
            logger: context.logger
        )
    }
}
