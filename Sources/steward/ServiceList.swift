internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ
internal import ServiceDatabase
internal import ServiceRuntime

extension Services {
    struct ServiceList: SessionCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the services.",
            discussion: #"""
                From the registry: all that are recorded. A service is up if its last report
                is no older than --down-time, both by the database's clock; with --watch, if
                reports were seen to come meanwhile, whatever any clock says.

                Over the broker: the hosts of a topic that answer within --within.

                EXAMPLES
                  steward services list --database sqlite:///var/lib/steward/services.sqlite
                  steward services list --database postgresql://steward@db/steward --watch 65
                  steward services list --topic cinder-volume --output json
                """#
        )
        @OptionGroup var options: ServicesOptions

        @Option(help: ArgumentHelp("After how long without a report a service is down.", valueName: "seconds"))
        var downTime = Seconds(150)

        @Option(help: ArgumentHelp("Look on for so long, and judge by what is seen.", valueName: "seconds"))
        var watch: Seconds?

        @Option(help: ArgumentHelp("How long answers over the broker are waited for.", valueName: "seconds"))
        var within = Seconds(1)

        var broker: BrokerOptions { self.options.broker }
        var timeLimit: Duration { self.options.timeout.duration + (self.watch?.duration ?? .zero) }
        // A wrong URL is found by the validation before.
        var usesBroker: Bool { (try? self.options.location()) == nil }

        mutating func validate() throws { try self.options.check() }

        func prepare() throws -> Session.Work {
            guard let location = try self.options.location() else { return self.overBroker() }
            let (topic, downTime, watch) = (self.options.topic, self.downTime.duration, self.watch?.duration)
            return { _ in
                let registry = location.registry(schema: .existing)
                let listed =
                    if let watch {
                        try await Self.watch(registry, for: watch, downTime: downTime)
                    } else {
                        try await registry.services().map { ($0, $0.age <= downTime ? ServiceLiveness.up : .down) }
                    }
                let chosen = listed.filter { topic == nil || $0.0.key.topic == topic }
                return .report(
                    .array(chosen.map { $0.0.json(liveness: $0.1) }),
                    text: chosen.isEmpty ? "no services" : Self.text(chosen)
                )
            }
        }

        /// Judges by the counts that change while this looks on.
        private static func watch(
            _ registry: any ServiceRegistry,
            for duration: Duration,
            downTime: Duration
        ) async throws -> [(ServiceRecord, ServiceLiveness)] {
            let step = min(.seconds(1), duration / 4)
            var table = ServiceLivenessTable(downTime: min(downTime, duration), lookingEvery: step)
            let start = ContinuousClock.now
            while true {
                let records = try await registry.services()
                let elapsed = ContinuousClock.now - start
                table.look(at: records, now: elapsed)
                guard elapsed <= duration else { return records.map { ($0, table.liveness(of: $0.key)) } }
                try await Task.sleep(for: step)
            }
        }

        private static func text(_ services: [(ServiceRecord, ServiceLiveness)]) -> String {
            var table = TextTable([
                ("host", .left), ("topic", .left), ("binary", .left), ("zone", .left), ("status", .left),
                ("state", .left), ("updated", .right), ("reports", .right), ("versions", .left), ("reason", .left),
            ])
            for (record, liveness) in services {
                let registration = record.registration
                table.add([
                    record.key.host, record.key.topic, registration.binary, registration.availabilityZone,
                    record.standing.text, liveness.description, (record.age / .seconds(1)).asDuration,
                    "\(record.reportCount)", registration.versions.joined(separator: ","),
                    record.standing.disabledReason,
                ])
            }
            return table.text
        }

        private func overBroker() -> Session.Work {
            let (target, limit) = (self.options.target(), self.within)
            return { means in
                try await means.transport.open(timeout: max(.seconds(1), means.timeout - limit.duration))
                let answers = try await RPCClient(means.transport, target: target, logger: means.logger)
                    .gather(ManagerRPC.hostStanding, within: limit.duration)
                // Others on the topic, which do not know the question, are no services that could be disabled.
                let hosts = answers.compactMap { try? $0.result.get() }.sorted { $0.host < $1.host }
                guard !hosts.isEmpty else {
                    throw RPCError(.noSuchServer, "\(target.absence) that answers within \(limit) s")
                }
                var table = TextTable([
                    ("host", .left), ("topic", .left), ("status", .left), ("recorded", .left), ("reason", .left),
                ])
                for host in hosts {
                    table.add([
                        host.host, host.topic, host.standing.text, host.isRecorded ? "yes" : "no", host.disabledReason,
                    ])
                }
                return .report(.array(hosts.map(\.json)), text: table.text)
            }
        }
    }
}

extension ServiceStanding {
    /// The standing in a word or two.
    var text: String {
        (self.isDisabled ? "disabled" : "enabled") + (self.isFrozen ? ", frozen" : "")
    }
}

extension HostStanding {
    var standing: ServiceStanding {
        ServiceStanding(isDisabled: self.isDisabled, disabledReason: self.disabledReason, isFrozen: self.isFrozen)
    }

    var json: JSONValue {
        [
            "host": .string(self.host), "topic": .string(self.topic), "disabled": .bool(self.isDisabled),
            "disabled_reason": self.disabledReason.map { .string($0) } ?? .null, "frozen": .bool(self.isFrozen),
            "recorded": .bool(self.isRecorded),
        ]
    }
}

extension ServiceRecord {
    func json(liveness: ServiceLiveness?) -> JSONValue {
        var members: [String: JSONValue] = [
            "host": .string(self.key.host), "topic": .string(self.key.topic),
            "binary": .string(self.registration.binary),
            "availability_zone": .string(self.registration.availabilityZone),
            "versions": .array(self.registration.versions.map { .string($0) }),
            "incarnation": .string(self.registration.incarnation),
            "disabled": .bool(self.standing.isDisabled),
            "disabled_reason": self.standing.disabledReason.map { .string($0) } ?? .null,
            "frozen": .bool(self.standing.isFrozen), "report_count": .integer(Int(self.reportCount)),
            "updated_at": .string(self.updatedAt), "age": .double(self.age / .seconds(1)),
        ]
        if let liveness { members["state"] = .string(liveness.description) }
        return .object(members)
    }

    /// What is said after a change.
    var sentence: String { "\(self.key.host) of \(self.key.topic) is \(self.standing.text)" }
}

extension Outcome {
    /// What a host has answered to a change.
    static func standing(_ standing: HostStanding) -> Outcome {
        let note = standing.isRecorded ? "" : " until it is restarted, as it could not be recorded"
        return .report(
            standing.json,
            text: "\(standing.host) of \(standing.topic) is \(standing.standing.text)\(note)"
        )
    }
}
