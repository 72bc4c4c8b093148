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
    /// What an operator sets for hundreds of hosts: see the guide.
    static let spread = Duration.seconds(2)
    /// Ready again so long after the broker is, besides what the hosts wait for each other.
    static let promise = Duration.seconds(5)

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
                    configuration.connection.reconnectSpread = Self.spread
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
                    #expect(recovery < Self.promise + Self.spread)
                    // The first come while it still starts, as soon as it listens.
                    Self.expectSpread(arrivals.all, over: .seconds(1), after: "a restart")

                    // All at once, and the broker is there: nothing but the spread keeps them from coming back at once.
                    try await Self.cutAtOnce(proxy, all, arrivals)
                    for server in all { server.stop() }
                    try await group.waitForAll()
                }
                await withTaskGroup(of: Void.self) { group in
                    for transport in transports { group.addTask { await transport.close() } }
                }
            }
        }
    }

    private static func cutAtOnce(
        _ proxy: FaultProxy,
        _ servers: [RPCServer],
        _ arrivals: Collector<ContinuousClock.Instant>
    ) async throws {
        let connections = proxy.connections
        let before = arrivals.all.count
        proxy.cut()
        let cut = ContinuousClock.now
        // One whose turn comes early may be back before the last has noticed.
        try await Self.until(.seconds(20), "all have come again") { arrivals.all.count >= before + connections }
        try await Self.until(.seconds(20), "all are ready again") { servers.allSatisfy(\.readiness.isReady) }
        let recovery = ContinuousClock.now - cut
        FaultFigures.record(fault: 11, "200 workers ready after all connections were cut", recovery)
        #expect(recovery < Self.promise + Self.spread)
        Self.expectSpread(Array(arrivals.all.dropFirst(before)), over: Self.spread, after: "a cut")
    }

    /// No herd: nine tenths of the connections come in more than half of the window, and no tenth of a second has a quarter of
    /// them.
    private static func expectSpread(
        _ arrivals: [ContinuousClock.Instant],
        over window: Duration,
        after fault: String
    ) {
        let times = arrivals.sorted()
        #expect(times.count >= Self.workers)
        guard let first = times.first, let last = times.last else { return }
        let middle = times[times.count * 95 / 100] - times[times.count * 5 / 100]
        let tenths = times.map { Int((($0 - first) / .milliseconds(100)).rounded(.down)) }
        let busiest = Dictionary(grouping: tenths, by: \.self).values.map(\.count).max() ?? 0
        FaultFigures.record(fault: 11, "all connections came within, after \(fault)", last - first)
        FaultFigures.record(fault: 11, "nine tenths of them within, after \(fault)", middle)
        FaultFigures.record(fault: 11, "most in a tenth of a second, after \(fault)", count: busiest)
        print("connections after \(fault): \(times.count)")
        #expect(last - first >= window * 0.9, "after \(fault)")
        #expect(middle >= window * 0.6, "after \(fault)")
        #expect(busiest * 4 < times.count, "\(busiest) of \(times.count) attempts after \(fault)")
    }

    private static func until(_ limit: Duration, _ what: String, _ condition: () -> Bool) async throws {
        let start = ContinuousClock.now
        while !condition() {
            guard .now - start < limit else { throw FaultService.TooLate(description: "not within \(limit): \(what)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
