internal import Logging
internal import Messaging
internal import Synchronization

/// A service's own row in the registry, and what operators have decided about the service.
///
/// What they decide over RPC holds at once, recorded or not; where the database is away, it is written with the first
/// report after that.
final class ServiceMembership: Sendable {
    private struct State {
        var standing = ServiceStanding()
        /// Counts the changes that came over RPC.
        var revision: UInt64 = 0
        /// What is not recorded yet.
        var pending: ServiceStandingChange?
        var outage: ServiceRegistryError?
        var isPaused = false
        var otherIncarnation: String?
        /// Whether this start has written what the service is; until then the row is that of an earlier one.
        var isEnrolled = false
    }

    let registration: ServiceRegistration
    let registry: (any ServiceRegistry)?
    private let logger: Logger
    private let didChange: @Sendable (ServiceStanding) async -> Void
    private let state = Mutex(State())
    /// One writes at a time: what was decided earlier must not be written after what was decided later.
    private let writing = Turnstile()

    /// Describes a membership; `didChange` is told of each new standing, and last of the last one.
    init(
        _ registration: ServiceRegistration,
        in registry: (any ServiceRegistry)?,
        logger: Logger,
        didChange: @escaping @Sendable (ServiceStanding) async -> Void
    ) {
        self.registration = registration
        self.registry = registry
        self.logger = logger
        self.didChange = didChange
    }

    var standing: ServiceStanding { self.state.withLock(\.standing) }

    /// Whether the standing is in the registry as it is here.
    var isRecorded: Bool {
        self.state.withLock { self.registry != nil && $0.pending == nil && $0.outage == nil }
    }

    /// Degraded while the service cannot be recorded: it works all the same.
    var readiness: Readiness {
        self.state.withLock(\.outage).map { .degraded("the registry of services cannot be used: \($0.message)") }
            ?? .ready
    }

    /// Records the start; that the database is away does not keep the service from it.
    ///
    /// - Throws: What does not pass by itself: `newerSchema`, `invalid`.
    func enroll() async throws(ServiceRegistryError) {
        guard let registry = self.registry else { return }
        do {
            await self.adopt(try await self.tellLife(to: registry), asOf: 0)
        } catch  where [.newerSchema, .invalid].contains(error.code) {
            throw error
        } catch {
            self.note(error)
        }
    }

    /// Reports once more, unless the manager says that it is not well.
    func report(isWorking: Bool) async {
        guard let registry = self.registry else { return }
        let wasPaused = self.state.withLock { state in
            defer { state.isPaused = !isWorking }
            return state.isPaused
        }
        guard isWorking else {
            if !wasPaused { self.logger.error("the manager does not work; nothing is reported until it does") }
            return
        }
        if wasPaused { self.logger.notice("the manager works again; reports go on") }
        guard let turn = await self.writing.enter() else { return }
        defer { turn.end() }
        let revision = self.state.withLock(\.revision)
        do {
            let reported = try await self.tellLife(to: registry)
            let changed = try await self.writePending(to: registry)
            self.note(nil)
            self.noteNamesake(reported)
            await self.adopt(changed ?? reported, asOf: revision)
        } catch {
            if !Task.isCancelled { self.note(error) }
        }
    }

    /// Writes what the service is, once, and from then on that it lives.
    private func tellLife(to registry: any ServiceRegistry) async throws(ServiceRegistryError) -> ServiceRecord {
        if self.state.withLock(\.isEnrolled) { return try await registry.heartbeat(self.registration) }
        let record = try await registry.register(self.registration)
        self.state.withLock { $0.isEnrolled = true }
        return record
    }

    /// Changes the standing, at once for whoever asks the service, and in the registry.
    ///
    /// - Returns: The standing, and whether it is recorded.
    func change(
        _ change: ServiceStandingChange
    ) async throws(ServiceRegistryError) -> (standing: ServiceStanding, isRecorded: Bool) {
        try change.validate()
        self.state.withLock { state in
            state.standing.apply(change)
            state.pending = state.pending?.followed(by: change) ?? change
            state.revision += 1
        }
        await self.tell()
        let isRecorded = await self.record()
        return (self.standing, isRecorded)
    }

