import AMQPClient
import FaultHarness
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What becomes of services when nodes of their cluster go, or lose sight of each other.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ClusterFaultTests {
    /// What is promised: ready again so long after the broker is.
    private static let promise = Duration.seconds(5)
    /// How long a loss may stay unnoticed that nobody tells of.
    private static let twoHeartbeats = Duration.seconds(4)
    /// How a message may end that has no majority: it was not sent, or refused, or nobody knows what became of it.
    private static let withoutMajority: Set<RPCError.Code> = [.unreachable, .timeout, .rejected, .connectionLost]

    /// Sends several messages of each kind at once, none of which may end well.
    private static func expectNoSuccess(_ service: FaultService, by client: RPCClient? = nil, fault: Int) async {
        let errors = await withTaskGroup(of: (any Error)?.self) { group in
            for _ in 0..<3 {
                group.addTask { await service.cast(FaultService.surely, timeout: .seconds(1), by: client) }
                group.addTask { await service.cast(FaultService.once, timeout: .seconds(1), by: client) }
                group.addTask { await service.call(timeout: .seconds(1), by: client) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for error in errors {
            #expect(error?.rpcCode.map(Self.withoutMajority.contains) == true, "\(String(describing: error))")
        }
        for (code, number) in Dictionary(grouping: errors, by: { $0?.rpcCode?.description ?? "well" }) {
            FaultFigures.record(fault: fault, "without a majority: ended \(code), of 9", count: number.count)
        }
    }

    private static func settings(_ configuration: inout RabbitMQConfiguration) {
        configuration.queueProfile = .quorum
        configuration.usesQuorumForTransientQueues = true
        configuration.connection.hostOrder = .asGiven
        configuration.connection.connectTimeout = .seconds(3)
    }

    @Test
    func `fault 21: with one node lost work goes on, without a majority nothing is confirmed, and then all is well`()
        async throws
    {
        try await FaultCluster.with { cluster in
            let url = try cluster.url([1, 2, 3])
            try await FaultService.with(url, configure: Self.settings) { service in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 { group.addTask { await service.traffic() } }
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 50 }

                    // The node that all are connected to, and on which all queues have their leaders.
                    try await cluster.nodes[0].kill()
                    let killed = ContinuousClock.now
                    _ = try await service.untilAnswered(within: Self.promise)
                    FaultFigures.record(fault: 21, "answering after the leader was killed", .now - killed)
                    try await service.untilReady(within: Self.promise)
                    let replies = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > replies + 50 }

                    // In the midst of the traffic: some is written and not confirmed, and nobody may be told that it is.
                    try await cluster.nodes[1].kill()
                    let alone = ContinuousClock.now
                    try await service.untilReady(false, within: Self.twoHeartbeats)
                    FaultFigures.record(fault: 21, "not ready without a majority", .now - alone)
                    await Self.expectNoSuccess(service, fault: 21)
                    // By now the traffic too has heard of all that was confirmed before.
                    let before = service.checker.confirmations
                    await Self.expectNoSuccess(service, fault: 21)
                    #expect(service.checker.confirmations == before)
                    #expect(!service.server.readiness.isReady)

                    try await cluster.nodes[1].start()
                    let back = ContinuousClock.now
                    _ = try await service.untilAnswered(within: Self.promise)
                    try await service.untilReady(within: Self.promise)
                    FaultFigures.record(fault: 21, "answering after the majority was back", .now - back)
                    let later = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > later + 50 }
                    group.cancelAll()
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
                try await cluster.nodes[0].start()
            }
        }
    }

    @Test func `fault 22: a minority stops serving, its clients move or are not ready, and nothing confirmed is lost`()
        async throws
    {
        try await FaultCluster.with { cluster in
            // The server is on the side that will be the minority, and may move; its caller is on the other one.
            try await FaultService.with(
                try cluster.url([3, 1, 2]),
                clientURL: try cluster.url([1, 2]),
                configure: Self.settings
            ) { service in
                var settings = try FaultService.configuration(try cluster.url([3]))
                Self.settings(&settings)
                let bound = RabbitMQTransport(settings)
                let client = RPCClient(bound, target: service.client.target)
                try await bound.open()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    // Both sides send from before the partition until after it: what either is told to be confirmed is
                    // to be found.
                    for _ in 0..<3 { group.addTask { await service.traffic() } }
                    for _ in 0..<3 { group.addTask { await service.traffic(by: client) } }
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 100 }

                    try await cluster.cutOff(3)
                    let cut = ContinuousClock.now
                    try await service.until(within: Self.twoHeartbeats, "not ready") { !bound.readiness.isReady }
                    FaultFigures.record(fault: 22, "client bound to the minority not ready", .now - cut)
                    _ = try await service.untilAnswered(within: Self.promise)
                    try await service.untilReady(within: Self.promise)
                    FaultFigures.record(fault: 22, "answering on the side of the majority", .now - cut)
                    await Self.expectNoSuccess(service, by: client, fault: 22)
                    for _ in 0..<20 {
                        let error = await service.cast()
                        #expect(error == nil, "at the majority: \(String(describing: error))")
                        #expect(await service.call() == nil)
                    }
                    await Self.expectNoSuccess(service, by: client, fault: 22)
                    #expect(!bound.readiness.isReady)

                    try await cluster.heal(3)
                    let healed = ContinuousClock.now
                    // The node notices that it is healed by looking from time to time, and starts what it had stopped.
                    try await service.until(within: .seconds(15), "ready") { bound.readiness.isReady }
                    FaultFigures.record(fault: 22, "client bound to the minority ready after healing", .now - healed)
                    try await service.until(within: Self.promise, "confirmed at the former minority") {
                        await service.cast(timeout: .seconds(1), by: client) == nil
                    }
                    let later = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > later + 50 }
                    group.cancelAll()
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
                await bound.close()
            }
        }
    }
}
