public import Logging
public import Messaging
public import ServiceLifecycle
internal import Synchronization
internal import UnixSignals

/// Runs the services of a program from its start to its exit code.
///
/// ```swift
/// let launcher = ServiceLauncher(
///     "volume-worker", options: ServiceConfiguration.standardOptions + VolumeOptions.all,
///     defaults: ["topic": "cinder-volume"])
/// let end = await launcher.run(overrides: ["host": "node-1"], files: [path]) { configuration, logger in
///     try await openTransport(configuration, logger)
/// } services: { context in
///     [ManagerService(VolumeManager(context), in: context)]
/// }
/// exit(end.code)
/// ```
///
/// SIGHUP has the configuration read again; a reading that is wrong changes nothing (``LiveConfiguration``). What differs is
/// logged, secrets masked.
///
/// SIGTERM and SIGINT stop the services gracefully, within `graceful_shutdown_timeout`. A second signal, or the limit,
/// cancels what is left; what does not heed that either is left to the end of the process.
public struct ServiceLauncher: Sendable {
    /// How long cancelled services may take to end.
    static let cancellationGrace = Duration.seconds(5)

    /// The program's name, in logs.
    public let name: String
    /// What can be configured.
    public let options: [any ServiceOptionDeclaration]
    /// Other defaults than the options' own.
    public let defaults: [String: String]
    /// What configuration files may be written in.
    public let formats: [ConfigurationFormat]

    /// Creates a launcher.
    ///
    /// - Parameters:
    ///   - name: The program's name.
    ///   - options: What can be configured; the standard options by default.
    ///   - defaults: Other defaults than the options' own, as texts by name, such as the program's topic.
    ///   - formats: What configuration files may be written in; JSON and oslo's INI by default.
    public init(
        _ name: String,
        options: [any ServiceOptionDeclaration] = ServiceConfiguration.standardOptions,
        defaults: [String: String] = [:],
        formats: [ConfigurationFormat] = [.json, .ini]
    ) {
        self.name = name
        self.options = options
        self.defaults = defaults
        self.formats = formats
    }

    /// The same launcher with more that can be configured, and more ways to write it.
    ///
    /// - Parameters:
    ///   - options: Further options, such as those of a transport.
    ///   - formats: Further formats of configuration files.
    /// - Returns: A copy that knows them too.
    public func adding(
        options: [any ServiceOptionDeclaration] = [],
        formats: [ConfigurationFormat] = []
    ) -> ServiceLauncher {
        ServiceLauncher(
            self.name,
            options: self.options + options,
            defaults: self.defaults,
            formats: self.formats + formats
        )
    }

    /// Reads the program's configuration, the environment of the process among its sources.
    ///
    /// - Parameters:
    ///   - overrides: What the command line says, as texts by option name.
    ///   - files: The paths of configuration files.
    ///   - directories: Directories with configuration files.
    /// - Returns: What is configured.
    /// - Throws: `invalidConfiguration`, with everything that is wrong.
    public func configuration(
        overrides: [String: String] = [:],
        files: [String] = [],
        directories: [String] = []
    ) throws(ServiceError) -> ServiceConfiguration {
        try ServiceConfiguration(
            options: self.options,
            defaults: self.defaults,
            overrides: overrides,
            files: files,
            directories: directories,
            formats: self.formats
        )
    }

