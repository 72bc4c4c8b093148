import Messaging
import MessagingTesting
import Testing

// The code of the guide "Test a manager without a broker", so that it keeps compiling and keeps its word.

private enum VolumeRPC {
    static let create = RPCMethod<Volume, String>("create_volume", since: "1.0", delivery: .atLeastOnce)
}

private struct Volume: Codable, Sendable {
    var id: String
}

private actor VolumeManager {
    private let schedulers: RPCClient
    private let clock: any MessagingClock
    private var created: Set<String> = []

    init(_ transport: any Transport) {
        self.schedulers = RPCClient(transport, target: .topic("scheduler"))
        self.clock = transport.clock
    }

    nonisolated var endpoint: RPCEndpoint {
        RPCEndpoint(version: "1.0") {
            VolumeRPC.create.handled { _, volume in try await self.create(volume) }
        }
    }

    /// Creates a volume, unless it is there: the request may come twice.
    func create(_ volume: Volume) async throws -> String {
        guard self.created.insert(volume.id).inserted else { return "was there" }
        // A slow disk.
        try await self.clock.sleep(until: self.clock.now + .seconds(30), tolerance: nil)
        try await self.report(volume)
        return "created"
    }

    /// Tells all schedulers; tries three times to be heard.
    private func report(_ volume: Volume) async throws {
        for attempt in 1...3 {
            do {
                try await self.schedulers.fanout("volume_created", ["id": .string(volume.id)])
                return
            } catch let error as RPCError where error.code == .connectionLost && attempt < 3 {
                try await self.clock.sleep(until: self.clock.now + .seconds(5), tolerance: nil)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(3)))
struct ManagerWithoutBrokerTests {
    @Test func `a volume is created and reported`() async throws {
        try await withTestService(topic: "volume", endpoints: { [VolumeManager($0.transport).endpoint] }) { service in
            let answer = try await service.clock.passing {
                try await service.client.call(VolumeRPC.create, Volume(id: "7"))
            }
            #expect(answer == "created")
            #expect(service.clock.elapsed == .seconds(30))
            let report = try await service.sent.request("volume_created")
            #expect(report.kind == .fanout)
            #expect(report.arguments == ["id": "7"])
        }
    }

    @Test func `a report that was lost with its connection is repeated`() async throws {
        try await withTestService(topic: "volume", endpoints: { [VolumeManager($0.transport).endpoint] }) { service in
            service.faults.inject(.unconfirmed(isTaken: false), .first(2)) { $0.method == "volume_created" }
            let answer = try await service.clock.passing {
                try await service.client.call(VolumeRPC.create, Volume(id: "7"))
            }
            #expect(answer == "created")
            #expect(service.clock.elapsed == .seconds(40))
            #expect(service.sent.requests.count { $0.method == "volume_created" } == 3)
        }
    }

    @Test func `a request that comes again after a crash of its worker is run once more`() async throws {
        let service = TestService(topic: "volume", host: "node-1")
        let manager = VolumeManager(service.transport)
        let server = RPCServer(
            service.transport,
            target: .topic("volume", server: "node-1"),
            endpoints: [manager.endpoint]
        )
        try await service.clock.run {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await #expect(throws: Never.self) { try await server.run() } }
                await service.clock.settle()
                await #expect(throws: Never.self) {
                    try await service.client.cast(VolumeRPC.create, Volume(id: "7"))
                }
                await service.clock.waitForSleepers(1)
                // In the middle of the work.
                service.connection.crash()
                group.cancelAll()
            }
            // The message is in the queue again, and the next worker takes it.
            #expect(service.broker.depth(of: "volume") == 1)
            let executed = EventRecorder<Execution>()
            let next = VolumeManager(service.peer())
            try await withRPCServer(
                on: service.peer(),
                target: .topic("volume", server: "node-2"),
                endpoints: [next.endpoint.observed(by: executed)]
            ) { _ in
                // Its redelivery is counted with a copy, which comes a little later.
                await service.clock.waitForSleepers(1)
                await service.clock.advance(by: .seconds(2))
                await service.clock.waitForSleepers(1)
                await service.clock.advance(by: .seconds(30))
                let execution = try await executed.first(1)[0]
                #expect(execution.result == "created")
                #expect(execution.context.request?.isRedelivered == true)
            }
        }
    }
}
