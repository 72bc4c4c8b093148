import ArgumentParser
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import VolumeService

@main
struct SchedulerWorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scheduler-worker",
        abstract: "Knows what the volume workers can do, and sends each new volume to the one that suits best.",
        discussion: """
            EXAMPLES:
              scheduler-worker --host scheduler-1 --option log_level=debug
              scheduler-worker --host scheduler-1 --config-file /etc/steward/scheduler.json
              STEWARD_TRANSPORT_URL=rabbit://user:password@broker/ scheduler-worker

            CONFIGURATION:
              From --option NAME=VALUE, else the environment variable STEWARD_NAME, else the JSON file, else the default.
            \(ServiceConfiguration.help(for: SchedulerWorker.options))

            EXIT CODES:
              0 ended as it was asked to, 1 failed, 2 wrong command line or configuration, 5 broker not reachable
            """,
        version: Software.version
    )

    @Option(help: "The name under which this host is addressed; the machine's name by default.")
    var host: String?

    @Option(help: ArgumentHelp("A file with one JSON object of options.", valueName: "path"))
    var configFile: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("An option of the configuration.", valueName: "name=value"))
    var option: [String] = []

    static func main() async {
        let end: ServiceExit
        do {
            let command = try parse()
            end = await SchedulerWorker.launcher.run(
                overrides: try command.overrides(),
                configurationFile: command.configFile,
                transport: openTransport,
                services: { context in [SchedulerWorker.service(in: context)] }
            )
        } catch {
            end = report(error)
        }
        Glibc.exit(end.code)
    }

    /// Says what is wrong with the command line, or gives the help that was asked for.
    private static func report(_ error: any Error) -> ServiceExit {
        let text = fullMessage(for: error)
        if exitCode(for: error).isSuccess {
            print(text)
            return .success
        }
        let bytes = Array("\(text)\n".utf8)
        // Where standard error is closed there is nobody to be told.
        _ = write(STDERR_FILENO, bytes, bytes.count)
        return .usage
    }

    private func overrides() throws -> [String: String] {
        var overrides = host.map { ["host": $0] } ?? [:]
        for text in option {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ValidationError("'\(text)' is no option; write NAME=VALUE") }
            overrides[String(parts[0])] = String(parts[1])
        }
        return overrides
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
