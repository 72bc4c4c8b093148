internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ

/// What all commands that talk to a broker have in common.
struct BrokerOptions: ParsableArguments {
    @Option(
        help: """
            The broker: rabbit://USER:PASSWORD@HOST[:PORT][,...]/VHOST, amqp:// or amqps://. (default: STEWARD_URL or \
            AMQP_URL of the environment)
            """
    )
    var url: String?

    @Option(help: "The control exchange. (default: openstack)")
    var exchange: String?

    @Option(help: "How the outcome is printed: text for people, or one line of json.")
    var output = OutputFormat.text

    @Flag(name: .shortAndLong, help: "Show a failure's traceback and what the connection does, on standard error.")
    var verbose = false

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

    /// Checks what ArgumentParser cannot, before anything is read or connected to.
    ///
    /// - Throws: `ValidationError`, which ends the program with a word on its usage.
    func check(_ target: Target) throws {
        // A script's empty variable must not turn a request for one host into one for any, nor go through AMQP's
        // nameless exchange.
        for (option, value) in [("--server", target.server), ("--exchange", target.exchange)] where value == "" {
            throw ValidationError("'\(option)' is empty: name one, or leave the option out.")
        }
        do {
            _ = try target.validated()
        } catch {
            throw ValidationError("\(error.message).")
        }
        _ = try self.transportURL(environment: environmentValue)
    }

    /// Checks the target of workers that are asked about themselves.
    ///
    /// - Throws: `ValidationError`, as above.
    func check(asking target: Target) throws {
        // An empty topic would not be empty any more with the suffix.
        try self.check(target)
        try self.check(target.control)
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
