import InMemoryLogging
import Logging
import Messaging
import MessagingTesting
import ServiceLifecycle
import ServiceLifecycleTestKit
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3)))
struct ManagerServiceTests {
    private static let greet = RPCMethod<[String: String], String>("greet", since: "2.0")
    private static let wait = RPCMethod<Void, String>("wait", since: "2.0")

    private let broker: InMemoryBroker
    private let transport: InMemoryTransport
    private let events = Events()
    private let log = TestLog()
    private let clock = VirtualClock()

    init() {
        self.broker = InMemoryBroker()
        self.transport = InMemoryTransport(self.broker)
    }

    private var greeter: TestManager {
        TestManager(
            endpoint: RPCEndpoint(version: "2.5") {
                Self.greet.handled { _, arguments in "hello \(arguments["name"] ?? "you")" }
            }
        )
    }

    private func service(
        _ manager: any Manager,
        host: String? = nil,
        configuration: ServiceConfiguration = ServiceConfiguration()
    ) -> ManagerService {
        ManagerService(
            manager,
            topic: "greeting",
            host: host,
            transport: self.transport,
            configuration: configuration,
            clock: self.clock,
            logger: self.log.logger
        )
    }

    private var client: RPCClient { RPCClient(self.transport, target: .topic("greeting")) }

    // MARK: What is served

