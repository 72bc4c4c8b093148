import Logging
import Messaging
import MessagingTesting
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3))) struct BackendServiceTests {
    private static let who = RPCMethod<Void, String>("who", since: "2.5")

    private let transport = InMemoryTransport(InMemoryBroker())
    private let clock = VirtualClock()
    private let events = Events()
    private let log = TestLog()

    private func manager(_ host: String) -> TestManager {
        TestManager(host: host, endpoint: RPCEndpoint(version: "2.5") { Self.who.handled { _ in host } })
    }

    private func service(_ manager: TestManager) -> ManagerService {
        ManagerService(
            manager,
            topic: "cinder-volume",
            additionalTargets: [Target.ofBackend(manager.host, topic: "cinder-volume")].compactMap(\.self),
            transport: self.transport,
            logger: self.log.logger
        )
    }

    private func backend(
        _ name: String,
        make: @escaping @Sendable () async throws -> ManagerService
    ) -> BackendService {
        BackendService(name, clock: self.clock, logger: self.log.logger, make: make)
    }

    /// Who answers at a target.
    private func answer(_ target: Target) async throws -> String {
        var options = RPCClient.Options()
        options.timeout = .seconds(20)
        return try await RPCClient(self.transport, target: target, options: options).call(Self.who)
    }

    private func withRunning(_ group: BackendGroup, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body()
            } catch {
                for backend in group.backends { backend.stop() }
                throw error
            }
            for backend in group.backends { backend.stop() }
            try await tasks.waitForAll()
        }
    }

    @Test func `a backend's second address is that of present cinder`() {
        #expect(
            Target.ofBackend("node-1@lvm", topic: "cinder-volume")
                == .topic("cinder-volume.node-1@lvm", server: "node-1")
        )
        for host in ["node-1", "@lvm", ""] { #expect(Target.ofBackend(host, topic: "t") == nil) }
    }

    @Test func `each backend answers under both of its addresses, and under no other's`() async throws {
        let group = BackendGroup(
            ["one", "two"].map { name in self.backend(name) { self.service(self.manager("node-1@\(name)")) } }
        )
        try await self.withRunning(group) { () async throws in
            while !group.backends.allSatisfy(\.readiness.isReady) { await Task.yield() }
            for name in ["one", "two"] {
                let host = "node-1@\(name)"
                #expect(try await self.answer(.topic("cinder-volume", server: host)) == host)
                #expect(try await self.answer(.topic("cinder-volume.\(host)", server: "node-1")) == host)
                #expect(try await self.answer(.topic("cinder-volume.\(host)")) == host)
            }
        }
        #expect(group.backends.allSatisfy { !$0.readiness.isReady })
    }

    @Test func `a backend that fails is tried again with growing waits, and the others do not notice`() async throws {
        let attempts = Shared(0)
        let broken = self.backend("broken") {
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            self.events.add("attempt")
            guard attempt > 3 else { throw TestFailure("no disk") }
            return self.service(self.manager("node-1@broken"))
        }
        let group = BackendGroup([broken, self.backend("whole") { self.service(self.manager("node-1@whole")) }])
        try await self.withRunning(group) { () async throws in
            while !group.backends[1].readiness.isReady { await Task.yield() }
            for (attempt, wait) in zip(1..., [1, 2, 4]) {
                await self.events.wait(for: "attempt", count: attempt)
                let due = self.clock.elapsed + .seconds(wait)
                while !self.clock.hasSleeper(until: due) { await Task.yield() }
                #expect(broken.readiness == .notReady("backend broken failed: no disk"))
                // One backend less is no reason to send nobody here any more.
                #expect(group.readiness == .degraded("backend broken failed: no disk"))
                #expect(try await self.answer(.topic("cinder-volume", server: "node-1@whole")) == "node-1@whole")
                self.clock.jump(by: .seconds(wait))
            }
            while !group.readiness.reasons.isEmpty { await Task.yield() }
            #expect(try await self.answer(.topic("cinder-volume", server: "node-1@broken")) == "node-1@broken")
        }
        // Said once, however often it failed.
        #expect(self.log.count(of: "backend failed and is tried again; the others go on") == 1)
        #expect(self.log.count(of: "backend serves again") == 1)
    }

    @Test func `what was made in vain has no say when the configuration is read again`() async throws {
        /// Fails as often as it is told, and notes each reset.
        struct Resetting: Manager {
            let host = "node-1@broken"
            let attempt: Int
            let events: Events
            var endpoint: RPCEndpoint { RPCEndpoint(version: "2.5") {} }

            func initHost() async throws { if self.attempt < 3 { throw TestFailure("no disk") } }
            func reset() async { self.events.add("reset \(self.attempt)") }
        }
        let live = LiveConfiguration(ServiceConfiguration())
        let attempts = Shared(0)
        let backend = self.backend("broken") {
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            return ManagerService(
                Resetting(attempt: attempt, events: self.events),
                topic: "cinder-volume",
                transport: self.transport,
                liveConfiguration: live,
                logger: self.log.logger
            )
        }
        try await self.withRunning(BackendGroup([backend])) { () async throws in
            for wait in [1, 2] {
                let due = self.clock.elapsed + .seconds(wait)
                while !self.clock.hasSleeper(until: due) { await Task.yield() }
                self.clock.jump(by: .seconds(wait))
            }
            while !backend.readiness.isReady { await Task.yield() }
            try await live.readAgain()
        }
        // Nor has the one that has ended.
        try await live.readAgain()
        #expect(self.events.all == ["reset 3"])
    }

    @Test func `a backend that is not ready in time to serve is stopped all the same`() async throws {
        var slow = self.manager("node-1@slow")
        slow.onInitHost = {
            self.events.add("initHost")
            try await Task.sleep(for: .seconds(600))
        }
        let manager = slow
        let group = BackendGroup([self.backend("slow") { self.service(manager) }])
        try await self.withRunning(group) { await self.events.wait(for: "initHost") }
    }

    @Test func `a backend that waits for its next try is stopped at once`() async throws {
        let group = BackendGroup([self.backend("broken") { throw TestFailure("no disk") }])
        try await self.withRunning(group) { () async throws in
            while !self.clock.hasSleeper(until: .seconds(1)) { await Task.yield() }
        }
        #expect(group.readiness == .notReady("backend broken was stopped"))
    }
}
