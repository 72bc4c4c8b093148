import Logging
import Messaging
import MessagingTesting
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3)))
struct CapabilityTests {
    private actor VolumeManager: SchedulerDependentManager {
        nonisolated let host = "node-1@disk"
        nonisolated let serviceName = "volume"
        nonisolated let serviceCapabilities = ServiceCapabilities()
        nonisolated var endpoint: RPCEndpoint { RPCEndpoint(version: "3.20") {} }
    }

    private let transport = InMemoryTransport(InMemoryBroker())
    private let manager = VolumeManager()
    private let clock = VirtualClock()
    private let events = Events()
    private let log = TestLog()
    private let orders = Shared<[ReportOrder]>([])

    private func withServices(
        schedulers: [String] = ["scheduler-1"],
        _ body: (ManagerService) async throws -> Void
    ) async throws {
        let (events, orders) = (self.events, self.orders)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let services = schedulers.map { host in
                let endpoint = RPCEndpoint(version: "3.12") {
                    SchedulerAPI.updateServiceCapabilities.handled { _, report in
                        var capabilities = report.capabilities.objectValue ?? [:]
                        let order = ReportOrder(capabilities)
                        orders.withLock { orders in orders += [order].compactMap(\.self) }
                        capabilities[ReportOrder.member] = nil
                        events.add("\(host): \(report.serviceName) \(report.host) \(JSONValue.object(capabilities))")
                    }
                }
                return ManagerService(
                    TestManager(host: host, endpoint: endpoint),
                    topic: "cinder-scheduler",
                    transport: self.transport,
                    logger: self.log.logger
                )
            }
            for service in services {
                group.addTask { try await service.run() }
                try await service.waitUntilReady()
            }
            defer { for service in services { service.stop() } }
            try await withManagerService(
                ManagerService(
                    self.manager,
                    topic: "cinder-volume",
                    transport: self.transport,
                    clock: self.clock,
                    logger: self.log.logger
                )
            ) { try await body($0) }
        }
    }

    private func free(_ gigabytes: Int, at scheduler: String = "scheduler-1") -> String {
        "\(scheduler): volume node-1@disk {\"free_capacity_gb\":\(gigabytes)}"
    }

    @Test func `what is known at the start is published at once, to all schedulers`() async throws {
        self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
        try await withServices(schedulers: ["scheduler-1", "scheduler-2"]) { _ in
            await self.events.wait(for: free(10))
            await self.events.wait(for: free(10, at: "scheduler-2"))
        }
    }

    @Test func `nothing is published before there is something, then it is at once`() async throws {
        try await withServices { service in
            let due = try await nextRun(of: service)
            self.clock.jump(by: due)
            _ = try await nextRun(of: service, after: due)
            #expect(self.events.all.isEmpty)
            try self.manager.updateServiceCapabilities(encoding: ["free_capacity_gb": 9])
            await self.events.wait(for: free(9))
        }
        #expect(self.events.all == [free(9)])
    }

    @Test func `every change is published, an equal value is not`() async throws {
        try await withServices { _ in
            for gigabytes in [9, 8, 7] {
                self.manager.updateServiceCapabilities(["free_capacity_gb": .integer(gigabytes)])
                self.manager.updateServiceCapabilities(["free_capacity_gb": .integer(gigabytes)])
                await self.events.wait(for: free(gigabytes))
            }
        }
        #expect(self.events.all == [free(9), free(8), free(7)])
    }

    @Test func `the periodic task repeats the latest value`() async throws {
        self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
        try await withServices { service in
            await self.events.wait(for: free(10))
            for run in 2...3 {
                let due = try await nextRun(of: service)
                self.clock.jump(by: due - self.clock.elapsed)
                await self.events.wait(for: free(10), count: run)
                _ = try await nextRun(of: service, after: due)
            }
            #expect(service.periodicTaskStatuses.first?.name == "publish_service_capabilities")
            #expect(service.periodicTaskStatuses.first?.runs == 2)
        }
    }

    @Test func `a starting scheduler gets it when it asks`() async throws {
        self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
        try await withServices { _ in
            await self.events.wait(for: free(10))
            try await RPCClient(self.transport, target: .topic("cinder-volume")).fanout(
                ManagerRPC.publishServiceCapabilities
            )
            await self.events.wait(for: free(10), count: 2)
        }
    }

    @Test func `each report has the next place in its life, and a new life comes after`() async throws {
        try await withServices { _ in
            for gigabytes in [9, 8] {
                self.manager.updateServiceCapabilities(["free_capacity_gb": .integer(gigabytes)])
                await self.events.wait(for: free(gigabytes))
            }
        }
        let orders = self.orders.withLock { $0 }
        #expect(orders.map(\.sequence) == [1, 2])
        #expect(Set(orders.map(\.incarnation)).count == 1)
        let later = ServiceCapabilities().nextStamp().order
        #expect(later.sequence == 1)
        #expect(later.incarnation > orders[0].incarnation)
    }

    @Test func `a clock that is set back turns no order of one life round`() {
        let wall = Shared(Duration.seconds(1000))
        let capabilities = ServiceCapabilities { wall.withLock { $0 } }
        let first = capabilities.nextStamp()
        wall.withLock { $0 = .seconds(10) }
        let second = capabilities.nextStamp()
        #expect(second.order == ReportOrder(incarnation: first.order.incarnation, sequence: 2))
        #expect(second.timestamp > first.timestamp)
    }

    @Test(
        arguments: [nil, [:], ["steward_report": 1], ["steward_report": ["incarnation": 1]]] as [[String: JSONValue]?]
    )
    func `a report without an order has none`(capabilities: [String: JSONValue]?) {
        #expect(ReportOrder(capabilities) == nil)
    }

    @Test func `what was broken and works again is reported again`() async throws {
        self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
        try await withServices { _ in
            await self.events.wait(for: free(10))
            self.manager.serviceCapabilities.publishAgain()
            await self.events.wait(for: free(10), count: 2)
        }
    }

    @Test func `nil ends the publication`() async throws {
        self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
        self.manager.updateServiceCapabilities(nil)
        #expect(self.manager.serviceCapabilities.latest == nil)
        try await self.manager.serviceCapabilities.publish { _ in Issue.record("there is nothing to publish") }
    }

    @Test func `a value that changes while it is sent is sent again, so that the last report is the latest`()
        async throws
    {
        let capabilities = ServiceCapabilities()
        capabilities.update(1)
        var sent: [JSONValue] = []
        try await capabilities.publish { value in
            sent.append(value)
            if value == 1 { capabilities.update(2) }
        }
        #expect(sent == [1, 2])
    }

    @Test func `a stop does not wait for a report that cannot be sent`() async throws {
        let broker = InMemoryBroker()
        let service = ManagerService(
            self.manager,
            topic: "cinder-volume",
            transport: InMemoryTransport(broker),
            clock: self.clock,
            logger: self.log.logger
        )
        let start = ContinuousClock.now
        try await withManagerService(service) { service in
            let due = try await nextRun(of: service)
            broker.setBlocked(true)
            self.manager.updateServiceCapabilities(["free_capacity_gb": 10])
            self.clock.jump(by: due)
            while service.periodicTaskStatuses.first?.isRunning != true { await Task.yield() }
        }
        // The report's own limit is `rpc_response_timeout`, a minute.
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    /// The time that the periodic task sleeps until, once it does, and once what was due at `last` has ended.
    private func nextRun(of service: ManagerService, after last: Duration = .zero) async throws -> Duration {
        while true {
            let next = try #require(service.periodicTaskStatuses.first?.nextRun)
            if next > last, self.clock.hasSleeper(until: next) { return next }
            await Task.yield()
        }
    }
}
