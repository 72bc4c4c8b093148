internal import ArgumentParser
internal import Logging
internal import MessagingRabbitMQ

/// The program: reads the command line, sends the request, prints the outcome.
@main
enum Main {
    static func main() async {
        endProgram(await Self.run(Array(CommandLine.arguments.dropFirst())))
    }

    private static func run(_ arguments: [String]) async -> Int32 {
        do {
            if arguments == ["--version"] {
                try OutputStream.standardOutput.write(line: StewardCommand.version)
                return ExitStatus.done
            }
            var command = try StewardCommand.parseAsRoot(arguments)
            guard let command = command as? any SessionCommand else {
                try command.run()  // Help, which arrives as an error.
                return ExitStatus.done
            }
            return try await self.session(command).run { outcome in
                self.report(outcome, as: command.broker.output, isVerbose: command.broker.verbose)
            }
        } catch {
            return self.explain(error, isBare: arguments.isEmpty)
        }
    }

    private static func session(_ command: any SessionCommand) throws -> Session {
        var logger = Logger(label: "steward") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = command.broker.verbose ? .debug : .critical
        // A transport that is not opened connects to nothing, whatever it is told.
        let url =
            command.usesBroker
            ? try command.broker.transportURL(environment: environmentValue) : try TransportURL(parsing: "rabbit://")
        let work = try command.prepare()
        return Session(
            transport: RabbitMQConfiguration(url),
            timeLimit: command.timeLimit,
            logger: logger,
            work: work
        )
    }

    /// Prints the outcome and answers the exit code.
    private static func report(_ outcome: Outcome, as format: OutputFormat, isVerbose: Bool) -> Int32 {
        do {
            if isVerbose, let traceback = outcome.traceback {
                try OutputStream.standardError.write(line: traceback)
            }
            switch (format, outcome) {
            case (.json, _): try OutputStream.standardOutput.write(line: outcome.json)
            case (.text, .failed): try OutputStream.standardError.write(line: "steward: \(outcome.text)")
            case (.text, _): try OutputStream.standardOutput.write(line: outcome.text)
            }
            return outcome.exitCode
        } catch {
            // Nobody reads what was printed; the exit code is all that can still be said.
            return outcome.exitCode == ExitStatus.done ? ExitStatus.other : outcome.exitCode
        }
    }

    /// Prints help, or what is wrong with the command line: ArgumentParser's EX_USAGE (64) is our 2.
    private static func explain(_ error: any Error, isBare: Bool) -> Int32 {
        let isHelp = StewardCommand.exitCode(for: error) == .success && !isBare
        let stream: OutputStream = isHelp ? .standardOutput : .standardError
        do {
            try stream.write(line: StewardCommand.fullMessage(for: error))
        } catch {
            // Nobody reads it.
        }
        return isHelp ? ExitStatus.done : ExitStatus.usage
    }
}
