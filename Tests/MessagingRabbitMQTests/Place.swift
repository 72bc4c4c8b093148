import AMQPClient
import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport

/// A virtual host of one test, and what meets there.
struct Place: Sendable {
    let broker: TestBroker
    let virtualHost: String

    /// Lends a place.
    static func with<Value>(_ body: (Place) async throws -> Value) async throws -> Value {
        let broker = try TestBroker()
        return try await broker.withVirtualHost { try await body(Place(broker: broker, virtualHost: $0)) }
    }

    /// Its transport URL with options of oslo's driver.
    func url(_ options: String = "") -> String {
        self.broker.url(virtualHost: self.virtualHost, scheme: "rabbit") + (options.isEmpty ? "" : "?\(options)")
    }

    /// Lends a transport.
    func withTransport<Value>(
        _ options: String = "",
        logger: Logger = Logger(label: "transport"),
        _ change: (inout RabbitMQConfiguration) -> Void = { _ in },
        _ body: (RabbitMQTransport) async throws -> Value
    ) async throws -> Value {
        var configuration = try RabbitMQConfiguration(url: self.url(options))
        change(&configuration)
        let transport = RabbitMQTransport(configuration, logger: logger)
        do {
            let value = try await body(transport)
            await transport.close()
            return value
        } catch {
            await transport.close()
            throw error
        }
    }

    /// Lends a plain AMQP channel.
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

    /// Asks the management API for a list of things in this virtual host.
    func list<Value: Decodable>(_ kind: String, as type: Value.Type) async throws -> [Value] {
        try JSONDecoder().decode(
            [Value].self,
            from: try await self.broker.request("GET", "\(kind)/\(self.virtualHost)")
        )
    }

    /// The names of its queues.
    func queues() async throws -> Set<String> {
        struct Queue: Decodable { let name: String }
        return Set(try await self.list("queues", as: Queue.self).map(\.name))
    }

    /// Has the broker close all connections; waits until its management knows that many.
    func cutConnections(_ count: Int) async throws {
        for _ in 1...200 {
            struct Connection: Decodable { let name: String }
            let path = "vhosts/\(self.virtualHost)/connections"
            let data = try await self.broker.request("GET", path)
            if try JSONDecoder().decode([Connection].self, from: data).count >= count {
                try await self.broker.closeConnections(virtualHost: self.virtualHost)
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw TestBroker.Unavailable(description: "the management shows fewer than \(count) connections")
    }
}

extension AMQPProperties {
    /// Those of oslo's messages (wire contract 2.2), with headers.
    static func json(_ headers: AMQPTable = [:]) -> AMQPProperties {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.headers = headers
        return properties
    }
}
