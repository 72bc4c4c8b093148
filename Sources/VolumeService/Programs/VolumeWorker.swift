internal import Logging
internal import ServiceDatabase
public import ServiceRuntime

/// The program `volume-worker`: a ``VolumeManager`` with a ``DirectoryDriver`` and an SQLite database.
///
/// The state's directory holds `volumes`, one file for each volume, and `volumes.sqlite`, in which the requests are
/// remembered as well that were run.
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

    /// Opens the state's directory and makes the service.
    ///
    /// - Parameter context: What the program has.
    /// - Returns: The service, not yet running.
    /// - Throws: ``VolumeError`` where the directory cannot be used, `ServiceStoreError` where the database cannot.
    public static func service(in context: ManagerContext) throws -> ManagerService {
        let options = context.configuration
        var settings = DirectoryDriver.Configuration(statePath: options[.statePath])
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
            host: context.host,
            driver: driver,
            database: VolumeTable(store, host: context.host),
            configuration: configuration,
            logger: context.logger
        )
        return ManagerService(manager, in: context, journal: try SQLiteRequestJournal(store))
    }
}
