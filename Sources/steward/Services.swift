internal import ArgumentParser
internal import Messaging
internal import MessagingRabbitMQ
internal import ServiceDatabase
internal import ServiceRuntime

/// The services of a system: who is there, who lives, who is to get work.
struct Services: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List services, take work from hosts and give it back.",
        discussion: #"""
            With --database (or STEWARD_DATABASE_CONNECTION, unless --url is given) the
            registry is read and written, and a service need not run. Otherwise the hosts
            themselves are asked over the broker; what they are told holds at once, and
            they write it to their registry.

            A disabled host is given no new work and serves what reaches it all the same.
            A frozen one refuses changes, too.

            EXAMPLES
              steward services list --database postgresql://steward@db/steward
              steward services list --topic cinder-volume
              steward services disable node-1 --topic cinder-volume --reason "new disks"
              steward services freeze node-1 --database sqlite:///var/lib/steward/services.sqlite

            EXIT CODES
              0  done
              1  the host refused
              2  wrong usage
              3  no end in time
              4  there is no such service
              5  broker or database not reachable, and all else
            """#,
        subcommands: [ServiceList.self, Enable.self, Disable.self, Freeze.self, Thaw.self, Remove.self]
    )
}

/// What the commands about services have in common.
struct ServicesOptions: ParsableArguments {
    @OptionGroup var broker: BrokerOptions

    @Option(
        help: """
            The registry: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE. (default: \
            STEWARD_DATABASE_CONNECTION of the environment)
            """
    )
    var database: String?

    @Option(help: "The service's topic; over the broker it is needed.")
    var topic: String?

    @Option(
        help: ArgumentHelp("The limit for all of it. Fractions are taken.", valueName: "seconds")
    )
    var timeout = Seconds(10)

    /// Where the registry is; `nil` where the broker is to be asked.
    func location(environment: (String) -> String? = environmentValue) throws -> ServiceRegistryLocation? {
        let source = self.broker.url == nil ? environment("STEWARD_DATABASE_CONNECTION") : nil
        guard let url = self.database ?? source, !url.isEmpty || self.database != nil else { return nil }
        do {
            return try ServiceRegistryLocation(Secret(url: url))
        } catch {
            throw ValidationError("\(error.message).")
        }
    }

    /// Checks what ArgumentParser cannot, before anything is connected to.
    func check(host: String? = nil) throws {
        if host == "" { throw ValidationError("the host is empty.") }
        guard try self.location() == nil else { return }
        guard let topic = self.topic else {
            throw ValidationError("Missing expected argument '--topic <topic>': or give '--database <url>'.")
        }
        try self.broker.check(.topic(topic, server: host, exchange: self.broker.exchange))
    }

    func target(_ host: String? = nil) -> Target {
        .topic(self.topic ?? "", server: host, exchange: self.broker.exchange)
    }
}

extension Services {
    /// Asks a host to change its standing, within a time.
    typealias Question = @Sendable (RPCClient, Duration) async throws -> HostStanding
}

/// A command that changes what operators have decided about one host.
protocol ServiceChangeCommand: SessionCommand {
    var options: ServicesOptions { get }
    var host: String { get }

    /// What is written to the registry.
    var change: ServiceStandingChange { get }

    /// What is asked of the host.
    var question: Services.Question { get }
}

extension ServiceChangeCommand {
    var broker: BrokerOptions { self.options.broker }
    var timeLimit: Duration { self.options.timeout.duration }
    // A wrong URL is found by the validation before.
    var usesBroker: Bool { (try? self.options.location()) == nil }

    mutating func validate() throws { try self.options.check(host: self.host) }

    func prepare() throws -> Session.Work {
        guard let location = try self.options.location() else {
            let (target, question) = (self.options.target(self.host), self.question)
            return { means in
                let client = RPCClient(means.transport, target: target, logger: means.logger)
                return .standing(try await question(client, means.timeout))
            }
        }
        let (host, topic, change) = (self.host, self.options.topic, self.change)
        return { _ in
            let registry = location.registry(schema: .existing)
            let key = try await registry.key(host: host, topic: topic)
            let record = try await registry.change(key, change)
            return .report(record.json(liveness: nil), text: record.sentence)
        }
    }
}

extension ServiceRegistry {
    /// The one service of a host, or of a host and a topic.
    fileprivate func key(host: String, topic: String?) async throws(ServiceRegistryError) -> ServiceKey {
        if let topic { return ServiceKey(topic: topic, host: host) }
        let keys = try await self.services().map(\.key).filter { $0.host == host }
        guard keys.count <= 1 else {
            throw ServiceRegistryError(
                .invalid,
                "host '\(host)' has several services; say which: --topic "
                    + keys.map(\.topic).joined(separator: ", ")
            )
        }
        guard let key = keys.first else {
            throw ServiceRegistryError(.noSuchService, "no service of host '\(host)' is recorded")
        }
        return key
    }
}

extension Services {
    struct Enable: ServiceChangeCommand {
        static let configuration = CommandConfiguration(abstract: "Give a host work again.")
        @OptionGroup var options: ServicesOptions
        @Argument(help: "The host.")
        var host: String

        var change: ServiceStandingChange { .enable }
        var question: Question { { try await $0.call(ManagerRPC.enableHost, timeout: $1) } }
    }

    struct Disable: ServiceChangeCommand {
        static let configuration = CommandConfiguration(abstract: "Give a host no new work.")
        @OptionGroup var options: ServicesOptions
        @Argument(help: "The host.")
        var host: String
        @Option(help: "Why, for people.")
        var reason: String?

        var change: ServiceStandingChange { .disable(reason: self.reason) }
        var question: Question {
            let arguments = DisableHost(reason: self.reason)
            return { try await $0.call(ManagerRPC.disableHost, arguments, timeout: $1) }
        }
    }

    struct Freeze: ServiceChangeCommand {
        static let configuration = CommandConfiguration(abstract: "Have a host refuse all changes.")
        @OptionGroup var options: ServicesOptions
        @Argument(help: "The host.")
        var host: String

        var change: ServiceStandingChange { .freeze }
        var question: Question { { try await $0.call(ManagerRPC.freezeHost, timeout: $1) } }
    }

    struct Thaw: ServiceChangeCommand {
        static let configuration = CommandConfiguration(abstract: "Let a host make changes again.")
        @OptionGroup var options: ServicesOptions
        @Argument(help: "The host.")
        var host: String

        var change: ServiceStandingChange { .thaw }
        var question: Question { { try await $0.call(ManagerRPC.thawHost, timeout: $1) } }
    }

    struct Remove: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forget a host that is gone for good; one that lives is recorded again."
        )
        @OptionGroup var options: ServicesOptions
        @Argument(help: "The host.")
        var host: String

        var broker: BrokerOptions { self.options.broker }
        var timeLimit: Duration { self.options.timeout.duration }
        var usesBroker: Bool { false }

        mutating func validate() throws {
            guard try self.options.location() != nil else {
                throw ValidationError("Missing expected argument '--database <url>'.")
            }
        }

        func prepare() throws -> Session.Work {
            guard let location = try self.options.location() else { throw ValidationError("no '--database'.") }
            let (host, topic) = (self.host, self.options.topic)
            return { _ in
                let registry = location.registry(schema: .existing)
                let key = try await registry.key(host: host, topic: topic)
                guard try await registry.remove(key) else {
                    throw ServiceRegistryError(.noSuchService, "no service '\(key)' is recorded")
                }
                return .report(["removed": .string("\(key)")], text: "\(key) is forgotten")
            }
        }
    }
}
