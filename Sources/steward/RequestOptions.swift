internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ

/// What the three commands have in common.
struct RequestOptions: ParsableArguments {
    @Option(
        help: """
            The broker: rabbit://USER:PASSWORD@HOST[:PORT][,...]/VHOST, amqp:// or amqps://. (default: STEWARD_URL or \
            AMQP_URL of the environment)
            """
    )
    var url: String?

    @Option(help: "The control exchange. (default: openstack)")
    var exchange: String?

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

    @Option(help: "How the outcome is printed: text for people, or one line of json.")
    var output = OutputFormat.text

    @Flag(name: .shortAndLong, help: "Show a failure's traceback and what the connection does, on standard error.")
    var verbose = false

    @Argument(help: "The method's name.")
    var method: String

    @Argument(help: "Its arguments: a JSON object, @FILE, or - for standard input. (default: {})")
    var arguments: String?

    /// The target; only a fanout goes to all servers.
    func target(_ kind: Request.Kind) -> Target {
        Target(topic: self.topic, server: self.server, exchange: self.exchange, isFanout: kind == .fanout)
    }

    /// The broker's URL, from the option or the environment.
    func transportURL(environment: (String) -> String?) throws -> TransportURL {
        let sources = [("--url", self.url)] + ["STEWARD_URL", "AMQP_URL"].map { ($0, environment($0)) }
        guard let (source, text) = sources.first(where: { $0.1 != nil }), let text else {
            throw ValidationError("Missing expected argument '--url <url>': give it, or set STEWARD_URL or AMQP_URL.")
        }
        guard !text.isEmpty else { throw ValidationError("\(source) is empty: it must say where the broker is.") }
        do {
            return try TransportURL(parsing: text)
        } catch {
            throw ValidationError("\(source) is no URL of a broker: \(error.message).")
        }
    }

    func check(_ kind: Request.Kind) throws {
        guard !self.method.isEmpty else { throw ValidationError("The method's name is empty.") }
        guard kind != .fanout || self.server == nil else {
            throw ValidationError("A fanout goes to every server; '--server' has no place in it, use 'cast' for one.")
        }
        do {
            _ = try self.target(kind).validated()
        } catch {
            throw ValidationError("\(error.message).")
        }
        _ = try self.transportURL(environment: environmentValue)
    }
}

/// How the outcome is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// A time limit on the command line: seconds, with a fraction if need be.
struct Seconds: ExpressibleByArgument, CustomStringConvertible {
    let duration: Duration
    private let text: String

    init(_ seconds: Int) {
        self.duration = .seconds(seconds)
        self.text = "\(seconds)"
    }

    init?(argument: String) {
        // A year is more than anybody waits, and far from where durations overflow.
        guard let seconds = Double(argument), seconds >= 0.001, seconds <= 366 * 86400 else { return nil }
        self.duration = .seconds(seconds)
        self.text = argument
    }

    var description: String { self.text }
    var defaultValueDescription: String { self.text }
}
