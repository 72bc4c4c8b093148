import Logging
import Messaging
import MessagingTesting
import ServiceLifecycle
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3)))
struct ServiceLauncherTests {
    private struct TestService: Service {
        let body: @Sendable () async throws -> Void
        func run() async throws { try await self.body() }
    }

    private let transport = InMemoryTransport(InMemoryBroker())
    private let events = Events()
    private let log = TestLog()
    private let clock = VirtualClock()

    /// Launches services; a signal is sent each time `signal` is added to the events.
    private func launch(
        signals: Int = 0,
        transport: (any Error)? = nil,
        _ services: [any Service]
    ) async -> ServiceExit {
        let events = self.events
        return await ServiceLauncher("test").run(
            ServiceConfiguration(),
            logger: self.log.logger,
            signals: { onSignal in
                for number in 1...max(1, signals) where signals > 0 {
                    await events.wait(for: "signal", count: number)
                    onSignal("SIGTERM")
                }
                // A sleep that is cancelled has done its duty.
                try? await Task.sleep(for: .seconds(600))
            },
            clock: self.clock,
            transport: { _, _ in
                if let transport { throw transport }
                return self.transport
            },
            services: { _ in services }
        )
    }

    private func isClosed() async -> Bool {
        do {
            _ = try await self.transport.openReplyQueue(deadline: nil)
            return false
        } catch {
            return error.code == .closed
        }
    }

    @Test func `a signal stops the services gracefully, then the transport is closed`() async throws {
        let events = self.events
        let manager = TestManager(onInitHostWithRPC: { events.add("signal") })
        let service = ManagerService(manager, topic: "topic", transport: self.transport, logger: self.log.logger)
        #expect(await launch(signals: 1, [service]) == .success)
        #expect(await isClosed())
        #expect(self.log.count(of: "stopped") == 1)
    }

    @Test func `a service that fails ends the program with 1 and closes the transport`() async {
        #expect(await launch([TestService { throw TestFailure("no") }]) == .failure)
        #expect(await isClosed())
        #expect(self.log.count(of: "failed") == 1)
    }

    @Test func `a service that ends by itself is a failure`() async {
        #expect(await launch([TestService {}]) == .failure)
    }

    @Test func `a broker that cannot be reached ends the program with 5`() async {
        let end = await launch(transport: RPCError(.unreachable, "nobody there"), [])
        #expect(end == .unreachable)
        #expect(end.code == 5)
    }

    @Test func `a second signal cancels what is left`() async {
        let events = self.events
        let end = await launch(
            signals: 2,
            [
                TestService {
                    events.add("signal")
                    try await gracefulShutdown()
                    events.add("signal")
                    try await Task.sleep(for: .seconds(600))
                }
            ]
        )
        #expect(end == .failure)
        #expect(self.log.count(of: "services are cancelled") == 1)
    }

    @Test func `the limit cancels what is left`() async {
        let (events, clock) = (self.events, self.clock)
        let end = await launch(
            signals: 1,
            [
                TestService {
                    events.add("signal")
                    try await gracefulShutdown()
                    await clock.waitForSleeper(until: .seconds(65))
                    clock.jump(by: .seconds(65))
                    try await Task.sleep(for: .seconds(600))
                }
            ]
        )
        #expect(end == .failure)
    }

    @Test func `a service that heeds nothing is left behind`() async {
        let (events, clock, hang) = (self.events, self.clock, Hang())
        defer { hang.release() }
        let end = await launch(
            signals: 1,
            [
                TestService {
                    events.add("signal")
                    try await gracefulShutdown()
                    await clock.waitForSleeper(until: .seconds(65))
                    clock.jump(by: .seconds(65))
                    // Although this task is cancelled by now.
                    await Task { await clock.waitForSleeper(until: .seconds(70)) }.value
                    clock.jump(by: .seconds(5))
                    await hang.wait()
                }
            ]
        )
        #expect(end == .failure)
        #expect(await isClosed())
    }

    @Test func `a wrong configuration ends the program with 2 before anything is opened`() async {
        let end = await ServiceLauncher("test").run(overrides: ["rpc_prefetch": "0"]) { _, _ in
            Issue.record("the transport is opened")
            return self.transport
        } services: { _ in
            []
        }
        #expect(end == .usage)
        #expect(end.code == 2)
    }

    @Test func `the cause beneath an error decides the exit code`() {
        let unreachable = RPCError(.unreachable, "nobody there")
        #expect(ServiceExit.forError(ServiceError(.startFailed, "no", cause: unreachable)) == .unreachable)
        #expect(ServiceExit.forError(ServiceError(.startFailed, "no")) == .failure)
        #expect(ServiceExit.forError(ServiceError(.invalidConfiguration, "no")) == .usage)
        #expect(ServiceExit.forError(RPCError(.timeout, "late")) == .failure)
    }
}