    /// Writes what is not recorded yet; answers whether all is.
    private func record() async -> Bool {
        guard let registry = self.registry, let turn = await self.writing.enter() else { return false }
        defer { turn.end() }
        do {
            _ = try await self.writePending(to: registry)
        } catch {
            self.note(error)
            return false
        }
        self.note(nil)
        return true
    }

    /// Writes what is not recorded yet, what is decided meanwhile included; the row afterwards, where there was any.
    ///
    /// To be called by whoever has the turn to write.
    private func writePending(to registry: any ServiceRegistry) async throws(ServiceRegistryError) -> ServiceRecord? {
        var record: ServiceRecord?
        while true {
            let (revision, pending) = self.state.withLock { ($0.revision, $0.pending) }
            guard let pending else { return record }
            do {
                record = try await registry.change(self.registration.key, pending)
            } catch  where error.code == .noSuchService {
                _ = try await registry.register(self.registration)
                record = try await registry.change(self.registration.key, pending)
            }
            self.state.withLock { state in
                if state.revision == revision { state.pending = nil }
            }
        }
    }

    /// Takes over what the registry says, unless RPC has changed it since `revision`.
    private func adopt(_ record: ServiceRecord, asOf revision: UInt64) async {
        let changes = self.state.withLock { state in
            guard state.revision == revision else { return false }
            state.pending = nil
            defer { state.standing = record.standing }
            return state.standing != record.standing
        }
        if changes { await self.tell() }
    }

    /// Tells of the standing until it was told of the last one: several may tell at the same time.
    private func tell() async {
        while true {
            let standing = self.standing
            await self.didChange(standing)
            if self.standing == standing { return }
        }
    }

    private func noteNamesake(_ record: ServiceRecord) {
        let other = record.registration.incarnation
        let isNews = self.state.withLock { state in
            guard other != self.registration.incarnation, other != state.otherIncarnation else { return false }
            state.otherIncarnation = other
            return true
        }
        if isNews {
            self.logger.warning(
                "another process was started under this service's address and reports in the same row",
                metadata: ["service": "\(self.registration.key)"]
            )
        }
    }

    private func note(_ outage: ServiceRegistryError?) {
        let before = self.state.withLock { state in
            defer { state.outage = outage }
            return state.outage
        }
        switch (before, outage) {
        case (nil, let outage?):
            self.logger.error(
                "the registry of services cannot be used; the service goes on",
                metadata: ["error": "\(outage)"]
            )
        case (.some, nil): self.logger.notice("the registry of services can be used again")
        default: break
        }
    }
}

extension ServiceMembership {
    /// The report of life, independent of all that the manager does; none where there is no registry.
    func tasks(of manager: any Manager, every interval: Duration) -> [PeriodicTask] {
        guard self.registry != nil else { return [] }
        return [PeriodicTask("report_state", every: interval) { _ in await self.report(isWorking: manager.isWorking) }]
    }
}

extension ManagerService {
    static func membership(
        of manager: any Manager,
        as target: Target,
        _ configuration: ServiceConfiguration,
        in registry: (any ServiceRegistry)?,
        logger: Logger
    ) -> ServiceMembership {
        var versions: [String] = []
        for endpoint in [manager.endpoint] + manager.additionalEndpoints
        where !versions.contains(endpoint.version.description) {
            versions.append(endpoint.version.description)
        }
        let registration = ServiceRegistration(
            key: ServiceKey(topic: target.topic, host: target.server ?? manager.host),
            binary: CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? target.topic,
            availabilityZone: configuration[.availabilityZone],
            versions: versions
        )
        return ServiceMembership(registration, in: registry, logger: logger) { standing in
            await manager.standingDidChange(standing)
            (manager as? any SchedulerDependentManager)?.serviceCapabilities.update(standing)
        }
    }
}
