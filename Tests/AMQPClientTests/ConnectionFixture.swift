import AMQPClient
import Logging
import TestSupport
import Testing

/// Lends a virtual host of its own: its URL and its name.
func withVirtualHost<Result>(_ body: (_ url: String, _ name: String) async throws -> Result) async throws -> Result {
    let broker = try TestBroker()
    return try await broker.withVirtualHost { name in try await body(broker.url(virtualHost: name), name) }
}

/// Has the broker close all connections to a virtual host; waits until its management knows one.
func closeConnections(virtualHost: String) async throws {
    let broker = try TestBroker()
    for _ in 0..<200 {
        if try await broker.closeConnections(virtualHost: virtualHost) > 0 { return }
        try await Task.sleep(for: .milliseconds(50))
    }
    throw TestBroker.Unavailable(description: "the management knows no connection to \(virtualHost)")
}

/// Lends an open connection, closed afterwards.
///
/// By default in a virtual host of its own.
func withConnection<Result>(
    url: String? = nil,
    _ configure: (inout AMQPConfiguration) -> Void = { _ in },
    _ body: (AMQPConnection) async throws -> Result
) async throws -> Result {
    guard let url else {
        return try await withVirtualHost { url, _ in try await withConnection(url: url, configure, body) }
    }
    var configuration = try AMQPConfiguration(url: url)
    configuration.operationTimeout = .seconds(30)
    configure(&configuration)
    let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
    let result: Result
    do {
        try await connection.open()
        result = try await body(connection)
    } catch {
        await connection.close()
        throw error
    }
    await connection.close()
    return result
}

/// Lends an open connection that comes back quickly and does not wait long.
func withImpatientConnection(
    _ url: String,
    _ configure: (inout AMQPConfiguration) -> Void = { _ in },
    _ body: (AMQPConnection) async throws -> Void
) async throws {
    try await withConnection(
        url: url,
        {
            $0.backoff = AMQPConfiguration.Backoff(initial: .milliseconds(10), maximum: .milliseconds(50))
            $0.closeTimeout = .milliseconds(300)
            $0.operationTimeout = .seconds(5)
            configure(&$0)
        },
        body
    )
}

/// Runs something that must fail with an ``AMQPError``, and gives the error.
func failure(
    _ body: () async throws -> Void,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws -> AMQPError {
    try #require(await #expect(throws: AMQPError.self, sourceLocation: sourceLocation) { try await body() })
}

extension AMQPMessage {
    init(_ text: String) {
        self.init(body: Array(text.utf8))
    }

    var text: String { String(decoding: self.body, as: UTF8.self) }
}
