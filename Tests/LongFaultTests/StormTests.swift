import AMQPClient
import FaultHarness
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Many workers that lose one broker at the same moment.
@Suite(.serialized, .timeLimit(.minutes(5))) struct StormTests {
    static let workers = 200

    @Test func `fault 11: two hundred workers come back spread over the back-off window, and all of them`() async throws
    {
        try await PrivateNode.with(["--all-processors"]) { node in
            let direct = try AMQPConfiguration(url: try node.url)
            let port = try #require(direct.hosts.first?.port)
            try await FaultProxy.with(port: port) { proxy in
                var logger = Logger(label: "storm")
                logger.logLevel = .critical
                let arrivals = Collector<ContinuousClock.Instant>()
                var transports: [RabbitMQTransport] = []
                var servers: [RPCServer] = []
                for number in 0..<Self.workers {
                    var configuration = try FaultService.configuration(
                        "rabbit://guest:guest@127.0.0.1:\(proxy.port)/"
                    )
                    // What an operator sets for hundreds of hosts: see the guide.
                    configuration.connection.reconnectSpread = .seconds(2)
                    let transport = RabbitMQTransport(configuration, logger: logger)
                    transports.append(transport)
                    servers.append(
                        RPCServer(
                            transport,
                            target: .topic("storm", server: "host-\(number)"),
                            endpoints: [RPCEndpoint { FaultService.echo.handled { _, item in item } }],
                            logger: logger
                        )
                    )
                }
                let all = servers
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for server in all { group.addTask { try await server.run() } }
                    try await Self.until(.seconds(90), "all are ready") { all.allSatisfy(\.readiness.isReady) }

                    try await node.kill()
                    try await Self.until(.seconds(10), "all have noticed") { !all.contains(where: \.readiness.isReady) }
                    proxy.onForward { arrivals.add($0) }
                    try await node.start()
                    let returned = ContinuousClock.now
                    try await Self.until(.seconds(60), "all are ready again") { all.allSatisfy(\.readiness.isReady) }
                    let recovery = ContinuousClock.now - returned
                    FaultFigures.record(fault: 11, "200 workers ready after the broker", recovery)
                    #expect(recovery < .seconds(10))

                    // No herd: of all connections that the broker gets, no tenth of a second has a quarter. The first come
                    // while it still starts, as soon as it listens.
                    let times = arrivals.all.map { Int((($0 - returned) / .milliseconds(100)).rounded(.down)) }
                    let busiest = Dictionary(grouping: times, by: \.self).values.map(\.count).max() ?? 0
                    FaultFigures.record(fault: 11, "most connections in a tenth of a second", count: busiest)
                    #expect(times.count >= Self.workers)
                    #expect(busiest * 4 < times.count, "\(busiest) of \(times.count) attempts")
                    for server in all { server.stop() }
                    try await group.waitForAll()
                }
                await withTaskGroup(of: Void.self) { group in
                    for transport in transports { group.addTask { await transport.close() } }
                }
            }
        }
    }

    private static func until(_ limit: Duration, _ what: String, _ condition: () -> Bool) async throws {
        let start = ContinuousClock.now
        while !condition() {
            guard .now - start < limit else { throw FaultService.TooLate(description: "not within \(limit): \(what)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
