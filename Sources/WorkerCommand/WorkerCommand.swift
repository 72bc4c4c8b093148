public import ArgumentParser
internal import ConfigurationYAML
internal import CoreMetrics
internal import Glibc
internal import Logging
internal import Messaging
internal import MessagingRabbitMQ
internal import ServiceHealth
public import ServiceLifecycle
public import ServiceRuntime
internal import VolumeService

/// A program of the reference service: what `volume-worker` and `scheduler-worker` have in common, from the command line
/// to the exit code.
public protocol WorkerCommand: ParsableCommand {
    /// What starts the program, and knows its options.
    static var launcher: ServiceLauncher { get }

    /// Makes the services that the program runs.
    static func services(in context: ManagerContext) throws -> [any Service]

    /// What was given on the command line.
    var arguments: WorkerArguments { get }
}

/// The arguments that all these programs take.
public struct WorkerArguments: ParsableArguments {
    /// The name under which this host is addressed.
    @Option(help: "The name under which this host is addressed; the machine's name by default.")
    public var host: String?

    /// The configuration files.
    @Option(help: ArgumentHelp("A file of options; a later one goes before an earlier one.", valueName: "path"))
    public var configFile: [String] = []

    /// Directories of configuration files.
    @Option(help: ArgumentHelp("A directory whose files are read after the others.", valueName: "path"))
    public var configDir: [String] = []

    /// Options that go before all others.
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("An option of the configuration; SECTION.NAME=VALUE in a section.", valueName: "name=value")
    )
    public var option: [String] = []

    /// Whether the configuration is only checked.
    @Flag(help: "Say all that is wrong with the configuration, and end.")
    public var configCheck = false

    /// In what format a sample of the configuration is printed, if one is asked for.
    @Option(
        help: ArgumentHelp("Print all options with their defaults, and end: ini, yaml or json.", valueName: "format")
    )
    public var configSample: SampleFormat?

    /// Creates empty arguments; ArgumentParser fills them.
    public init() {}

    /// The options that were given on the command line, by name.
    func overrides() throws -> [String: String] {
        var overrides = self.host.map { ["host": $0] } ?? [:]
        for text in self.option {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ValidationError("'\(text)' is no option; write NAME=VALUE") }
            overrides[String(parts[0])] = String(parts[1])
        }
        return overrides
    }
}

extension WorkerCommand {
    /// What `--help` and `--version` say.
    ///
    /// - Parameters:
    ///   - launcher: The program's launcher, which knows its name and options.
    ///   - abstract: What the program does, in one sentence.
    ///   - host: A host's name, for the examples.
    /// - Returns: The command's configuration.
    public static func describe(_ launcher: ServiceLauncher, abstract: String, host: String) -> CommandConfiguration {
        CommandConfiguration(
            commandName: launcher.name,
            abstract: abstract,
            discussion: """
                EXAMPLES:
                  \(launcher.name) --host \(host) --option log_level=debug
                  \(launcher.name) --config-file /etc/steward/\(launcher.name).yaml --config-dir /etc/steward/conf.d
                  \(launcher.name) --config-file /etc/cinder/cinder.conf --config-check
                  STEWARD_TRANSPORT_URL=rabbit://user:password@broker/ \(launcher.name)

                CONFIGURATION:
                  From --option NAME=VALUE, else the environment variable STEWARD_NAME, else the files (.json, .yaml, or \
                oslo's .conf), else the default. In sections: SECTION.NAME, and STEWARD_SECTION__NAME; --config-sample \
                shows them, too.
                \(ServiceConfiguration.help(for: launcher.options))

                EXIT CODES:
                  0 ended as it was asked to, 1 failed, 2 wrong command line or configuration, 5 broker not reachable
                """,
            version: Software.version
        )
    }