    /// Reads the configuration, sets up logging to standard error, opens the transport, runs the services until they end
    /// or a signal comes, and closes the transport.
    ///
    /// To be called once in a process, as it sets up logging and ignores SIGPIPE; the process is to exit with the answer's
    /// code.
    ///
    /// - Parameters:
    ///   - overrides: What the command line says, as texts by option name.
    ///   - files: The paths of configuration files; a later one goes before an earlier one.
    ///   - directories: Directories with configuration files, read in the order of their names after the others.
    ///   - transport: Opens the transport; the launcher closes it.
    ///   - services: Makes the services; an error here ends the program like an error of a service.
    /// - Returns: How the program ended; why is in the log.
    public func run(
        overrides: [String: String] = [:],
        files: [String] = [],
        directories: [String] = [],
        transport: (ServiceConfiguration, Logger) async throws -> any Transport,
        services: (ManagerContext) async throws -> [any Service]
    ) async -> ServiceExit {
        let configuration: ServiceConfiguration
        do {
            configuration = try self.configuration(overrides: overrides, files: files, directories: directories)
        } catch {
            // There is no log yet, as its level is part of the configuration.
            StandardError.print("\(self.name): \(error.message)\n")
            return .forError(error)
        }
        ProcessSignals.ignoreFailedWrites()
        let levels = LogLevels(configuration.logLevel)
        LoggingSystem.bootstrap(
            { label, provider in
                let handler = configuration.logHandler(label, to: .standardError, metadataProvider: provider)
                return LeveledLogHandler(handler, label: label, levels: levels)
            },
            metadataProvider: .servedRequest
        )
        // From here on, so that none ends a program which still waits for its broker; it is heeded with the services.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        return await self.run(
            configuration,
            logger: Logger(label: self.name),
            signals: { onSignal in
                for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) { onSignal("\(signal)") }
            },
            hangups: { onHangup in
                for await _ in hangups { await onHangup() }
            },
            levels: levels,
            transport: transport,
            services: services
        )
    }

    /// What ``run(overrides:files:directories:transport:services:)`` does after logging is set up.
    ///
    /// `signals` reports each signal until it is cancelled. It is started with the services: a signal that comes before,
    /// while there is nothing to be ended with grace, ends the process as it does any other.
    func run(
        _ configuration: ServiceConfiguration,
        logger: Logger,
        signals: @escaping @Sendable (_ onSignal: @Sendable (String) -> Void) async -> Void,
        hangups: @escaping @Sendable (_ onHangup: @Sendable () async -> Void) async -> Void = { _ in },
        levels: LogLevels = LogLevels(.info),
        clock: some Clock<Duration> = ContinuousClock(),
        transport openTransport: (ServiceConfiguration, Logger) async throws -> any Transport,
        services makeServices: (ManagerContext) async throws -> [any Service]
    ) async -> ServiceExit {
        logger.info("starting", metadata: ["host": "\(configuration[.host])", "configuration": "\(configuration)"])
        var notices = ConfigurationNotices()
        notices.log(configuration.warnings, to: logger)
        let transport: any Transport
        do {
            transport = try await openTransport(configuration, logger)
        } catch {
            return self.end(logger, with: error)
        }
        let end: ServiceExit
        do {
            let context = ManagerContext(
                configuration: configuration,
                transport: transport,
                logger: logger,
                logLevels: levels
            )
            let services = try await makeServices(context)
            let live = context.liveConfiguration
            // Not awaited: a manager that does not come to an end with its configuration must not keep the process from its
            // own.
            let told = Mutex(notices)
            let reloading = Task {
                await hangups { await self.readAgain(live, told: told, logger: logger) }
            }
            defer { reloading.cancel() }
            let run = ServiceRun(
                ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger)),
                limit: configuration[.gracefulShutdownTimeout],
                clock: MonotonicClock(clock),
                logger: logger
            )
            try await run.untilEnd(signals: signals)
            logger.info("ended")
            end = .success
        } catch {
            end = self.end(logger, with: error)
        }
        await transport.close()
        return end
    }

    /// Reads the configuration again and says what became of it.
    private func readAgain(
        _ live: LiveConfiguration,
        told: borrowing Mutex<ConfigurationNotices>,
        logger: Logger
    ) async {
        let notifier = ServiceManagerNotifier()
        notifier.sendReloading()
        // Also where it is refused: the program goes on as before.
        defer { notifier.sendReloaded() }
        do {
            let changes = try await live.readAgain()
            let configuration = live.current
            if live.logLevels.configure(configuration.logLevel) {
                logger.notice(
                    "configuration goes before the level that was set over RPC",
                    metadata: ["log_level": "\(configuration.logLevel)"]
                )
            }
            logger.notice("configuration is read again", metadata: ["changes": "\(changes.filter(\.isTakenOver))"])
            told.withLock { notices in
                notices.log(configuration.warnings, to: logger)
                notices.log(waiting: changes.filter { !$0.isTakenOver }, to: logger)
            }
        } catch {
            logger.error("configuration is refused and stays as it was", metadata: ["error": "\(error)"])
        }
    }

    private func end(_ logger: Logger, with error: any Error) -> ServiceExit {
        let end = ServiceExit.forError(error)
        logger.error("failed", metadata: ["error": "\(error)", "exit": "\(end)"])
        return end
    }
}
