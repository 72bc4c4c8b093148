import AMQPClient
import Foundation
import Logging
package import Messaging
package import MessagingRabbitMQ
import Synchronization

/// A server and its callers, on transports of their own, whose messages are counted while something is broken.
package final class FaultService: Sendable {
    /// What is sent: the id by which the checker knows it.
    package struct Item: Codable, Sendable, Equatable {
        package var id: String

        package init(_ id: String) {
            self.id = id
        }
    }

    /// Answers what it gets.
    package static let echo = RPCMethod<Item, Item>("echo", since: "1.0")
    /// Is done once or not at all.
    package static let once = RPCMethod<Item, Void>("once", since: "1.0", delivery: .atMostOnce)
    /// Is done, once confirmed.
    package static let surely = RPCMethod<Item, Void>(
        "surely",
        since: "1.0",
        delivery: .atLeastOnce(attempts: 100, backoff: .constant(.milliseconds(100)))
    )

    package let checker: Checker
    package let server: RPCServer
    package let serverTransport: RabbitMQTransport
    package let clientTransport: RabbitMQTransport
    /// Addresses the server by topic and host.
    package let client: RPCClient
    /// Addresses whichever host of the topic is there.
    package let anyHost: RPCClient
    private let numbers = Mutex(0)
    private struct Traffic {
        var isPaused = false
        /// How many tasks are sending just now.
        var sending = 0
    }

    private let traffic = Mutex(Traffic())
    private let prefix: String

    private init(
        _ checker: Checker,
        _ server: RPCServer,
        _ serverTransport: RabbitMQTransport,
        _ clientTransport: RabbitMQTransport,
        _ client: RPCClient
    ) {
        self.checker = checker
        self.server = server
        self.serverTransport = serverTransport
        self.clientTransport = clientTransport
        self.client = client
        self.anyHost = RPCClient(clientTransport, target: .topic(client.target.topic))
        self.prefix = client.target.server ?? ""
    }

    /// The settings of the tests: durable queues, short heartbeats.
    package static func configuration(_ url: String) throws -> RabbitMQConfiguration {
        var configuration = try RabbitMQConfiguration(url: url)
        configuration.queueProfile = .durable
        configuration.connection.heartbeat = .seconds(2)
        return configuration
    }

    /// Lends a server that is ready, and a client that reaches the broker by a URL of its own, if there is one.
    ///
    /// Host and topic are the server's; without `waitsForServer` it may still be starting. Both transports have the settings of
    /// ``configuration(_:)`` as changed by `configure`.
    package static func with<Value: Sendable>(
        _ url: String,
        clientURL: String? = nil,
        host: String = "host",
        topic: String = "fault-\(UInt32.random(in: 0...UInt32.max))",
        waitsForServer: Bool = true,
        checker: Checker = Checker(),
        configure: (inout RabbitMQConfiguration) -> Void = { _ in },
        _ body: (FaultService) async throws -> Value
    ) async throws -> Value {
        var logger = Logger(label: "fault")
        logger.logLevel = .error
        var settings = try self.configuration(url)
        configure(&settings)
        var clientSettings = try self.configuration(clientURL ?? url)
        configure(&clientSettings)
        let serverTransport = RabbitMQTransport(settings, logger: logger)
        let clientTransport = RabbitMQTransport(clientSettings, logger: logger)
        let endpoint = RPCEndpoint {
            self.echo.handled { _, item in
                checker.executed(item.id, at: host)
                return item
            }
            self.once.handled { _, item in
                checker.executed(item.id, at: host)
                checker.effect(item.id, at: host)
            }
            self.surely.handled { _, item in
                checker.executed(item.id, at: host)
                checker.effect(item.id, at: host)
            }
        }
        let target = Target.topic(topic, server: host)
        let server = RPCServer(serverTransport, target: target, endpoints: [endpoint], logger: logger)
        let service = FaultService(
            checker,
            server,
            serverTransport,
            clientTransport,
            RPCClient(clientTransport, target: target, logger: logger)
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let outcome: Result<Value, any Error>
            do {
                if waitsForServer { try await service.untilReady(within: .seconds(30)) }
                outcome = .success(try await body(service))
            } catch {
                outcome = .failure(error)
            }
            server.stop()
            await clientTransport.close()
            await serverTransport.close()
            do {
                try await group.waitForAll()
            } catch {
                // Of two errors the body's is the cause.
                _ = try outcome.get()
                throw error
            }
            return try outcome.get()
        }
    }

    // MARK: Messages

    private func newID() -> String {
        let number = self.numbers.withLock {
            $0 += 1
            return $0
        }
        return "\(self.prefix)-\(number)"
    }

    /// Calls once, and notes how it ended; the error where there was one.
    ///
    /// - Parameters:
    ///   - timeout: When it has to be at its end.
    ///   - client: Who calls; ``client`` if nobody is named.
    /// - Returns: The error.
    @discardableResult
    package func call(timeout: Duration = .seconds(5), by client: RPCClient? = nil) async -> (any Error)? {
        let client = client ?? self.client
        let item = Item(self.newID())
        self.checker.offered(item.id, .call, to: client.address, deadline: .now + timeout)
        do {
            let answer = try await client.prepare { $0.timeout = timeout }.call(Self.echo, item)
            self.checker.ended(item.id, answer == item ? .reply : .illegal("the answer to another call: \(answer.id)"))
            return nil
        } catch {
            self.checker.ended(item.id, Checker.End(error))
            return error
        }
    }

    /// Casts once, and notes whether it was confirmed; the error where there was one.
    ///
    /// - Parameters:
    ///   - method: What is to be done.
    ///   - timeout: Until when it is tried.
    ///   - client: Who casts; ``client`` if nobody is named.
    /// - Returns: The error.
    @discardableResult
    package func cast(
        _ method: RPCMethod<Item, Void> = FaultService.surely,
        timeout: Duration = .seconds(10),
        by client: RPCClient? = nil
    ) async -> (any Error)? {
        let client = client ?? self.client
        let item = Item(self.newID())
        let promise: Checker.Promise = method.delivery.isAtLeastOnce ? .atLeastOnce : .atMostOnce
        self.checker.offered(item.id, promise, to: client.address)
        do {
            try await client.prepare { $0.timeout = timeout }.cast(method, item)
            self.checker.confirmed(item.id)
            return nil
        } catch {
            if error.rpcCode == .connectionLost || error is CancellationError { self.checker.unknown(item.id) }
            return error
        }
    }

    /// Sends without end, until the task is cancelled: calls, and casts of both kinds, with a pause after each.
    ///
    /// - Parameters:
    ///   - pause: How long it waits between two rounds.
    ///   - client: Who sends; ``client`` if nobody is named.
    package func traffic(pause: Duration = .milliseconds(10), by client: RPCClient? = nil) async {
        while !Task.isCancelled {
            let mayGo = self.traffic.withLock { traffic in
                if !traffic.isPaused { traffic.sending += 1 }
                return !traffic.isPaused
            }
            if mayGo {
                await self.call(by: client)
                await self.cast(Self.surely, by: client)
                await self.cast(Self.once, by: client)
                self.traffic.withLock { $0.sending -= 1 }
            }
            // Cancelled: then it ends by the loop's condition.
            try? await Task.sleep(for: pause)
        }
    }

    /// Has the traffic stop, and returns when nothing is being sent any more.
    package func pause() async throws {
        self.traffic.withLock { $0.isPaused = true }
        try await self.until(within: .seconds(60), "the traffic stops") { self.traffic.withLock { $0.sending == 0 } }
    }

    /// Has the traffic go on.
    package func resume() {
        self.traffic.withLock { $0.isPaused = false }
    }

    // MARK: Waiting

    /// Something did not come in time.
    package struct TooLate: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) {
            self.description = description
        }
    }

    /// How long it takes from now on until calls are answered again.
    @discardableResult
    package func untilAnswered(within limit: Duration = .seconds(30)) async throws -> Duration {
        let start = ContinuousClock.now
        var last: (any Error)?
        while .now - start < limit {
            last = await self.call(timeout: .seconds(1))
            guard let error = last else { return .now - start }
            // What fails at once shall not be repeated in a tight loop.
            if error.rpcCode != .timeout { try await Task.sleep(for: .milliseconds(10)) }
        }
        throw TooLate(description: "no answer within \(limit): \(last.map { "\($0)" } ?? ""); \(self.circumstances)")
    }

    /// What tells a fault of the product from a machine that was busy: the connections, and how long processes had to wait.
    private var circumstances: String {
        let sides = [("client", self.clientTransport), ("server", self.serverTransport)].map { side, transport in
            "\(side): \(transport.figures.connections.map { "\($0.name) \($0.state)" }.joined(separator: ", "))"
        }
        let pressure = ["cpu", "io"].map { kind in
            let text = try? String(contentsOfFile: "/proc/pressure/\(kind)", encoding: .utf8)
            return "\(kind) \(text?.split(separator: "\n").first ?? "not known")"
        }
        return (sides + pressure).joined(separator: "; ")
    }

    /// How long it takes from now on until the server says that it is ready.
    @discardableResult
    package func untilReady(_ isReady: Bool = true, within limit: Duration) async throws -> Duration {
        try await self.until(within: limit, "readiness \(isReady), but it is \(self.server.readiness)") {
            self.server.readiness.isReady == isReady
        }
    }

    /// How long it takes from now on until everything that was confirmed is executed, and every call has ended.
    @discardableResult
    package func untilSettled(within limit: Duration = .seconds(30)) async throws -> Duration {
        try await self.until(within: limit, "all was executed: \(self.checker.violations)") { self.checker.isSettled }
    }

    /// How long it takes from now on until something is so.
    @discardableResult
    package func until(
        within limit: Duration,
        _ what: @autoclosure () -> String,
        _ condition: () async throws -> Bool
    ) async throws -> Duration {
        try await FaultHarness.until(within: limit, what(), condition)
    }
}

extension Checker.End {
    /// How a call ended that threw.
    package init(_ error: any Error) {
        switch error {
        case let error as RPCError: self = error.code == .timeout ? .deadline : .failure("\(error)")
        case is CancellationError: self = .failure("cancelled")
        default: self = .illegal("an error without a type: \(error)")
        }
    }
}

extension RPCClient {
    /// To whom its messages go.
    fileprivate var address: Checker.Address { self.target.server == nil ? .topic : .host }
}

extension Error {
    /// The code of an `RPCError`.
    package var rpcCode: RPCError.Code? { (self as? RPCError)?.code }
}
