import FaultHarness
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

@testable import ServiceRuntime

/// What periodic tasks that fail do to each other and to the service that they belong to.
@Suite(.serialized, .timeLimit(.minutes(2))) struct PeriodicFaultTests {
    private struct Unlucky: Error {}

    /// Counts the runs of a task, and those that met another one.
    private final class Runs: Sendable {
        private let state = Mutex((runs: 0, running: 0, overlaps: 0))

        var runs: Int { self.state.withLock(\.runs) }
        var overlaps: Int { self.state.withLock(\.overlaps) }

        func during(_ body: () async throws -> Void) async rethrows {
            self.state.withLock { state in
                state.runs += 1
                if state.running > 0 { state.overlaps += 1 }
                state.running += 1
            }
            defer { self.state.withLock { $0.running -= 1 } }
            try await body()
        }
    }

    private struct TroubledManager: Manager {
        static let ask = RPCMethod<Void, String>("ask", since: "1.0")
        let host = "host"
        let tasks: [PeriodicTask]
        var endpoint: RPCEndpoint { RPCEndpoint { Self.ask.handled { _ in "here" } } }
        var periodicTasks: [PeriodicTask] { self.tasks }
    }

    @Test func `fault 46: a task that throws, overruns or is slow keeps to its grid and disturbs no other`()
        async throws
    {
        let broker = try TestBroker()
        let logs = InMemoryLogHandler()
        let (steady, thrower, slow, stuck) = (Runs(), Runs(), Runs(), Runs())
        let spacing = Duration.milliseconds(200)
        let manager = TroubledManager(tasks: [
            PeriodicTask("steady", every: spacing) { _ in await steady.during {} },
            PeriodicTask("thrower", every: spacing) { _ in try await thrower.during { throw Unlucky() } },
            PeriodicTask("slow", every: spacing) { _ in
                try await slow.during { try await Task.sleep(for: .milliseconds(450)) }
            },
            PeriodicTask("stuck", every: spacing, timeLimit: .milliseconds(100)) { _ in
                try await stuck.during { try await Task.sleep(for: .seconds(3600)) }
            },
        ])
        try await broker.withVirtualHost { name in
            let transport = RabbitMQTransport(try FaultService.configuration(broker.url(virtualHost: name)))
            let logger = Logger(label: "worker") { _ in logs }
            let service = ManagerService(manager, topic: "troubled", transport: transport, logger: logger)
            try await withManagerService(service) { service in
                let client = RPCClient(transport, target: .topic("troubled", server: "host"))
                let entries = try service.tasks.get().table.entries
                // The grids begin when the tasks are started, which is after the service is ready.
                let limit = ContinuousClock.now + .seconds(20)
                while [steady, thrower, slow, stuck].contains(where: { $0.runs == 0 }), .now < limit {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let firstPlans = entries.map(\.plan)
                let start = ContinuousClock.now
                while .now - start < .seconds(4) {
                    // Isolated: requests are answered meanwhile.
                    let asked = ContinuousClock.now
                    #expect(try await client.call(TroubledManager.ask, timeout: .seconds(5)) == "here")
                    #expect(.now - asked < .seconds(1))
                    try await Task.sleep(for: .milliseconds(100))
                }
                let statuses = Dictionary(uniqueKeysWithValues: service.periodicTaskStatuses.map { ($0.name, $0) })
                for (name, runs) in [("steady", steady), ("thrower", thrower), ("slow", slow), ("stuck", stuck)] {
                    #expect(runs.overlaps == 0, "\(name)")
                    FaultFigures.record(fault: 46, "runs of the \(name) task in 4 s, every 0.2 s", count: runs.runs)
                }
                for (entry, first) in zip(entries, firstPlans) {
                    // The next run is at a point of the grid that began with the first, and at most 5 % after it.
                    let plan = entry.plan
                    let steps = (plan.planned - first.planned) / spacing
                    #expect(abs(steps - steps.rounded()) < 1e-6, "\(entry.task.name) left its grid: \(steps)")
                    #expect((0...0.05).contains((plan.due - plan.planned) / spacing), "\(entry.task.name)")
                }
                // Twenty points of the grid, and those before; the machine may be busy.
                #expect((16...24).contains(steady.runs))
                #expect((16...24).contains(thrower.runs))
                #expect(statuses["steady"]?.failures == 0)
                #expect(statuses["thrower"]?.failures == thrower.runs)
                // Each of its runs takes three points.
                #expect((4...9).contains(slow.runs))
                #expect((statuses["slow"]?.overruns ?? 0) >= slow.runs - 1)
                #expect((statuses["slow"]?.skippedRuns ?? 0) >= 2 * (slow.runs - 1))
                #expect((12...24).contains(stuck.runs))
                #expect((statuses["stuck"]?.lastError as? ServiceError)?.code == .timeLimitExceeded)
                #expect(service.readiness == .ready)
            }
            await transport.close()
        }
        // One that fails each time says so once.
        let failures = logs.entries.filter { "\($0.message)" == "periodic task failed" }
        #expect(failures.count == 2, "\(failures)")
    }
}
