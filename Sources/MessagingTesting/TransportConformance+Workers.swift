internal import Messaging
internal import Testing

extension TransportConformance {
    /// Finding the workers of a topic.
    static let workers = [
        Check("all servers of a topic are found by one question, also two of one name") { bench in
            try await bench.withServer("a") { _ in
                try await bench.withServer("b") { _ in
                    try await bench.withServer("b") { _ in
                        let client = RPCClient(try await bench.transport(), target: Target.topic(bench.topic).control)
                        let answers = try await client.gather(ControlRPC.ping, within: .seconds(10), upTo: 3)
                        let found = try answers.map { try $0.result.get() }
                        #expect(found.map(\.host).sorted() == ["a", "b", "b"])
                        #expect(Set(found.map(\.incarnation)).count == 3)
                        #expect(found.allSatisfy { $0.versions == ["1.5"] && $0.concurrency == 64 && $0.uptime >= 0 })
                    }
                }
            }
            let client = RPCClient(try await bench.transport(), target: Target.topic(bench.topic).control)
            #expect(try await client.gather(ControlRPC.ping, within: .seconds(10)).isEmpty)
        },
        Check("a call is cancelled by its id over the control topic, also while every slot is busy") { bench in
            let started = EventRecorder<Void>()
            let cancelled = EventRecorder<Void>()
            let endpoint = RPCEndpoint {
                RPCHandler("work") { _, _ in
                    started.record(())
                    do {
                        try await ContinuousClock().sleep(for: .seconds(60))
                    } catch {
                        cancelled.record(())
                        throw error
                    }
                    return .null
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            configuration.gracePeriod = .seconds(1)
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic, server: "a"))
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try await client.call("work", timeout: .seconds(60)) }
                    try await started.first(1)
                    group.cancelAll()
                    try await cancelled.first(1)
                    while let ended = await group.nextResult() {
                        #expect(throws: CancellationError.self) { try ended.get() }
                    }
                }
                // The handler's end is counted after the handler itself knows of it.
                let limit = ContinuousClock.now + .seconds(10)
                var stats = try await bench.control("a").call(ControlRPC.stats)
                while stats.methods.first?.inFlight != 0, .now < limit {
                    try await ContinuousClock().sleep(for: .milliseconds(10))
                    stats = try await bench.control("a").call(ControlRPC.stats)
                }
                #expect(stats.methods.first?.cancelled == 1)
                #expect(stats.methods.first?.inFlight == 0)
                #expect(try await bench.control("a").call(ControlRPC.cancel, .init(id: "unknown")) == false)
            }
        },
    ]
}
