internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ

struct Hosts: SessionCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find all workers of a topic.",
        discussion: #"""
            Asks all of them at once and lists those that answer within a time: their
            versions, how long they have run, how many of their handlers are busy, and
            how many requests wait in them. Two processes that serve under one name are
            two lines with an incarnation each. That nobody answers is exit code 4.

            EXAMPLES
              steward hosts --topic cinder-volume
              steward hosts --topic cinder-volume --within 3 --output json
            """#
    )

    @OptionGroup var broker: BrokerOptions

    @Option(help: "The service's topic.")
    var topic: String

    @Option(help: ArgumentHelp("How long answers are waited for. Fractions are taken.", valueName: "seconds"))
    var within = Seconds(1)

    /// Connecting comes before the waiting, and has its own limit.
    var timeLimit: Duration { self.within.duration + .seconds(10) }

    private var target: Target { .topic(self.topic, exchange: self.broker.exchange) }

    /// Checks what ArgumentParser cannot, before anything is connected to.
    mutating func validate() throws {
        try self.broker.check(asking: self.target)
    }

    func prepare() throws -> Session.Work {
        let (target, limit) = (self.target, self.within)
        return { means in
            try await means.transport.open(timeout: means.timeout - limit.duration)
            let answers = try await RPCClient(means.transport, target: target.control, logger: means.logger)
                .gather(ControlRPC.ping, within: limit.duration)
            // An answer that is not one of a Steward worker is none of a worker that can be listed.
            let hosts = Self.distinct(answers.compactMap { try? $0.result.get() })
            guard !hosts.isEmpty else {
                throw RPCError(.noSuchServer, "\(target.absence) that answers within \(limit) s")
            }
            let list: JSONValue
            do {
                list = try RawJSON(encoding: hosts).value()
            } catch {
                throw RPCError(.invalidReply, "the answers cannot be written: \(error)", cause: error)
            }
            return .report(list, text: Self.text(hosts))
        }
    }

    /// The hosts in order; one that has answered twice, because its answer was delivered twice, is one.
    static func distinct(_ hosts: [ControlRPC.Presence]) -> [ControlRPC.Presence] {
        var seen: Set<[String]> = []
        return hosts.filter { seen.insert([$0.host, $0.incarnation]).inserted }
            .sorted { ($0.host, $0.incarnation) < ($1.host, $1.incarnation) }
    }

    static func text(_ hosts: [ControlRPC.Presence]) -> String {
        var table = TextTable([
            ("host", .left), ("state", .left), ("versions", .left), ("service", .left), ("uptime", .right),
            ("busy", .right), ("waiting", .right), ("incarnation", .left),
        ])
        for host in hosts {
            table.add([
                host.host, host.state.rawValue, host.versions.map(\.description).joined(separator: ","),
                host.serviceVersion,
                host.uptime.asDuration, "\(host.running)/\(host.concurrency)", "\(host.waiting)", host.incarnation,
            ])
        }
        return table.text
    }
}
