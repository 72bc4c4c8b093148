import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

/// A virtual host of one test, and a client and a server in it: in a process of their own, because the memory of this one
/// is that of all other tests as well.
struct ScaleBench: Sendable {
    static let target = Target.topic("scale", server: "h")

    let url: String
    let server: RabbitMQTransport
    let client: RabbitMQTransport

    /// Lends the URL of a virtual host.
    static func withURL(_ body: (String) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { try await body(broker.url(virtualHost: $0, scheme: "rabbit")) }
    }

    /// Lends transports.
    static func with(_ url: String, _ body: (ScaleBench) async throws -> Void) async throws {
        let bench = ScaleBench(url: url, server: try Self.transport(url), client: try Self.transport(url))
        do {
            try await body(bench)
        } catch {
            await bench.close()
            throw error
        }
        await bench.close()
    }

    static func transport(_ url: String) throws -> RabbitMQTransport {
        RabbitMQTransport(try RabbitMQConfiguration(url: url), logger: .none)
    }

    /// Shows what the process of a test printed.
    static func show(_ result: ExitTest.Result?) {
        guard let result else { return }
        print(String(decoding: result.standardOutputContent, as: UTF8.self), terminator: "")
    }

    private func close() async {
        await self.client.close()
        await self.server.close()
    }

    var rpc: RPCClient { RPCClient(self.client, target: Self.target).prepare { $0.timeout = .seconds(120) } }

    /// Serves while `body` runs.
    func serve(
        concurrency: Int = 64,
        prefetch: Int = 64,
        _ handlers: [RPCHandler],
        _ body: @Sendable (RPCServer) async throws -> Void
    ) async throws {
        var configuration = RPCServer.Configuration()
        configuration.concurrency = concurrency
        configuration.prefetch = prefetch
        configuration.gracePeriod = .seconds(5)
        try await withRPCServer(
            on: self.server,
            target: Self.target,
            endpoints: [RPCEndpoint { handlers }],
            configuration: configuration,
            body
        )
    }

    /// Waits for what is sure to come, for a minute at most: for as long as a busy machine may need.
    static func wait(
        for what: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ isThere: () async throws -> Bool
    ) async throws {
        let limit = ContinuousClock.now + .seconds(60)
        while try await !isThere() {
            try #require(.now < limit, "there is no end of waiting for \(what)", sourceLocation: sourceLocation)
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension Logger {
    /// In a process of its own a test says what it has found, and nothing else.
    static var none: Logger { Logger(label: "scale") { _ in SwiftLogNoOpLogHandler() } }
}

/// Numbers from 0 on, each of which one of many callers gets.
final class Tickets: Sendable {
    private let next = Atomic(0)

    func take() -> Int { self.next.wrappingAdd(1, ordering: .relaxed).oldValue }
}
