import FaultHarness
import Foundation
import InMemoryLogging
import Logging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

@testable import Messaging
@testable import ServiceRuntime
@testable import VolumeService

/// What becomes of services whose hosts stop, or do not agree on the time.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TimeFaultTests {
    private struct TimedManager: Manager {
        let host = "host"
        let tasks: [PeriodicTask]
        let endpoint: RPCEndpoint
        var periodicTasks: [PeriodicTask] { self.tasks }
    }

    // MARK: Long stops

    @Test func `fault 42: after a stop of an hour each task runs once, and on its grid again`() async throws {
        let clock = VirtualClock()
        let broker = InMemoryBroker(clock: clock)
        let transport = InMemoryTransport(broker)
        let runs = Mutex([ContinuousClock.Instant]())
        let (started, gate) = (Eventual<Void>(), Eventual<Void>())
        let manager = TimedManager(
            tasks: [
                PeriodicTask("minutely", every: .seconds(60), jitter: 0) { _ in runs.withLock { $0.append(clock.now) } }
            ],
            endpoint: RPCEndpoint {
                RPCHandler("wait") { _, _ in
                    started.fulfil()
                    await gate.wait()
                    return .null
                }
            }
        )
        let service = ManagerService(manager, topic: "timed", transport: transport, clock: clock)
        try await withManagerService(service) { service in
            // Whatever fails below, the service can end.
            defer { gate.fulfil() }
            let start = clock.now
            await clock.waitForSleeper(until: .seconds(60))
            clock.jump(by: .seconds(60))
            try await until(within: .seconds(5), "the first run") { runs.withLock(\.count) == 1 }
            await clock.waitForSleeper(until: .seconds(120))

            // A call that is under way when the machine stops is over at its deadline, and ends once.
            let call = Task {
                try await RPCClient(transport, target: .topic("timed")).call("wait", timeout: .seconds(90))
            }
            await started.wait()
            clock.jump(by: .seconds(3600))
            let outcome = await call.result
            #expect(throws: RPCError.self) { try outcome.get() }
            try await until(within: .seconds(5), "the run after the stop") { runs.withLock(\.count) == 2 }
            // The 59 points of the grid that went by are left out.
            await clock.waitForSleeper(until: .seconds(3720))
            #expect(service.periodicTaskStatuses.first?.skippedRuns ?? 0 >= 58)
            clock.jump(by: .seconds(60))
            try await until(within: .seconds(5), "the next run") { runs.withLock(\.count) == 3 }
            await clock.waitForSleeper(until: .seconds(3780))
            for (index, seconds) in [60, 3660, 3720].enumerated() {
                #expect(runs.withLock { $0[index] } - start == .seconds(seconds))
            }
        }
        await transport.close()
    }

    // MARK: Real processes

    private struct Stage {
        let worker: ProgramProcess
        let scheduler: ProgramProcess
        let hosts: VolumeSchedulerAPI
        let volumes: VolumeAPI

        func host() async throws -> HostSummary? { try await self.hosts.hosts().first }

        /// Looks for a time at what the scheduler thinks, and answers how many reports came.
        func expectLife(for time: Duration, _ what: String) async throws -> Int {
            let start = ContinuousClock.now
            let before = try #require(try await self.host()).reports
            while .now - start < time {
                let host = try #require(try await self.host(), "\(what)")
                #expect(host.isFresh, "\(what): \(host.age) s")
                #expect(host.age >= 0 && host.age < 2, "\(what): \(host.age) s")
                let asked = ContinuousClock.now
                #expect(try await self.volumes.client.call(ManagerRPC.serviceVersion, timeout: .seconds(5)) != "")
                #expect(.now - asked < .seconds(1), "\(what)")
                try await Task.sleep(for: .milliseconds(50))
            }
            return try #require(try await self.host()).reports - before
        }
    }

    /// A scheduler that takes a host for dead after 2 s, and a worker that reports twice a second; processes both.
    private func withStage(
        in directory: String,
        workerClock: ShiftedClock? = nil,
        schedulerClock: ShiftedClock? = nil,
        _ body: (Stage) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            func arguments(_ host: String) -> [String] {
                ["--host", host]
                    + [
                        "transport_url=\(url)", "report_interval=0.5", "state_path=\(directory)/state",
                    ].flatMap { ["--option", $0] }
            }
            try await ProgramProcess.with(
                "scheduler-worker",
                arguments("scheduler-1") + ["--option", "service_down_time=2"],
                environment: schedulerClock?.environment ?? [:],
                in: directory
            ) { scheduler in
                try await ProgramProcess.with(
                    "volume-worker",
                    arguments("node-1"),
                    environment: workerClock?.environment ?? [:],
                    in: directory
                ) { worker in
                    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                    let stage = Stage(
                        worker: worker,
                        scheduler: scheduler,
                        hosts: VolumeSchedulerAPI(transport),
                        volumes: VolumeAPI(transport).on(host: "node-1")
                    )
                    do {
                        try await scheduler.waitForLines(with: "ready")
                        try await worker.waitForLines(with: "ready")
                        try await until(within: .seconds(10), "a report") { try await stage.host() != nil }
                        try await body(stage)
                    } catch {
                        await transport.close()
                        throw error
                    }
                    await transport.close()
                }
            }
        }
    }

    @Test func `fault 42: a wall clock that jumps an hour, or a second, changes neither life nor rhythm`() async throws
    {
        try await withFaultDirectory { directory in
            let none: Comment = "no compiler is at hand, which moves the clocks of real processes"
            let workerClock = try #require(try await ShiftedClock(in: directory, name: "worker"), none)
            let schedulerClock = try #require(try await ShiftedClock(in: directory, name: "scheduler"), none)
            try await self.withStage(in: directory, workerClock: workerClock, schedulerClock: schedulerClock) { stage in
                for (clock, name) in [(workerClock, "worker"), (schedulerClock, "scheduler")] {
                    for seconds: Int64 in [1, -3600, 0, 3600] {
                        try clock.shift(by: seconds)
                        let what = "\(name) by \(seconds) s"
                        let reports = try await stage.expectLife(for: .milliseconds(2_500), what)
                        // Five are due, twice: by the task and by the change of a value; a burst would be thousands.
                        #expect((3...11).contains(reports), "\(what): \(reports) reports in 2.5 s")
                    }
                    let skew = try #require(try await stage.host()?.clockSkew)
                    let expected = name == "worker" ? 3600.0 : 0
                    #expect(abs(skew - expected) < 5, "\(name): \(skew)")
                    if name == "worker" {
                        let lines = try stage.scheduler.lines(with: "the clock of a host is off")
                        #expect(lines.count <= 2, "\(lines)")
                        #expect(!lines.isEmpty)
                    }
                }
                FaultFigures.record(fault: 42, "hosts taken for dead in 8 jumps of a clock", count: 0)
            }
        }
    }

    @Test func `fault 42: a process that was stopped for longer than it may be silent catches nothing up`() async throws
    {
        try await withFaultDirectory { directory in
            try await self.withStage(in: directory) { stage in
                let before = try #require(try await stage.host()).reports
                stage.worker.send(SIGSTOP)
                // It is dead to the scheduler while it stands, as it should be.
                try await until(within: .seconds(10), "the host is stale") { try await stage.host()?.isFresh == false }
                try await Task.sleep(for: .seconds(3))
                let stopped = try #require(try await stage.host()).reports
                #expect(stopped - before <= 2)
                stage.worker.send(SIGCONT)
                let fresh = try await until(within: .seconds(5), "the host is back") {
                    try await stage.host()?.isFresh == true
                }
                FaultFigures.record(fault: 42, "alive again after a stop of 5 s", fresh)
                // Ten runs went by; one is made up for.
                let reports = try await stage.expectLife(for: .seconds(2), "after the stop")
                #expect(try #require(try await stage.host()).reports - stopped <= 11, "\(reports)")
            }
        }
    }

    // MARK: Skew

    @Test func `fault 43: hosts whose clocks are off are alive, and the scheduler tells how far they are off`()
        async throws
    {
        let broker = try TestBroker()
        let logs = InMemoryLogHandler()
        try await broker.withVirtualHost { name in
            let transport = RabbitMQTransport(try FaultService.configuration(broker.url(virtualHost: name)))
            let scheduler = SchedulerManager(
                host: "scheduler-1",
                transport: transport,
                logger: Logger(label: "scheduler") { _ in logs }
            )
            try await withManagerService(
                ManagerService(scheduler, topic: "cinder-scheduler", transport: transport)
            ) { _ in
                let skews: [String: Int?] = ["ahead": 3600, "behind": -3600, "right": 0, "silent": nil]
                for round in 1...3 {
                    for (host, skew) in skews { try await self.report(host, skew, round, over: transport) }
                    try await until(within: .seconds(10), "round \(round)") {
                        await scheduler.hosts().count { $0.reports == round } == 4
                    }
                }
                for host in await scheduler.hosts() {
                    #expect(host.isFresh, "\(host)")
                    let expected: Int?? = skews[host.host]
                    if let expected = expected ?? nil {
                        #expect(abs(try #require(host.clockSkew) - Double(expected)) < 5)
                    } else {
                        #expect(host.clockSkew == nil)
                    }
                }
                // All of them get work.
                let pools = await scheduler.pools().map(\.name)
                #expect(pools.count == 4)
                let off = logs.entries.filter { "\($0.message)".contains("is off") }
                #expect(off.count == 2, "once for each host, and not with each report: \(off)")

                // Put right: one goes back an hour, which must not make its reports old ones.
                for round in 4...6 {
                    for host in ["ahead", "behind"] { try await self.report(host, 0, round, over: transport) }
                    try await Task.sleep(for: .milliseconds(50))
                    #expect(await scheduler.hosts().allSatisfy(\.isFresh))
                }
                try await until(within: .seconds(10), "both are right") {
                    await scheduler.hosts().filter { ["ahead", "behind"].contains($0.host) }
                        .allSatisfy { abs($0.clockSkew ?? 99) < 5 && $0.capabilities["round"] == 6 }
                }
                let right = logs.entries.filter { "\($0.message)" == "the clock of a host is right again" }
                #expect(right.count == 2, "\(right)")
                FaultFigures.record(fault: 43, "hosts taken for dead of 2 that are off by an hour", count: 0)
            }
            await transport.close()
        }
    }

    /// Reports as a host does whose clock is off, or that does not tell its time.
    private func report(_ host: String, _ skew: Int?, _ round: Int, over transport: RabbitMQTransport) async throws {
        let report = SchedulerAPI.CapabilityReport(
            serviceName: "volume",
            host: host,
            capabilities: ["free_capacity_gb": 10, "total_capacity_gb": 10, "round": .integer(round)],
            timestamp: skew.map { WireTimestamp.text(WireTimestamp.now + .seconds($0)) }
        )
        try await SchedulerAPI(transport).updateServiceCapabilities(report)
    }
}
