import AMQPClient
import FaultHarness
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What becomes of services when nodes of their cluster go, or lose sight of each other.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ClusterFaultTests {
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
                    _ = try await service.untilAnswered(within: .seconds(20))
                    FaultFigures.record(fault: 21, "answering after the leader was killed", .now - killed)
                    try await service.untilReady(within: .seconds(10))
                    let replies = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > replies + 50 }

                    try await service.pause()
                    try await service.untilSettled()
                    try await cluster.nodes[1].kill()
                    try await service.untilReady(false, within: .seconds(10))
                    let before = service.checker.confirmations
                    for _ in 0..<3 {
                        let error = await service.cast(timeout: .seconds(2))
                        #expect(error != nil)
                        FaultFigures.record(
                            fault: 21,
                            "cast without a majority ended \(error?.rpcCode?.description ?? "well")",
                            count: 1
                        )
                    }
                    #expect(service.checker.confirmations == before)

                    try await cluster.nodes[1].start()
                    let back = ContinuousClock.now
                    _ = try await service.untilAnswered(within: .seconds(30))
                    try await service.untilReady(within: .seconds(10))
                    FaultFigures.record(fault: 21, "answering after the majority was back", .now - back)
                    service.resume()
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
                    for _ in 0..<4 { group.addTask { await service.traffic() } }
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > 50 }

                    try await cluster.cutOff(3)
                    let cut = ContinuousClock.now
                    try await service.until(within: .seconds(20), "not ready") { !bound.readiness.isReady }
                    FaultFigures.record(fault: 22, "client bound to the minority not ready", .now - cut)
                    _ = try await service.untilAnswered(within: .seconds(20))
                    try await service.untilReady(within: .seconds(20))
                    FaultFigures.record(fault: 22, "answering on the side of the majority", .now - cut)
                    let error = await #expect(throws: RPCError.self) {
                        try await client.prepare { $0.timeout = .seconds(1) }
                            .cast(FaultService.once, FaultService.Item("to-a-minority"))
                    }
                    #expect([.unreachable, .timeout, .connectionLost].contains(error?.code))
                    let replies = service.checker.replies
                    try await service.until(within: .seconds(20), "traffic") { service.checker.replies > replies + 50 }

                    try await cluster.heal(3)
                    let healed = ContinuousClock.now
                    try await service.until(within: .seconds(60), "ready") { bound.readiness.isReady }
                    FaultFigures.record(fault: 22, "client bound to the minority ready after healing", .now - healed)
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
