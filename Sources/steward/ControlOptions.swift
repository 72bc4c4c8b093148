internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ

/// What the commands have in common that ask one worker about itself.
struct ControlOptions: ParsableArguments {
    @OptionGroup var broker: BrokerOptions

    @Option(help: "The service's topic.")
    var topic: String

    @Option(help: "The host that is asked; without it any of the topic answers.")
    var server: String?

    @Option(
        help: ArgumentHelp(
            "The limit for all of it: connecting, sending, waiting. Fractions are taken.",
            valueName: "seconds"
        )
    )
    var timeout = Seconds(10)

    /// The service that is asked.
    var target: Target { .topic(self.topic, server: self.server, exchange: self.broker.exchange) }
}

/// A command that asks one worker about itself.
protocol ControlCommand: SessionCommand {
    associatedtype Answer: Codable & Sendable

    /// The question.
    static var question: RPCMethod<Void, Answer> { get }

    /// The answer for people.
    static func text(_ answer: Answer, roundTrip: Duration) -> String

    var options: ControlOptions { get }
}

extension ControlCommand {
    var broker: BrokerOptions { self.options.broker }
    var timeLimit: Duration { self.options.timeout.duration }

    /// Checks what ArgumentParser cannot, before anything is connected to.
    mutating func validate() throws {
        try self.options.broker.check(asking: self.options.target)
    }

    func prepare() throws -> Session.Work {
        let target = self.options.target
        return { means in
            let deadline = ContinuousClock.now + means.timeout
            try await means.transport.open(timeout: means.timeout)
            _ = try await means.transport.openReplyQueue(deadline: deadline)
            // What is measured is the way to the worker and back, not that of the connections to the broker.
            let start = ContinuousClock.now
            let value: JSONValue
            do {
                value = try await RPCClient(means.transport, target: target.control, logger: means.logger)
                    .call(Self.question.name, timeout: deadline - start)
            } catch let error as RPCError where error.code == .noSuchServer {
                throw RPCError(.noSuchServer, "\(target.absence), or it does not answer questions")
            }
            let roundTrip = ContinuousClock.now - start
            let answer: Answer
            do {
                answer = try RawJSON(value).decode(Answer.self)
            } catch {
                throw RPCError(.invalidReply, "the answer is not one of a Steward worker: \(error)")
            }
            // The worker's own words, in case that it is newer and says more than this program knows.
            guard var members = value.objectValue else { throw RPCError(.invalidReply, "the answer is no object") }
            members["round_trip"] = .double(roundTrip / .seconds(1))
            return .report(.object(members), text: Self.text(answer, roundTrip: roundTrip))
        }
    }
}

extension Target {
    /// What is to be said where nobody is there.
    var absence: String {
        self.server.map { "there is no worker '\($0)' of topic '\(self.topic)'" }
            ?? "there is no worker of topic '\(self.topic)'"
    }
}
