internal import ArgumentParser
internal import Logging
internal import Messaging
internal import ServiceRuntime

/// Asks a worker what it logs, or has it log more or less.
struct LogLevel: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Show or set what a worker logs while it runs.",
        discussion: #"""
            Without a level, those in force are shown. A level holds for the whole
            program until it ends, or, without a prefix, until its configuration gets
            another log_level. 'default' takes it back.

            A prefix means the loggers whose label, or whose module, begins so; the
            longest that fits counts.

            EXAMPLES
              steward log-level cinder-volume node-1
              steward log-level cinder-volume node-1 debug
              steward log-level cinder-volume node-1 trace --prefix AMQPClient
              steward log-level cinder-volume node-1 default --prefix AMQPClient
            """#
    )

    /// What takes a level back.
    private static let defaultName = "default"

    @OptionGroup var broker: BrokerOptions

    @Argument(help: "The service's topic.")
    var topic: String

    @Argument(help: "The host; without it any of the topic is asked.")
    var host: String?

    @Argument(help: "trace, debug, info, notice, warning, error, critical or default.")
    var level: String?

    @Option(help: ArgumentHelp("Which loggers; all by default.", valueName: "label"))
    var prefix = ""

    @Option(help: ArgumentHelp("The limit for all of it. Fractions are taken.", valueName: "seconds"))
    var timeout = Seconds(10)

    var timeLimit: Duration { self.timeout.duration }

    private var target: Target { .topic(self.topic, server: self.host, exchange: self.broker.exchange) }

    /// Checks what ArgumentParser cannot, before anything is connected to.
    mutating func validate() throws {
        try self.broker.check(self.target)
        if let level { try Self.check(level) }
        if let host, self.level == nil, Logger.Level(rawValue: host.lowercased()) != nil {
            throw ValidationError("'\(host)' is a level: say which host is to log so, 'TOPIC HOST LEVEL'.")
        }
    }

    private static func check(_ level: String) throws {
        let text = level.lowercased()
        guard text != Self.defaultName, Logger.Level(rawValue: text) == nil else { return }
        let levels = Logger.Level.allCases.map(\.rawValue) + [Self.defaultName]
        throw ValidationError("'\(level)' is no level; it must be one of \(levels.joined(separator: ", ")).")
    }

    func prepare() throws -> Session.Work {
        let (target, prefix, level) = (self.target, self.prefix, self.level)
        return { means in
            let client = RPCClient(means.transport, target: target, logger: means.logger)
            let deadline = ContinuousClock.now + means.timeout
            if let level {
                let request = LogLevelRequest(prefix: prefix, level: level.uppercased())
                try await client.call(ManagerRPC.setLogLevels, request, timeout: means.timeout)
            }
            let list = try await client.call(
                ManagerRPC.getLogLevels,
                LogLevelRequest(prefix: prefix),
                timeout: deadline - .now
            )
            return .report(Self.json(list), text: Self.text(list))
        }
    }

    private static func json(_ list: LogLevelList) -> JSONValue {
        .array(list.levels.map { ["prefix": .string($0.prefix ?? ""), "level": .string(Self.name($0))] })
    }

    private static func text(_ list: LogLevelList) -> String {
        var table = TextTable([("prefix", .left), ("level", .left)])
        for level in list.levels {
            table.add([level.prefix.flatMap { $0.isEmpty ? nil : $0 } ?? "(all)", Self.name(level)])
        }
        return table.text
    }

    private static func name(_ level: LogLevelRequest) -> String { (level.level ?? "").lowercased() }
}