    @Test func `a manager is called by topic and by host`() async throws {
        try await withManagerService(service(greeter)) { _ in
            #expect(try await client.call(Self.greet, ["name": "Ada"]) == "hello Ada")
            #expect(try await client.on(host: "node-1").call(Self.greet, [:]) == "hello you")
            let error = try await #require(throws: RPCError.self) {
                try await client.on(host: "node-2").call(Self.greet, [:])
            }
            #expect(error.code == .noSuchServer)
        }
    }

    @Test func `a worker that is asked tells its manager's version and host`() async throws {
        let manager = greeter
        try await withManagerService(service(manager, host: "elsewhere")) { service in
            let control = RPCClient(self.transport, target: service.target.control)
            let info = try await control.call(ControlRPC.info)
            #expect(info.host == "elsewhere")
            #expect(info.managedHost == manager.host)
            #expect(info.serviceVersion == manager.serviceVersion)
            #expect(info.endpoints.first?.version == "2.5")
            #expect(try await control.call(ControlRPC.ping).serviceVersion == manager.serviceVersion)
        }
        try await withManagerService(service(manager)) { service in
            let info = try await RPCClient(self.transport, target: service.target.control).call(ControlRPC.info)
            #expect(info.managedHost == nil)
        }
    }

    @Test func `the address may differ from the manager's host`() async throws {
        try await withManagerService(service(greeter, host: "elsewhere")) { service in
            #expect(service.target == .topic("greeting", server: "elsewhere"))
            let answer = try await client.on(host: "elsewhere").call(Self.greet, [:])
            #expect(answer == "hello you")
        }
    }

    @Test(arguments: ["1.0", "2.0", "2.5"] as [RPCVersion])
    func `service_version answers at 1_0 and at the manager's version`(version: RPCVersion) async throws {
        try await withManagerService(service(greeter)) { _ in
            let client = self.client.prepare { $0.version = version }
            let answer = try await client.call(ManagerRPC.serviceVersion)
            #expect(answer == "2.5")
        }
    }

    @Test func `other versions are refused`() async throws {
        try await withManagerService(service(greeter)) { _ in
            for version in ["2.6", "3.0", "1.1"] as [RPCVersion] {
                let client = self.client.prepare { $0.version = version }
                let error = try await #require(throws: RPCError.self) {
                    try await client.call(ManagerRPC.serviceVersion)
                }
                #expect(error.failure?.className == "UnsupportedVersion")
            }
        }
    }

    @Test func `service_config answers the declared options with secrets masked`() async throws {
        let configuration = try ServiceConfiguration(
            overrides: ["transport_url": "rabbit://u:geheim@h/"],
            environment: [:]
        )
        try await withManagerService(service(greeter, configuration: configuration)) { _ in
            let answer = try await client.call(ManagerRPC.serviceConfig)
            #expect(answer["transport_url"] == "rabbit://u:***@h/")
            #expect(answer["rpc_response_timeout"] == 60)
            #expect(answer.objectValue?.count == ServiceConfiguration.standardOptions.count)
            #expect(!answer.description.contains("geheim"))
        }
    }

    @Test func `wire contract 4.2: oslo's ping is answered where rpc_ping_enabled says so`() async throws {
        let configuration = try ServiceConfiguration(overrides: ["rpc_ping_enabled": "true"], environment: [:])
        try await withManagerService(service(greeter, configuration: configuration)) { _ in
            let answer = try await client.call("oslo_rpc_server_ping")
            #expect(answer == "pong")
        }
        try await withManagerService(service(greeter)) { _ in
            let error = try await #require(throws: RPCError.self) { _ = try await client.call("oslo_rpc_server_ping") }
            #expect(error.code == .noSuchMethod)
        }
    }

    @Test func `a service lists what it offers`() {
        let contracts = service(greeter).contracts
        #expect(contracts.count > 1)
        #expect(
            contracts.last?.methods.map(\.name) == [
                "disable_host", "enable_host", "freeze_host", "get_host_standing", "get_log_levels", "service_config",
                "service_version", "set_log_levels", "thaw_host",
            ]
        )
        #expect(contracts.last?.methods.first { $0.name == "service_version" }?.result == JSONShape(.string))
    }

    @Test func `a manager's own method comes before the one that every manager has`() async throws {
        let manager = TestManager(
            endpoint: RPCEndpoint(version: "1.4") {
                ManagerRPC.serviceVersion.handled { _ in "mine" }
            }
        )
        try await withManagerService(service(manager)) { _ in
            let answer = try await client.call(ManagerRPC.serviceVersion)
            #expect(answer == "mine")
        }
    }

    @Test func `additional endpoints are served in their namespaces`() async throws {
        let diagnose = RPCMethod<Void, String>("diagnose", namespace: "diagnostics", since: "1.0")
        var manager = greeter
        manager.additionalEndpoints = [
            RPCEndpoint(namespace: "diagnostics", version: "1.0") { diagnose.handled { _ in "well" } }
        ]
        try await withManagerService(service(manager)) { _ in
            let answer = try await client.call(diagnose)
            #expect(answer == "well")
        }
    }

    // MARK: The start

    @Test func `the host is made ready before anything is consumed, periodic tasks come after`() async throws {
        var manager = greeter
        let (client, events) = (self.client, self.events)
        manager.onInitHost = {
            let error = try await #require(throws: RPCError.self) { try await client.call(Self.greet, [:]) }
            events.add("initHost: \(error.code)")
        }
        manager.onInitHostWithRPC = {
            events.add("initHostWithRPC: \(try await client.call(Self.greet, [:]))")
        }
        manager.tasks = [PeriodicTask("task", every: .seconds(1), runImmediately: true) { _ in events.add("task") }]
        try await withManagerService(service(manager)) { service in
            await events.wait(for: "task")
            #expect(events.all == ["initHost: noSuchServer", "initHostWithRPC: hello you", "task"])
            #expect(service.isReady && isListening)
            #expect(service.periodicTaskStatuses.map(\.name) == ["task"])
        }
    }

    @Test func `readiness is logged once, with topic and host`() async throws {
        try await withManagerService(service(greeter)) { _ in }
        let ready = self.log.handler.entries.filter { "\($0.message)" == "ready" }
        #expect(ready.count == 1)
        #expect(ready.first?.metadata["topic"] == "greeting")
        #expect(ready.first?.metadata["host"] == "node-1")
    }

    @Test func `a host that cannot be made ready ends the service and leaves nothing open`() async throws {
        var manager = greeter
        manager.onInitHost = { throw TestFailure("no disk") }
        let service = service(manager)
        let error = try await #require(throws: ServiceError.self) { try await service.run() }
        #expect(error.code == .startFailed)
        #expect(error.cause is TestFailure)
        #expect(!isListening)
        await #expect(throws: ServiceError.self) { try await service.waitUntilReady() }
    }

    @Test func `an error after the service is reachable ends it and leaves nothing open`() async throws {
        var manager = greeter
        manager.onInitHostWithRPC = { throw TestFailure("no scheduler") }
        let service = service(manager)
        let error = try await #require(throws: ServiceError.self) { try await service.run() }
        #expect(error.cause is TestFailure)
        #expect(!isListening)
    }

    @Test func `a transport that cannot listen ends the service`() async throws {
        await self.transport.close()
        let error = try await #require(throws: RPCError.self) { try await service(greeter).run() }
        #expect(error.code == .closed)
    }

    @Test func `periodic tasks that cannot be scheduled end the service before it starts`() async throws {
        var manager = greeter
        manager.tasks = [PeriodicTask("task", every: .zero) { _ in }]
        let events = self.events
        manager.onInitHost = { events.add("initHost") }
        let error = try await #require(throws: ServiceError.self) { try await service(manager).run() }
        #expect(error.code == .invalidPeriodicTask)
        #expect(events.all.isEmpty)
    }

    // MARK: The end

    @Test func `a graceful shutdown lets running calls finish and reply`() async throws {
        let hang = Hang()
        let events = self.events
        let manager = TestManager(
            endpoint: RPCEndpoint(version: "2.0") {
                Self.wait.handled { _ in
                    events.add("started")
                    await hang.wait()
                    return "finished"
                }
            }
        )
        let service = service(manager)
        try await testGracefulShutdown { trigger in
            try await withThrowingTaskGroup(of: String.self) { group in
                group.addTask {
                    try await service.run()
                    return "ended"
                }
                try await service.waitUntilReady()
                group.addTask { try await self.client.call(Self.wait) }
                await events.wait(for: "started")
                trigger.triggerGracefulShutdown()
                hang.release()
                let results = try await group.reduce(into: []) { $0.append($1) }
                #expect(results.sorted() == ["ended", "finished"])
            }
        }
        #expect(!isListening)
        #expect(!service.isReady)
    }

    @Test func `a call that outlasts the grace period is cancelled`() async throws {
        let events = self.events
        let manager = TestManager(
            endpoint: RPCEndpoint(version: "2.0") {
                Self.wait.handled { _ in
                    events.add("started")
                    do {
                        try await Task.sleep(for: .seconds(600))
                    } catch {
                        events.add("cancelled")
                        throw error
                    }
                    return "finished"
                }
            }
        )
        let configuration = try ServiceConfiguration(
            overrides: ["graceful_shutdown_timeout": "0.05"],
            environment: [:]
        )
        try await withManagerService(service(manager, configuration: configuration)) { _ in
            try await client.cast(Self.wait)
            await events.wait(for: "started")
        }
        #expect(events.all == ["started", "cancelled"])
    }

    @Test func `a shutdown lets a periodic task finish although the server has ended`() async throws {
        let hang = Hang()
        let events = self.events
        var manager = greeter
        manager.tasks = [
            PeriodicTask("task", every: .seconds(1), runImmediately: true) { _ in
                events.add("started")
                await hang.wait()
                events.add(Task.isCancelled ? "cancelled" : "finished")
            }
        ]
        let service = service(manager)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            await events.wait(for: "started")
            service.stop()
            // The grace period is running, and the server has nothing to wait for.
            await self.clock.waitForSleeper(until: .seconds(60))
            while isListening { await Task.yield() }
            hang.release()
            try await group.waitForAll()
        }
        #expect(events.all == ["started", "finished"])
    }

    @Test func `a stop while the host is made ready calls the start off`() async throws {
        var manager = greeter
        let events = self.events
        manager.onInitHost = {
            events.add("initHost")
            try await Task.sleep(for: .seconds(600))
        }
        let service = service(manager)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            await events.wait(for: "initHost")
            service.stop()
            try await group.waitForAll()
        }
        #expect(self.log.count(of: "ready") == 0)
        #expect(!isListening)
    }

    @Test func `cancelling the service's task ends it`() async throws {
        let service = service(greeter)
        let task = Task { try await service.run() }
        try await service.waitUntilReady()
        task.cancel()
        try await task.value
        #expect(!isListening)
    }

    /// Whether the broker still has a listener: its fanout queue is there as long as it is.
    private var isListening: Bool {
        self.broker.queueNames.contains { $0.hasPrefix("greeting_fanout") }
    }
}
