import AMQPClient
import FaultHarness
import Foundation
import GRDB
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport

/// A virtual host of one test, and a worker's database beside it.
struct Stage: Sendable {
    let broker: TestBroker
    let virtualHost: String
    let directory: String
    let topic = "work"
    let host = "host"

    var target: Target { .topic(self.topic, server: self.host) }
    var queue: Destination { .server(self.host, topic: self.topic, exchange: nil) }
    var database: String { self.directory + "/worker.sqlite" }

    static func with<Value>(_ body: (Stage) async throws -> Value) async throws -> Value {
        let broker = try TestBroker()
        let directory = FileManager.default.temporaryDirectory.appending(path: "steward-fault-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }  // Left behind, it disturbs nobody.
        return try await broker.withVirtualHost { name in
            try await body(Stage(broker: broker, virtualHost: name, directory: directory.path))
        }
    }

    /// The broker, with options of oslo's driver.
    func url(_ options: String = "") -> String {
        self.broker.url(virtualHost: self.virtualHost, scheme: "rabbit") + (options.isEmpty ? "" : "?\(options)")
    }

    func withTransport<Value>(
        _ options: String = "",
        url: String? = nil,
        _ body: (RabbitMQTransport) async throws -> Value
    ) async throws -> Value {
        var logger = Logger(label: "fault")
        logger.logLevel = .error
        let url = url ?? self.url(options)
        let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url), logger: logger)
        do {
            let value = try await body(transport)
            await transport.close()
            return value
        } catch {
            await transport.close()
            throw error
        }
    }

    /// A plain AMQP channel, for what no client of ours would send.
    func withChannel<Value>(_ body: (AMQPChannel) async throws -> Value) async throws -> Value {
        let url = self.broker.url(virtualHost: self.virtualHost)
        let connection = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "channel"))
        do {
            try await connection.open()
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let value = try await body(channel)
            await connection.close()
            return value
        } catch {
            await connection.close()
            throw error
        }
    }

    // MARK: Workers

    /// What a worker of this stage is started with.
    func arguments(journal: String = "sqlite", _ options: String...) -> [String] {
        ["serve", self.topic, self.host, self.database, journal] + options
    }

    /// Lends a worker that serves, and kills it afterwards if it still runs.
    func withWorker<Value>(
        _ arguments: [String]? = nil,
        options: String = "",
        url: String? = nil,
        _ body: (WorkerProcess) async throws -> Value
    ) async throws -> Value {
        let url = url ?? self.url(options)
        return try await WorkerProcess.with("FaultWorker", arguments ?? self.arguments(), url: url) { worker in
            try await worker.line("READY")
            return try await body(worker)
        }
    }

    // MARK: What happened

    /// How often each number stands in a table of the workers.
    func counts(of table: String, in database: String? = nil) throws -> [Int: Int] {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        return try DatabaseQueue(path: database ?? self.database, configuration: configuration).read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT number, count(*) AS count FROM \(table) GROUP BY number")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["number"], $0["count"]) })
        }
    }

    /// Tells the checker what the workers have written down.
    func report(
        to checker: Checker,
        from database: String? = nil,
        _ id: (Int) -> String = { "\($0)" }
    ) throws {
        for (number, count) in try self.counts(of: "started", in: database) {
            for _ in 0..<count { checker.executed(id(number)) }
        }
        for (number, count) in try self.counts(of: "effect", in: database) {
            for _ in 0..<count { checker.effect(id(number)) }
        }
    }

    /// How much waits in a queue.
    func depth(_ destination: Destination, _ transport: RabbitMQTransport) async throws -> Int {
        try await transport.status(of: destination, deadline: .now + .seconds(10))?.messages ?? 0
    }

    /// How long it takes from now on until something is so.
    @discardableResult
    func until(
        _ what: String,
        within limit: Duration = .seconds(30),
        _ condition: () async throws -> Bool
    ) async throws -> Duration {
        let start = ContinuousClock.now
        while try await !condition() {
            guard .now - start < limit else {
                throw WorkerProcess.Missing(description: "not within \(limit): \(what)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        return .now - start
    }
}

extension AMQPProperties {
    /// Those of oslo's messages (wire contract 2.2).
    static func json(expiration: Duration? = nil) -> AMQPProperties {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.expiration = expiration
        return properties
    }
}
