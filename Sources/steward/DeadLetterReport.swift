internal import Messaging

extension DeadLetter {
    /// The letter for scripts.
    func json(_ showsArguments: Bool) -> JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        var members: [String: JSONValue] = [
            "id": .string(self.id), "method": text(self.method), "reason": text(self.reason?.rawValue),
            "error": text(self.error), "attempts": self.attempts.map { .integer($0) } ?? .null,
            "replays": .integer(self.replays), "queue": text(self.queue), "host": text(self.host),
            "first_failure": text(self.firstFailure), "last_failure": text(self.lastFailure),
            "is_call": .bool(self.isCall), "size": .integer(self.size),
        ]
        if showsArguments {
            members["arguments"] = self.arguments ?? .null
            members["context"] = self.context.map { .object($0) } ?? .null
        }
        return .object(members)
    }

    /// The letter for people.
    func text(_ showsArguments: Bool) -> String {
        let summary = listing([
            ("id", self.id), ("method", self.method), ("kind", self.isCall ? "call" : "cast"),
            ("reason", self.reason?.rawValue), ("error", self.error), ("attempts", self.attempts.map { "\($0)" }),
            ("replays", "\(self.replays)"), ("queue", self.queue), ("host", self.host),
            ("first failure", self.firstFailure), ("last failure", self.lastFailure), ("size", "\(self.size) bytes"),
        ])
        guard showsArguments else { return summary }
        let context = self.context.map { JSONValue.object($0) }
        return [
            summary, "arguments", self.arguments?.indented ?? "cannot be read", "context",
            context?.indented ?? "cannot be read",
        ].joined(separator: "\n")
    }
}

extension [DeadLetter] {
    /// The letters for people, one a line.
    var table: String {
        var table = TextTable([
            ("id", .left), ("method", .left), ("reason", .left), ("attempts", .right), ("host", .left),
            ("last failure", .left), ("error", .left),
        ])
        for letter in self {
            table.add([
                letter.id, letter.method, letter.reason?.rawValue, letter.attempts.map { "\($0)" }, letter.host,
                letter.lastFailure, letter.error.map { String($0.prefix(100)) },
            ])
        }
        return table.text
    }
}

/// What became of letters that were to be changed.
struct DeadLetterReport {
    let done: String
    let isDryRun: Bool
    let outcomes: [DeadLetterQueue.Outcome]
    /// Ids that were asked for and not found.
    let missing: [String]

    private var succeeded: [DeadLetter] { self.outcomes.filter { $0.error == nil }.map(\.letter) }
    private var failed: [(letter: DeadLetter, error: RPCError)] {
        self.outcomes.compactMap { outcome in outcome.error.map { (outcome.letter, $0) } }
    }

    var exitCode: Int32 {
        self.failed.isEmpty && self.missing.isEmpty ? ExitStatus.done : ExitStatus.undeliverable
    }

    var json: JSONValue {
        [
            "dry_run": .bool(self.isDryRun),
            self.done: .array(self.succeeded.map { .string($0.id) }),
            "failed": .array(self.failed.map { ["id": .string($0.letter.id), "error": .string($0.error.message)] }),
            "missing": .array(self.missing.map { .string($0) }),
        ]
    }

    var text: String {
        let verb = self.isDryRun ? "would be \(self.done)" : self.done
        var lines = self.succeeded.map { "\(verb): \($0)" }
        lines += self.failed.map { "not \(self.done): \($0.letter): \($0.error.message)" }
        lines += self.missing.map { "not found: \($0)" }
        lines.append("\(self.succeeded.count) \(verb)")
        return lines.map(\.printable).joined(separator: "\n")
    }
}
