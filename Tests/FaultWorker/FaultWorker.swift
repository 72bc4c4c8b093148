import GRDB
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceDatabase
import ServiceHealth
import ServiceRuntime

/// A worker that tests hurt: a whole program with launcher, signals and exit code, whose effects are rows.
///
///     FaultWorker serve TOPIC HOST DATABASE sqlite|memory [OPTION=VALUE …]
///     FaultWorker bare TOPIC HOST DATABASE LIMIT
///     FaultWorker call TOPIC HOST COUNT SECONDS MILLISECONDS ROUNDS
///
/// The broker's URL is in the environment, as `STEWARD_TRANSPORT_URL`. `READY` on standard output says that it serves,
/// `CALLING` and the name of its reply queue that all its calls are on their way.
@main
enum FaultWorker {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "serve" where rest.count >= 4: await self.serve(rest)
        case "bare" where rest.count == 4: await self.serveBare(rest)
        case "call" where rest.count == 6: await self.call(rest)
        default: fatalError("FaultWorker serve TOPIC HOST DATABASE sqlite|memory [OPTION=VALUE …]")
        }
    }

    /// Says something to the test; who does not read it does not wait for it.
    static func say(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(STDOUT_FILENO, line, line.count)
    }

    private static func serve(_ arguments: [String]) async {
        var overrides = ["topic": arguments[0], "host": arguments[1]]
        for argument in arguments.dropFirst(4) {
            let parts = argument.split(separator: "=", maxSplits: 1)
            overrides[String(parts[0])] = String(parts[1])
        }
        let health = HealthMonitor()
        let end = await ServiceLauncher("fault-worker").run(overrides: overrides) { configuration, logger in
            try health.begin(configuration, logger: logger)
            return RabbitMQTransport(
                try RabbitMQConfiguration(url: configuration[.transportURL].reveal()),
                logger: logger
            )
        } services: { context in
            let store = try ServiceStore(at: .file(arguments[2]), migrations: FaultManager.migrations)
            let journal = arguments[3] == "sqlite" ? try SQLiteRequestJournal(store) : nil
            let manager = FaultManager(host: context.host, store: store, journal: journal)
            let services = [ManagerService(manager, in: context, journal: journal)]
            health.watch(services, on: context.transport)
            return services
        }
        health.end()
        exit(end.code)
    }

    /// A server as it is without a service around it: its journal dies with it.
    private static func serveBare(_ arguments: [String]) async {
        do {
            let store = try ServiceStore(at: .file(arguments[2]), migrations: FaultManager.migrations)
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: self.url))
            var configuration = RPCServer.Configuration()
            configuration.redeliveryLimit = Int(arguments[3]) ?? 0
            let server = RPCServer(
                transport,
                target: .topic(arguments[0], server: arguments[1]),
                endpoints: [FaultManager(host: arguments[1], store: store, journal: nil).endpoint],
                configuration: configuration
            )
            try await server.run { Self.say("READY") }
        } catch {
            fatalError("\(error)")
        }
    }

    private static var url: String {
        guard let url = getenv("STEWARD_TRANSPORT_URL") else { fatalError("STEWARD_TRANSPORT_URL is not set") }
        return String(cString: url)
    }

    /// A caller that has many calls in flight, and is killed.
    private static func call(_ arguments: [String]) async {
        let numbers = arguments[2...].compactMap { Int($0) }
        guard numbers.count == 4 else { fatalError("FaultWorker call TOPIC HOST COUNT SECONDS MILLISECONDS ROUNDS") }
        let (count, seconds, milliseconds, rounds) = (numbers[0], numbers[1], numbers[2], numbers[3])
        do {
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: self.url))
            let queue = try await transport.openReplyQueue(deadline: .now + .seconds(20))
            let client = RPCClient(transport, target: .topic(arguments[0], server: arguments[1]))
            await withTaskGroup(of: Void.self) { group in
                for number in 1...count {
                    group.addTask {
                        for round in 1...rounds {
                            do {
                                let answer = try await client.call(
                                    "pause",
                                    ["number": .integer(number), "milliseconds": .integer(milliseconds)],
                                    timeout: .seconds(seconds)
                                )
                                let end = answer == .integer(number) ? "ANSWERED" : "WRONG"
                                Self.say("\(end) \(number) \(round)")
                            } catch {
                                Self.say("FAILED \(number) \(round)")
                            }
                        }
                    }
                }
                while transport.replies.waitingCalls < count {
                    try? await Task.sleep(for: .milliseconds(5))  // Nobody cancels it.
                }
                Self.say("CALLING \(queue)")
            }
            await transport.close()
        } catch {
            fatalError("\(error)")
        }
    }
}
