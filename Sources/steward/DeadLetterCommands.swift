internal import ArgumentParser
internal import Messaging

/// The requests that were given up: to look at, to send back, to throw away.
struct DeadLetters: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Look at the requests to a topic that were given up, send them back, or drop them.",
        discussion: #"""
            A request whose method is to be run at least once goes among its topic's dead
            letters when its last attempt has failed.

            Arguments and context may hold what is not for everybody's eyes and are shown
            only with --show-arguments; an authentication token is not shown at all.

            EXAMPLES
              steward dead-letters list --topic cinder-volume
              steward dead-letters show --topic cinder-volume --id 5c1f... --show-arguments
              steward dead-letters replay --topic cinder-volume --method create_volume \
                  --dry-run
              steward dead-letters drop --topic cinder-volume --older-than 604800

            EXIT CODES
              0  done, be it that there was nothing to do
              2  wrong usage
              3  no end in time
              4  there is no letter of that id, or some could not be sent back
              5  broker not reachable, and all else
            """#,
        subcommands: [List.self, Show.self, Replay.self, Drop.self]
    )
}

extension DeadLetters {
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the letters, the oldest first; they stay where they are.",
            discussion: #"""
                EXAMPLES
                  steward dead-letters list --topic cinder-volume
                  steward dead-letters list --topic cinder-volume --method create_volume \
                      --output json
                """#
        )
        @OptionGroup var options: DeadLetterOptions
        @OptionGroup var choice: DeadLetterChoice

        @Flag(help: "Show arguments and context, in the output as JSON.")
        var showArguments = false

        var broker: BrokerOptions { self.options.broker }
        var timeLimit: Duration { self.options.timeout.duration }

        mutating func validate() throws { try self.options.check() }

        func prepare() throws -> Session.Work {
            let (options, filter, showArguments) = (self.options, self.choice.filter, self.showArguments)
            return { means in
                let letters = try await options.queue(means).list(filter)
                return .report(
                    ["topic": .string(options.topic), "dead_letters": .array(letters.map { $0.json(showArguments) })],
                    text: letters.isEmpty ? "no dead letters" : letters.table
                )
            }
        }
    }

    struct Show: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one letter; it stays where it is.",
            discussion: #"""
                EXAMPLES
                  steward dead-letters show --topic cinder-volume --id 5c1f...
                  steward dead-letters show --topic cinder-volume --id 5c1f... --show-arguments
                """#
        )
        @OptionGroup var options: DeadLetterOptions

        @Option(help: "The letter's id, as the list has it.")
        var id: String

        @Flag(help: "Show arguments and context.")
        var showArguments = false

        var broker: BrokerOptions { self.options.broker }
        var timeLimit: Duration { self.options.timeout.duration }

        mutating func validate() throws { try self.options.check() }

        func prepare() throws -> Session.Work {
            let (options, id, showArguments) = (self.options, self.id, self.showArguments)
            return { means in
                guard let letter = try await options.queue(means).letter(id) else { return .noLetter(id, options) }
                return .report(letter.json(showArguments), text: letter.text(showArguments))
            }
        }
    }

    struct Replay: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send letters back into the queues that they came from.",
            discussion: #"""
                They are tried as often as new requests; a letter is taken out when the broker
                has confirmed that the request is in its queue. What was completed meanwhile
                is not run again, as far as its server remembers.

                EXAMPLES
                  steward dead-letters replay --topic cinder-volume --id 5c1f...
                  steward dead-letters replay --topic cinder-volume --all --dry-run
                """#
        )
        @OptionGroup var change: DeadLetterChange

        var broker: BrokerOptions { self.change.options.broker }
        var timeLimit: Duration { self.change.options.timeout.duration }

        mutating func validate() throws { try self.change.check() }

        func prepare() throws -> Session.Work {
            self.change.work("replayed") { queue, filter, isDryRun in
                try await queue.replay(filter, isDryRun: isDryRun)
            }
        }
    }

    struct Drop: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Throw letters away.",
            discussion: #"""
                EXAMPLES
                  steward dead-letters drop --topic cinder-volume --id 5c1f...
                  steward dead-letters drop --topic cinder-volume --older-than 604800 --dry-run
                """#
        )
        @OptionGroup var change: DeadLetterChange

        var broker: BrokerOptions { self.change.options.broker }
        var timeLimit: Duration { self.change.options.timeout.duration }

        mutating func validate() throws { try self.change.check() }

        func prepare() throws -> Session.Work {
            self.change.work("dropped") { queue, filter, isDryRun in
                try await queue.drop(filter, isDryRun: isDryRun)
            }
        }
    }
}

extension DeadLetterChange {
    /// Changes the letters and tells of each what became of it.
    func work(
        _ done: String,
        _ body: @escaping @Sendable (DeadLetterQueue, DeadLetterFilter, Bool) async throws -> [DeadLetterQueue.Outcome]
    ) -> Session.Work {
        let (options, filter, isDryRun) = (self.options, self.choice.filter, self.dryRun)
        return { means in
            let outcomes = try await body(options.queue(means), filter, isDryRun)
            let missing = (filter.ids ?? []).subtracting(outcomes.map(\.letter.id)).sorted()
            if outcomes.isEmpty, let id = missing.first { return .noLetter(id, options) }
            let report = DeadLetterReport(done: done, isDryRun: isDryRun, outcomes: outcomes, missing: missing)
            return .report(report.json, text: report.text, exitCode: report.exitCode)
        }
    }
}

extension Outcome {
    fileprivate static func noLetter(_ id: String, _ options: DeadLetterOptions) -> Outcome {
        .failed(
            Failure(
                kind: .undeliverable,
                message: "there is no dead letter '\(id)' of topic '\(options.topic)' among the first \(options.limit)"
            )
        )
    }
}
