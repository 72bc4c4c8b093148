internal import ArgumentParser
internal import Messaging

/// What the three commands that send a request of any method have in common.
struct RequestOptions: ParsableArguments {
    @OptionGroup var broker: BrokerOptions

    @Option(help: "The service's topic.")
    var topic: String

    @Option(help: "One host of the topic; without it any of them takes the request.")
    var server: String?

    @Option(help: "The namespace of the method.")
    var namespace: String?

    @Option(
        help: "The version of the interface that is asked for, such as 3.0; without it servers assume 1.0.",
        transform: { text throws -> RPCVersion in
            guard let version = RPCVersion(text) else { throw ValidationError("Write major.minor, such as 3.0.") }
            return version
        }
    )
    var version: RPCVersion?

    @Option(help: ArgumentHelp("The request context, a JSON object. (default: {})", valueName: "json"))
    var context: String?

    @Option(
        help: ArgumentHelp(
            "The limit for all of it: connecting (10 s at most), sending, waiting. Fractions are taken.",
            valueName: "seconds"
        )
    )
    var timeout = Seconds(60)

    @Option(
        help: ArgumentHelp(
            """
            Give a call up when its server shows no sign of life for so long, well before the timeout. Python servers \
            show one at half of this time, and only from 2 on.
            """,
            valueName: "seconds"
        )
    )
    var callMonitorTimeout: Seconds?

    @Argument(help: "The method's name.")
    var method: String

    @Argument(help: "Its arguments: a JSON object, @FILE, or - for standard input. (default: {})")
    var arguments: String?

    /// The target; only a fanout goes to all servers.
    func target(_ kind: Request.Kind) -> Target {
        Target(topic: self.topic, server: self.server, exchange: self.broker.exchange, isFanout: kind == .fanout)
    }

    func check(_ kind: Request.Kind) throws {
        guard !self.method.isEmpty else { throw ValidationError("The method's name is empty.") }
        guard kind != .fanout || self.server == nil else {
            throw ValidationError("A fanout goes to every server; '--server' has no place in it, use 'cast' for one.")
        }
        try self.broker.check(self.target(kind))
    }
}
