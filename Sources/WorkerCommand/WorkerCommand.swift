public import ArgumentParser
internal import Glibc
internal import Logging
internal import Messaging
internal import MessagingRabbitMQ
public import ServiceRuntime
internal import VolumeService

/// A program of the reference service: what `volume-worker` and `scheduler-worker` have in common, from the command line
/// to the exit code.
public protocol WorkerCommand: ParsableCommand {
    /// What starts the program, and knows its options.
    static var launcher: ServiceLauncher { get }

    /// Makes the service that the program runs.
    static func service(in context: ManagerContext) throws -> ManagerService

    /// What was given on the command line.
    var arguments: WorkerArguments { get }
}

/// The arguments that all these programs take.
public struct WorkerArguments: ParsableArguments {
    /// The name under which this host is addressed.
    @Option(help: "The name under which this host is addressed; the machine's name by default.")
    public var host: String?

    /// The configuration file.
    @Option(help: ArgumentHelp("A file with one JSON object of options.", valueName: "path"))
    public var configFile: String?

    /// Options that go before all others.
    @Option(name: .shortAndLong, help: ArgumentHelp("An option of the configuration.", valueName: "name=value"))
    public var option: [String] = []

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
                  \(launcher.name) --host \(host) --config-file /etc/steward/\(launcher.name).json
                  STEWARD_TRANSPORT_URL=rabbit://user:password@broker/ \(launcher.name)

                CONFIGURATION:
                  From --option NAME=VALUE, else the environment variable STEWARD_NAME, else the JSON file, else the \
                default.
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
        do {
            let arguments = try Self.parse().arguments
            end = await Self.launcher.run(
                overrides: try arguments.overrides(),
                configurationFile: arguments.configFile,
                transport: Self.openTransport,
                services: { context in [try Self.service(in: context)] }
            )
        } catch {
            end = Self.report(error)
        }
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

    private static func openTransport(
        _ configuration: ServiceConfiguration,
        _ logger: Logger
    ) async throws -> any Transport {
        var settings: RabbitMQConfiguration
        do {
            settings = try RabbitMQConfiguration(url: configuration[.transportURL].reveal())
        } catch {
            throw ServiceError(.invalidConfiguration, "option 'transport_url' is wrong: \(error)")
        }
        settings.exchange = configuration[.controlExchange]
        let transport = RabbitMQTransport(settings, logger: logger)
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
