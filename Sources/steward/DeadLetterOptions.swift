internal import ArgumentParser
internal import Messaging

/// What all commands on dead letters have in common.
struct DeadLetterOptions: ParsableArguments {
    @OptionGroup var broker: BrokerOptions

    @Option(help: "The topic whose requests were given up.")
    var topic: String

    @Option(
        help: ArgumentHelp(
            "The limit for all of it: connecting (10 s at most), looking, sending. Fractions are taken.",
            valueName: "seconds"
        )
    )
    var timeout = Seconds(60)

    @Option(help: "How many letters are looked at, the oldest first; 65535 at most.")
    var limit = 10_000

    func check() throws {
        guard (1...65_535).contains(self.limit) else { throw ValidationError("'--limit' is from 1 to 65535.") }
        try self.broker.check(.topic(self.topic))
    }

    func queue(_ means: Session.Means) -> DeadLetterQueue {
        DeadLetterQueue(means.transport, topic: self.topic, maximum: self.limit, logger: means.logger)
    }
}

/// Which letters are meant.
struct DeadLetterChoice: ParsableArguments {
    @Option(help: "Only the letter of this id; may be repeated.")
    var id: [String] = []

    @Option(help: "Only requests for this method.")
    var method: String?

    @Option(help: ArgumentHelp("Only what was given up longer ago than this.", valueName: "seconds"))
    var olderThan: Seconds?

    var filter: DeadLetterFilter {
        DeadLetterFilter(
            ids: self.id.isEmpty ? nil : Set(self.id),
            method: self.method,
            minimumAge: self.olderThan?.duration
        )
    }

    var isEmpty: Bool { self.id.isEmpty && self.method == nil && self.olderThan == nil }
}

/// A change of dead letters: what is changed has to be said.
struct DeadLetterChange: ParsableArguments {
    @OptionGroup var options: DeadLetterOptions
    @OptionGroup var choice: DeadLetterChoice

    @Flag(help: "All letters of the topic.")
    var all = false

    @Flag(help: "Only say what would be done.")
    var dryRun = false

    func check() throws {
        try self.options.check()
        guard self.all || !self.choice.isEmpty else {
            throw ValidationError("Say which letters are meant: '--id', '--method', '--older-than', or '--all'.")
        }
        guard !self.all || self.choice.isEmpty else {
            throw ValidationError("'--all' means every letter; leave it out where others choose among them.")
        }
    }
}
