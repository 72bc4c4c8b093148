import GRDB
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceDatabase

/// A worker that tests kill: its effects are rows, so that each can be counted.
///
///     DeliveryWorker TOPIC HOST DATABASE CONTRACT
///
/// The broker's URL is in the environment, as `STEWARD_URL`; `READY` on standard output says that it serves.
@main
enum DeliveryWorker {
    /// No key is unique: what happens twice shall be seen, and not prevented by the table.
    static let migrations = [
        SchemaMigration("effects") { database in
            try database.execute(sql: "CREATE TABLE effect (number INTEGER NOT NULL, attempt INTEGER NOT NULL)")
            try database.execute(sql: "CREATE TABLE started (number INTEGER NOT NULL)")
        }
    ]

    struct Number: Codable, Sendable { var number: Int }
    /// What every tenth request meets at its first attempt.
    struct Unlucky: Error {}

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let url = getenv("STEWARD_URL").map({ String(cString: $0) }) else {
            fatalError("DeliveryWorker TOPIC HOST DATABASE CONTRACT, with STEWARD_URL")
        }
        let store = try ServiceStore(at: .file(arguments[3]), migrations: Self.migrations)
        let logger = Logger(label: "worker") { StreamLogHandler.standardError(label: $0) }
        let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url), logger: logger)
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 4
        configuration.prefetch = 16
        let endpoint: RPCEndpoint
        switch arguments[4] {
        case "at-least-once":
            let journal = try SQLiteRequestJournal(store)
            configuration.journal = journal
            endpoint = Self.atLeastOnce(store, journal)
        case "at-least-once-forgetful":
            // What the journal is for: without one that lasts, effects are repeated.
            endpoint = Self.atLeastOnce(store, nil)
        default:
            endpoint = Self.atMostOnce(store)
        }
        let server = RPCServer(
            MarkingTransport(base: transport, store: store),
            target: .topic(arguments[1], server: arguments[2]),
            endpoints: [endpoint],
            configuration: configuration,
            logger: logger
        )
        try await server.run {
            let line = Array("READY\n".utf8)
            _ = write(STDOUT_FILENO, line, line.count)  // Who does not read it does not wait for it.
        }
    }

    private static func atLeastOnce(_ store: ServiceStore, _ journal: SQLiteRequestJournal?) -> RPCEndpoint {
        let act = RPCMethod<Number, Void>(
            "act",
            since: "1.0",
            delivery: .atLeastOnce(attempts: 1000, backoff: .constant(.milliseconds(250)))
        )
        return RPCEndpoint {
            act.handled { context, arguments in
                let request = context.request
                if arguments.number.isMultiple(of: 10), request?.attempt == 1 { throw Unlucky() }
                try await store.write { database in
                    try database.execute(
                        sql: "INSERT INTO effect VALUES (?, ?)",
                        arguments: [arguments.number, request?.attempt ?? 0]
                    )
                    try journal?.complete(request, in: database)
                }
                // The effect is there, and the broker does not know yet: most kills come here.
                try await Task.sleep(for: .milliseconds(Int.random(in: 5...25)))
            }
        }
    }

    private static func atMostOnce(_ store: ServiceStore) -> RPCEndpoint {
        let act = RPCMethod<Number, Void>("act", since: "1.0", delivery: .atMostOnce)
        return RPCEndpoint {
            act.handled { _, arguments in
                try await Task.sleep(for: .milliseconds(Int.random(in: 5...25)))
                try await store.write { database in
                    try database.execute(sql: "INSERT INTO effect VALUES (?, 1)", arguments: [arguments.number])
                }
            }
        }
    }
}

/// Writes down which requests are about to be acknowledged, before they are: with at most once that is their start, and
/// there is no later moment at which a killed worker could still have said so.
private struct MarkingTransport: Transport {
    let base: RabbitMQTransport
    let store: ServiceStore

    var replies: ReplyRouter { self.base.replies }
    var users: Set<String> { self.base.users }

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        try await self.base.openReplyQueue(deadline: deadline)
    }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        try await self.base.send(message, to: destination, options: options)
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        let listener = try await self.base.listen(on: source, prefetch: prefetch, onDeliveries: onDeliveries)
        return MarkingListener(base: listener, store: self.store)
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        try await self.base.status(of: destination, deadline: deadline)
    }

    func close() async { await self.base.close() }
}

private struct MarkingListener: Listener {
    let base: any Listener
    let store: ServiceStore

    func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
        let numbers = deliveries.compactMap { delivery -> Int? in
            guard let request = try? RequestPayload(delivery) else { return nil }  // Not one of ours.
            return (try? request.args.value())?["number"]?.intValue
        }
        do {
            try await self.store.write { database in
                for number in numbers {
                    try database.execute(sql: "INSERT INTO started VALUES (?)", arguments: [number])
                }
            }
        } catch {
            return []  // What cannot be marked is not started.
        }
        return await self.base.acknowledge(deliveries)
    }

    func reject(_ deliveries: [Delivery], requeue: Bool) async {
        await self.base.reject(deliveries, requeue: requeue)
    }

    func stopConsuming() async { await self.base.stopConsuming() }
    func close() async { await self.base.close() }
}
