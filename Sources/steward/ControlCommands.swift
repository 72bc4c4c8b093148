internal import ArgumentParser
internal import Messaging

struct Ping: ControlCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a worker whether it is there, and how busy it is.",
        discussion: #"""
            The answer comes over a connection and a thread of the worker's own for this
            purpose: also while all its handlers are busy. A worker that is not there is
            told at once (exit code 4).

            EXAMPLES
              steward ping --topic cinder-volume --server node-1
              steward ping --topic cinder-volume --server node-1 --timeout 2 --output json
            """#
    )
    static let question = ControlRPC.ping

    @OptionGroup var options: ControlOptions

    static func text(_ answer: ControlRPC.Presence, roundTrip: Duration) -> String {
        """
        \(answer.host.printable) of \(answer.topic.printable) is \(answer.state.rawValue.printable), up \
        \(answer.uptime.asDuration): \(answer.running) of \(answer.concurrency) handlers busy, \(answer.waiting) \
        requests waiting; answered in \((roundTrip / .seconds(1)).asDuration)
        """
    }
}

struct Info: ControlCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a worker what it serves: versions, methods, limits.",
        discussion: #"""
            EXAMPLES
              steward info --topic cinder-volume --server node-1
              steward info --topic cinder-volume --output json
            """#
    )
    static let question = ControlRPC.info

    @OptionGroup var options: ControlOptions

    static func text(_ answer: ControlRPC.Info, roundTrip: Duration) -> String {
        let limits = answer.limits
        let facts = listing([
            ("host", answer.host),
            ("managed host", answer.managedHost),
            ("topic", answer.topic),
            ("exchange", answer.exchange),
            ("state", answer.state.rawValue),
            ("uptime", answer.uptime.asDuration),
            ("incarnation", answer.incarnation),
            ("process", "\(answer.processID)"),
            ("service version", answer.serviceVersion),
            ("library version", answer.libraryVersion),
            ("concurrency", "\(limits.concurrency) handlers"),
            ("prefetch", "\(limits.prefetch) messages of each queue"),
            ("grace period", limits.gracePeriod.asDuration),
            ("duplicates window", "\(limits.duplicatesWindow) messages"),
            ("largest request", "\(limits.bodySize) bytes, \(limits.arguments) arguments, \(limits.nesting) levels"),
        ])
        var table = TextTable([
            ("namespace", .left), ("version", .left), ("method", .left), ("since", .left), ("delivery", .left),
            ("time limit", .right), ("access", .left),
        ])
        for endpoint in answer.endpoints {
            for method in endpoint.methods {
                table.add([
                    endpoint.namespace, endpoint.version.description, method.name, method.since.description,
                    method.delivery.split(separator: "_").joined(separator: " "), method.timeLimit?.asDuration,
                    method.access,
                ])
            }
        }
        return facts + "\n\n" + table.text
    }
}

struct Stats: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Ask a worker what it has done so far, method by method.",
        discussion: #"""
            Calls (casts included), those in flight, errors, and times: how long handlers
            ran, and how long requests waited in the worker for a free one. Errors that
            are part of a method's ordinary business, such as "not found", stand beside
            those that are not.

            EXAMPLES
              steward stats --topic cinder-volume --server node-1
              steward stats --topic cinder-volume --server node-1 --output json
            """#
    )
    static let question = ControlRPC.stats

    @OptionGroup var options: ControlOptions

    static func text(_ answer: ControlRPC.Statistics, roundTrip: Duration) -> String {
        var text = """
            \(answer.host.printable) of \(answer.topic.printable), up \(answer.uptime.asDuration): \
            \(answer.running) of \(answer.concurrency) handlers busy, \(answer.waiting) requests waiting


            """
        var table = TextTable(
            [("method", .left)]
                + [
                    "calls", "in flight", "expected errors", "errors", "cancelled", "refused", "expired", "repeated",
                    "p50", "p90", "p99", "max", "wait p99",
                ].map { ($0, .right) }
        )
        for method in answer.methods {
            table.add(
                [method.namespace.map { "\($0).\(method.name)" } ?? method.name]
                    + [
                        method.calls, method.inFlight, method.errors.expected, method.errors.unexpected,
                        method.cancelled, method.refusals.values.reduce(0, +), method.expired, method.duplicates,
                    ].map { "\($0)" }
                    + [
                        method.runTime?.p50, method.runTime?.p90, method.runTime?.p99, method.runTime?.max,
                        method.queueWait?.p99,
                    ].map { $0?.asDuration }
            )
        }
        text += table.text
        let others = answer.refusals.sorted { $0.key < $1.key }.map { "\($0.key.printable) \($0.value)" }
        if !others.isEmpty { text += "\n\nrefused otherwise: " + others.joined(separator: ", ") }
        return text
    }
}