    /// Runs the program to its exit code.
    ///
    /// To be called by the program's own `main()`: ArgumentParser's would be preferred to one that stands here.
    public static func run() async -> Never {
        let end: ServiceExit
        let health = HealthMonitor()
        do {
            let arguments = try Self.parse().arguments
            let launcher = Self.launcher.adding(options: RabbitMQOptions.all, formats: [.yaml])
            if let format = arguments.configSample {
                end = Self.printed(launcher.sample(format.format))
            } else if arguments.configCheck {
                end = try Self.check(launcher, arguments)
            } else {
                // Before anything is counted: what is counted with another factory is not told.
                MetricsSystem.bootstrap(health.metrics)
                end = await launcher.run(
                    overrides: try arguments.overrides(),
                    files: arguments.configFile,
                    directories: arguments.configDir,
                    transport: { configuration, logger in
                        // Before the broker: a program that waits for it is live, and says that it is not ready.
                        try health.begin(configuration, logger: logger)
                        return try await Self.openTransport(configuration, health, logger)
                    },
                    services: { context in
                        let services = try Self.services(in: context)
                        health.watch(services, on: context.transport)
                        return services
                    }
                )
            }
        } catch {
            end = Self.report(error)
        }
        health.end()
        Glibc.exit(end.code)
    }

    /// Says what is wrong with the command line, or gives the help that was asked for.
    private static func report(_ error: any Error) -> ServiceExit {
        let text = Self.fullMessage(for: error)
        if Self.exitCode(for: error).isSuccess {
            print(text)
            return .success
        }
        let bytes = Array("\(text)\n".utf8)
        // Where standard error is closed there is nobody to be told.
        _ = write(STDERR_FILENO, bytes, bytes.count)
        return .usage
    }

    /// Writes a text to standard output.
    private static func printed(_ text: String) -> ServiceExit {
        print(text, terminator: "")
        return .success
    }

    /// Says what is wrong with the configuration.
    private static func check(_ launcher: ServiceLauncher, _ arguments: WorkerArguments) throws -> ServiceExit {
        let overrides = try arguments.overrides()
        let problems = launcher.problems(
            overrides: overrides,
            files: arguments.configFile,
            directories: arguments.configDir
        )
        for problem in problems {
            let text = "\(problem.place): \(problem.isError ? "error" : "warning"): \(problem.explanation)"
            print(text)
        }
        guard !problems.contains(where: \.isError) else { return .failure }
        do {
            _ = try Self.settings(
                try launcher.configuration(
                    overrides: overrides,
                    files: arguments.configFile,
                    directories: arguments.configDir
                )
            )
        } catch {
            print("error: \(error.message)")
            return .failure
        }
        return .success
    }

    private static func settings(_ configuration: ServiceConfiguration) throws(ServiceError) -> RabbitMQConfiguration {
        do {
            var settings = try RabbitMQConfiguration(
                url: configuration[.transportURL].reveal(),
                options: RabbitMQOptions.values(in: configuration)
            )
            settings.exchange = configuration[.controlExchange]
            return settings
        } catch {
            throw ServiceError(.invalidConfiguration, "option 'transport_url' is wrong: \(error)")
        }
    }

    private static func openTransport(
        _ configuration: ServiceConfiguration,
        _ health: HealthMonitor,
        _ logger: Logger
    ) async throws -> any Transport {
        let settings = try Self.settings(configuration)
        let transport = RabbitMQTransport(settings, logger: logger)
        // Before it is open: why it is not is what somebody who asks wants to know.
        health.watch([], on: transport)
        do {
            let limit = configuration[.startTimeout]
            try await transport.open(timeout: limit > .zero ? limit : nil)
        } catch {
            await transport.close()
            throw error
        }
        return transport
    }
}

/// In what format a sample is printed.
public enum SampleFormat: String, ExpressibleByArgument, Sendable {
    /// oslo's INI, YAML, JSON.
    case ini, yaml, json

    var format: ConfigurationSample {
        switch self {
        case .ini: .ini
        case .yaml: .yaml
        case .json: .json
        }
    }
}
