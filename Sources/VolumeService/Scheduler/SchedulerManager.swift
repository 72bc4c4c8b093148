public import Logging
public import Messaging
public import ServiceRuntime

/// Knows what all hosts can do by their reports, and sends each new volume to the host that suits best.
///
/// Nothing is kept on disk: a scheduler that starts asks all hosts to report, and is told within moments. Several
/// schedulers may run: a host's space is claimed at the host itself before a volume is sent there (``ClaimsRPC``), so that
/// together they do not promise it twice.
public actor SchedulerManager: Manager, SchedulerOperations {
    /// How a scheduler chooses.
    public struct Configuration: Sendable {
        /// The volume workers' topic.
        public var volumeTopic = VolumeRPC.defaultTopic
        /// The oldest report that counts: cinder's `service_down_time`, 60 s by default.
        public var serviceDownTime: Duration = .seconds(60)
        /// From which difference on a host's clock is worth a line in the log; 10 s by default.
        ///
        /// Nothing depends on it: ages are measured with the scheduler's own clock.
        public var clockSkewLimit: Duration = .seconds(10)
        /// When a host that does not report is forgotten; a day by default.
        public var forgetTime: Duration = .seconds(86_400)
        /// How long a start waits for the hosts' first reports at most; 5 s by default.
        public var startWait: Duration = .seconds(5)
        /// How long a start waits for a further report after the last; 500 ms by default.
        public var quietTime: Duration = .milliseconds(500)
        /// How long a host may take to set space aside before another one is asked; 5 s by default.
        public var claimTimeout: Duration = .seconds(5)
        /// For how long a request for the same volume goes to the same host; 5 minutes by default.
        public var repetitionTime: Duration = .seconds(300)
        /// What is known of the services from the registry; `nil`, the default, where only the hosts' reports count.
        public var services: ServiceDirectory?
        /// What decides beside freshness, capacity and required capabilities.
        public var additionalFilters: [any HostFilter] = []
        /// What decides between suitable hosts; by default the free capacity.
        public var weighers: [any HostWeigher] = [FreeCapacityWeigher()]

        /// Creates the defaults.
        public init() {}
    }

    /// The host that the scheduler runs on.
    public nonisolated let host: String
    /// The version of the software.
    public nonisolated var serviceVersion: String { Software.version }

    nonisolated let configuration: Configuration
    private nonisolated let transport: any Transport
    private var selection: HostSelection
    /// The oldest report that counts at present.
    private var serviceDownTime: Duration
    /// Hosts whose clocks were said to be off.
    private var skewed: Set<String> = []
    private nonisolated let now: @Sendable () -> Duration
    private nonisolated let wallClock: @Sendable () -> Duration
    private nonisolated let logger: Logger
    private var table = HostTable()
    private var assignments = Assignments()
    /// Comes when the hosts were asked to report and have done so, or had their time; `nil` where nobody asks them.
    private var hostsAreKnown: Eventual<Void>?

    /// Creates a scheduler.
    ///
    /// - Parameters:
    ///   - host: The host that the scheduler runs on.
    ///   - transport: What carries the messages to the volume workers.
    ///   - configuration: How it chooses.
    ///   - clock: What ages are measured with.
    ///   - logger: Where it writes.
    public init(
        host: String,
        transport: any Transport,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.scheduler")
    ) {
        self.init(
            host: host,
            transport: transport,
            configuration: configuration,
            clock: clock,
            wallClock: { WireTimestamp.now },
            logger: logger
        )
    }

    /// Creates a scheduler with another time of the calendar than the host's, since the beginning of 1970.
    package init(
        host: String,
        transport: any Transport,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock(),
        wallClock: @escaping @Sendable () -> Duration,
        logger: Logger = Logger(label: "steward.scheduler")
    ) {
        self.host = host
        self.transport = transport
        self.configuration = configuration
        self.serviceDownTime = configuration.serviceDownTime
        self.selection = Self.selection(configuration)
        self.wallClock = wallClock
        let origin = clock.now
        self.now = { origin.duration(to: clock.now) }
        self.logger = logger
    }

    private static func selection(_ configuration: Configuration) -> HostSelection {
        var filters: [any HostFilter] = [
            FreshnessFilter(limit: configuration.serviceDownTime), StandingFilter(), BackendStateFilter(),
            CapacityFilter(), CapabilitiesFilter(),
        ]
        if let services = configuration.services {
            filters.append(RegistryFilter(services, topic: configuration.volumeTopic))
        }
        return HostSelection(
            filters: filters + configuration.additionalFilters,
            weighers: configuration.weighers
        )
    }

    /// Takes over the time after which a host counts as down.
    public func configurationDidChange(_ configuration: ServiceConfiguration, changes: [ServiceOptionChange]) {
        guard changes.contains(where: { $0.name == ServiceOption<Duration>.serviceDownTime.name }) else { return }
        var changed = self.configuration
        changed.serviceDownTime = SchedulerWorker.downTime(
            configuration[.serviceDownTime],
            reportInterval: configuration[.reportInterval]
        )
        serviceDownTime = changed.serviceDownTime
        changed.services?.setDownTime(changed.serviceDownTime)
        selection = Self.selection(changed)
    }

    /// The methods of ``SchedulerRPC``.
    public nonisolated var endpoint: RPCEndpoint {
        RPCEndpoint(SchedulerRPC.contract, serving: self)
    }

    /// Forgets the hosts that are gone for good.
    public nonisolated var periodicTasks: [PeriodicTask] {
        PeriodicTask("forget_hosts", every: .seconds(60)) { _ in await self.forgetHosts() }
        if let services = configuration.services { services.watching }
    }

    /// Lets requests wait that come before the hosts were asked.
    public func initHost() {
        hostsAreKnown = Eventual()
    }

    /// Asks all hosts to report, and waits until they have, or for a short time; without it the first reports would come
    /// within the hosts' own interval.
    public func initHostWithRPC() async throws {
        defer { hostsAreKnown?.fulfil() }
        let volumes = RPCClient(transport, target: .topic(configuration.volumeTopic))
        do {
            let answers = try await volumes.gather(
                VolumeRPC.publishServiceCapabilities,
                context: .admin(),
                within: configuration.startWait,
                quiet: configuration.quietTime
            )
            logger.info("the hosts were asked to report", metadata: ["answers": "\(answers.count)"])
        } catch let error as RPCError {
            logger.info("the hosts could not be asked to report", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Reports

    /// Takes what a host says of itself.
    ///
    /// - Throws: `invalidInput` for a report without a host.
    public func take(_ report: ServiceReport) throws {
        guard report.clusterName.map({ !$0.isEmpty }) ?? true else {
            throw VolumeError.invalidInput("the cluster of a report has a name")
        }
        do {
            _ = try Target.topic(self.configuration.volumeTopic, server: report.host).validated()
        } catch {
            throw VolumeError.invalidInput("a report names a host that can be addressed: \(error.message)")
        }
        let outcome = table.take(report, at: now(), wallTime: wallClock())
        noteSkew(of: report.clusterName ?? report.host)
        if outcome == .setBack {
            logger.info("the clock of a host was set back", metadata: ["host": "\(report.host)"])
        }
        guard outcome == .older || outcome == .full else { return }
        logger.info(
            "report is dropped",
            metadata: [
                "host": "\(report.host)", "reason": outcome == .older ? "older than the last" : "too many hosts",
            ]
        )
    }

    /// Says once that a host's clock is off, and once that it is not any more.
    private func noteSkew(of host: String) {
        guard let skew = table.hosts[host]?.skew else {
            skewed.remove(host)
            return
        }
        let isSkewed = max(skew, .zero - skew) > configuration.clockSkewLimit
        guard isSkewed != skewed.contains(host) else { return }
        if isSkewed {
            skewed.insert(host)
            logger.warning(
                "the clock of a host is off; its reports count all the same",
                metadata: ["host": "\(host)", "seconds": "\(skew.components.seconds)"]
            )
        } else {
            skewed.remove(host)
            logger.info("the clock of a host is right again", metadata: ["host": "\(host)"])
        }
    }

    private func forgetHosts() {
        table.forget(olderThan: configuration.forgetTime, at: now())
        skewed = skewed.filter { table.hosts[$0] != nil }
    }

    /// Reads the table of hosts, ordered by name.
    public func hosts() -> [HostSummary] {
        let now = now()
        return table.hosts.values.sorted { $0.host < $1.host }.map { state in
            let age = now - state.receivedAt
            let usable = state.candidates(at: now).compactMap(\.usableCapacity).filter(\.isFinite)
            return HostSummary(
                host: state.host,
                serviceName: state.serviceName,
                age: (age.inSeconds * 1000).rounded() / 1000,
                isFresh: age <= serviceDownTime,
                clockSkew: state.skew.map { ($0.inSeconds * 1000).rounded() / 1000 },
                reports: state.reports,
                estimatedFreeCapacity: usable.isEmpty ? nil : roundedCapacity(max(0, usable.reduce(0, +))),
                capabilities: state.capabilities
            )
        }
    }

    /// Reads the pools of the volume hosts in cinder's shape, ordered by name.
    ///
    /// - Parameter filters: What a pool must say, by name and equal value; `name` is the pool's name or its host's.
    /// - Returns: The pools that say so.
    public func pools(matching filters: [String: JSONValue] = [:]) -> [PoolSummary] {
        table.candidates(serviceName: "volume", at: now())
            .filter { candidate in
                filters.allSatisfy { name, value in
                    name == "name"
                        ? value == .string(candidate.name) || value == .string(candidate.host)
                        : areEquivalent(candidate.capabilities[name], value)
                }
            }
            .map { PoolSummary(name: $0.name, capabilities: $0.capabilities) }
    }

    // MARK: Scheduling

    /// Chooses a host and asks it to make the volume; returns when the broker has taken the request.
    ///
    /// The same request again goes to the same host, which makes the volume once.
    ///
    /// - Throws: `noValidBackend` with each host's reason; `invalidInput`; `RPCError` where the broker does not take the
    ///   request.
    public func createVolume(_ request: ScheduleVolume) async throws -> ScheduledVolume {
        guard request.size > 0 else {
            throw VolumeError.invalidInput("the size of a volume is at least 1 GiB, not \(request.size)")
        }
        // Before, no host is known, and the volume would be refused.
        await hostsAreKnown?.wait()
        await selection.prepare()
        var (ranked, refusals) = selection.rank(table.candidates(serviceName: "volume", at: now()), for: request)
        let earlier = assignments.assignment(of: request.volumeID, after: now() - configuration.repetitionTime)
        if let earlier {
            guard earlier.size == request.size else {
                throw VolumeError.invalidInput(
                    "volume \(request.volumeID) was scheduled with \(earlier.size) GiB already, not \(request.size)"
                )
            }
            ranked = [HostCandidate(host: earlier.host, pool: earlier.pool, capabilities: [:])]
        }
        for candidate in ranked {
            do {
                if earlier == nil, let refusal = try await claim(request, on: candidate) {
                    refusals[candidate.name] = refusal
                    continue
                }
                return try await send(request, to: candidate)
            } catch let error as RPCError where [.noSuchServer, .invalidTarget].contains(error.code) {
                // The host is gone since its last report: the next one may do.
                refusals[candidate.name] = "it is not reachable"
            }
        }
        logger.info("no host can take the volume", metadata: ["volume": "\(request.volumeID)"])
        throw VolumeError.noValidBackend(refusals)
    }

    private func send(
        _ request: ScheduleVolume,
        to candidate: HostCandidate
    ) async throws -> ScheduledVolume {
        let id = request.volumeID
        assignments.note(id, size: request.size, candidate: candidate, at: now())
        do {
            let volumes = RPCClient(transport, target: .topic(configuration.volumeTopic, server: candidate.host))
            try await volumes.cast(
                VolumeRPC.createVolume,
                CreateVolume(volumeID: id, size: request.size, name: request.name),
                context: .admin()
            )
        } catch {
            // Lost with its connection, the request may have arrived: then the host stays the volume's own.
            if (error as? RPCError)?.code != .connectionLost {
                await release(id, on: candidate)
                assignments.forget(id)
            }
            throw error
        }
        logger.info(
            "volume is scheduled",
            metadata: ["volume": "\(id)", "size_gib": "\(request.size)", "to": "\(candidate.name)"]
        )
        return ScheduledVolume(host: candidate.host)
    }
}

// MARK: - Claims

extension SchedulerManager {
    /// Sets space aside for a volume, with the host if it knows claims, and in any case in the scheduler's own count.
    ///
    /// - Returns: Why the host does not take the volume; `nil` where it does.
    /// - Throws: `RPCError`, where the broker does not take the claim.
    private func claim(_ request: ScheduleVolume, on candidate: HostCandidate) async throws -> String? {
        let id = request.volumeID
        // Before the host answers, so that requests which are served meanwhile see it.
        table.claim(id, size: request.size, on: candidate)
        guard candidate.supportsClaims else { return nil }
        do {
            _ = try await volumes(on: candidate, timeout: configuration.claimTimeout).claimCapacity(
                ClaimCapacity(volumeID: id, size: request.size)
            )
            return nil
        } catch let error as VolumeError {
            table.release(id, on: candidate.host)
            return error.message
        } catch let error as RPCError where error.code == .timeout {
            await release(id, on: candidate)
            return "it did not answer within \(configuration.claimTimeout)"
        } catch {
            table.release(id, on: candidate.host)
            throw error
        }
    }

    /// Gives the space back; a host that does not hear of it does so itself in time.
    private func release(_ id: VolumeID, on candidate: HostCandidate) async {
        table.release(id, on: candidate.host)
        guard candidate.supportsClaims else { return }
        do {
            try await volumes(on: candidate, timeout: configuration.claimTimeout).client.cast(
                ClaimsRPC.releaseCapacity,
                VolumeReference(volumeID: id)
            )
        } catch {
            logger.info("a claim is left to end by itself", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }

    private nonisolated func volumes(on candidate: HostCandidate, timeout: Duration) -> VolumeAPI {
        var options = RPCClient.Options.asSystem
        options.timeout = timeout
        return VolumeAPI(transport, topic: configuration.volumeTopic, options: options).on(host: candidate.host)
    }
}

/// Which hosts volumes were sent to lately, so that a repeated request does not make a volume twice.
struct Assignments {
    /// Where a volume was sent.
    struct Assignment {
        let host: String
        let pool: String
        let size: Int
        let time: Duration
    }

    private var byVolume: [VolumeID: Assignment] = [:]
    /// A bound; what is forgotten early is protected no worse than without this memory.
    private let capacity = 10_000

    func assignment(of id: VolumeID, after limit: Duration) -> Assignment? {
        byVolume[id].flatMap { $0.time >= limit ? $0 : nil }
    }

    mutating func note(_ id: VolumeID, size: Int, candidate: HostCandidate, at now: Duration) {
        if byVolume.count >= capacity, byVolume[id] == nil {
            let middle = byVolume.values.map(\.time).sorted()[capacity / 2]
            byVolume = byVolume.filter { $0.value.time > middle }
        }
        byVolume[id] = Assignment(host: candidate.host, pool: candidate.pool, size: size, time: now)
    }

    mutating func forget(_ id: VolumeID) {
        byVolume[id] = nil
    }
}
