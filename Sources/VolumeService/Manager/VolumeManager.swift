public import Logging
public import Messaging
public import ServiceRuntime
internal import Synchronization

/// Manages the volumes of one host: keeps their states in a database, lets a driver keep their data, and tells the
/// schedulers what space is left.
///
/// The database is written before and after each step of the driver. A worker that is killed in between finds at its next
/// start what had begun, and ``initHost()`` brings the database and the driver to agree. Changes of one volume wait for
/// each other; those of different volumes do not.
public actor VolumeManager: SchedulerDependentManager, VolumeOperations, VolumeDiagnostics, VolumeClaims {
    /// How a manager presents itself.
    public struct Configuration: Sendable, Hashable {
        /// The name of the backend, which schedulers may require.
        public var backendName = "directory"
        /// How often the driver is asked for its space.
        public var reportInterval: Duration = .seconds(60)
        /// How long a call of the driver may take before it fails; 60 s by default.
        public var driverTimeLimit: Duration = .seconds(60)

        /// Creates the defaults.
        public init() {}
    }

    /// The host that is served.
    public nonisolated let host: String
    /// The version of the software.
    public nonisolated var serviceVersion: String { Software.version }
    /// What a cinder scheduler knows this kind of service as.
    public nonisolated let serviceName = "volume"
    /// What was last said to the schedulers.
    public nonisolated let serviceCapabilities = ServiceCapabilities()

    nonisolated let configuration: Configuration
    nonisolated let driver: LimitedDriver
    nonisolated let table: VolumeTable
    nonisolated let logger: Logger
    private nonisolated let queue = KeyedQueue<VolumeID>()
    private var lastCapabilities: Capabilities?
    var claims = CapacityClaims()
    nonisolated let clock: MonotonicClock
    /// What the driver's last measurement failed with.
    nonisolated let driverFault = Mutex<VolumeError?>(nil)
    /// What operators have decided about the host.
    nonisolated let standing = Mutex(ServiceStanding())

    /// Creates a manager.
    ///
    /// - Parameters:
    ///   - host: The host that is served.
    ///   - driver: What keeps the volumes' data.
    ///   - database: What keeps the volumes' states.
    ///   - configuration: How the manager presents itself.
    ///   - clock: What the limits of claims and calls are measured with.
    ///   - logger: Where the manager writes.
    public init(
        host: String,
        driver: any VolumeDriver,
        database: VolumeTable,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.volume")
    ) {
        self.host = host
        self.driver = LimitedDriver(driver, limit: configuration.driverTimeLimit, clock: clock)
        self.clock = MonotonicClock(clock)
        self.table = database
        self.configuration = configuration
        self.logger = logger
    }

    /// The methods of ``VolumeRPC``; `publish_service_capabilities` is answered by the service around the manager.
    public nonisolated var endpoint: RPCEndpoint {
        RPCEndpoint(VolumeRPC.contract, serving: self)
    }

    /// The methods of ``DiagnosticsRPC`` and ``ClaimsRPC``.
    public nonisolated var additionalEndpoints: [RPCEndpoint] {
        [RPCEndpoint(DiagnosticsRPC.contract, serving: self), RPCEndpoint(ClaimsRPC.contract, serving: self)]
    }

    /// Asks the driver for its space; a changed value is published at once, the same one by the service every interval.
    public nonisolated var periodicTasks: [PeriodicTask] {
        PeriodicTask(
            "report_driver_status",
            every: configuration.reportInterval,
            timeLimit: .seconds(30)
        ) { _ in
            try await self.reportDriverStatus()
        }
        PeriodicTask("check_database", every: configuration.reportInterval) { _ in await self.table.probe() }
    }

    /// Brings the database and the driver to agree, and measures the space.
    public func initHost() async throws {
        try await reconcile()
        try await refreshCapabilities()
    }

    // MARK: Volumes

    /// Reads one volume.
    public func volume(_ id: VolumeID) async throws -> Volume {
        guard let volume = try await table.volume(id) else { throw VolumeError.notFound(id) }
        return volume
    }

    /// Reads all volumes.
    public func volumes() async throws -> [Volume] {
        try await table.all()
    }

    /// Makes a volume.
    public func createVolume(_ request: CreateVolume) async throws -> Volume {
        try refuseWhileFrozen()
        guard request.size > 0 else {
            throw VolumeError.invalidInput("the size of a volume is at least 1 GiB, not \(request.size)")
        }
        guard request.name.map({ $0.utf8.count <= 255 }) ?? true else {
            throw VolumeError.invalidInput("the name of a volume has at most 255 bytes")
        }
        return try await change(request.volumeID) { try await self.create(request) }
    }

    /// Removes a volume.
    public func deleteVolume(_ id: VolumeID) async throws {
        try refuseWhileFrozen()
        return try await change(id) { try await self.delete(id) }
    }

    /// Makes a volume larger.
    public func extendVolume(_ id: VolumeID, to size: Int) async throws -> Volume {
        try refuseWhileFrozen()
        return try await change(id) { try await self.extend(id, to: size) }
    }

    /// Changes one volume while nobody else does; what has begun is finished although the request may be cancelled, so
    /// that no volume is left between two states.
    private func change<Value: Sendable>(
        _ id: VolumeID,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await queue.run(id) {
            try await Task { try await body() }.value
        }
    }

    private func create(_ request: CreateVolume) async throws -> Volume {
        let id = request.volumeID
        var volume: Volume
        if let known = try await table.volume(id) {
            guard known.size == request.size else {
                throw VolumeError.conflict(id, "volume \(id) exists with \(known.size) GiB, not \(request.size)")
            }
            switch known.status {
            case .available, .extending: return known
            // The request comes again after it failed or was interrupted.
            case .creating, .error: volume = known
            default: throw VolumeError.conflict(id, "volume \(id) is \(known.status)")
            }
        } else {
            guard try await driver.inventory().volumes[id] == nil else {
                throw VolumeError.conflict(
                    id,
                    "host \(host) holds data of volume \(id), which its database does not know"
                )
            }
            let now = wireTimestamp()
            volume = Volume(
                id: id,
                name: request.name,
                size: request.size,
                status: .creating,
                host: host,
                createdAt: now,
                updatedAt: now
            )
        }
        volume.status = .creating
        volume.fault = nil
        try await table.save(volume)
        do {
            try await holdingClaim(id, size: request.size) { () async throws(VolumeError) in
                try await self.driver.create(id, size: request.size)
            }
        } catch {
            volume.status = .error
            volume.fault = error.message
            try await table.save(volume)
            throw error
        }
        return try await finish(volume, "volume is created")
    }

    private func extend(_ id: VolumeID, to size: Int) async throws -> Volume {
        var volume = try await volume(id)
        guard volume.status == .available else {
            throw VolumeError.conflict(id, "volume \(id) must be available to be extended, and is \(volume.status)")
        }
        guard size >= volume.size else {
            throw VolumeError.invalidInput("volume \(id) has \(volume.size) GiB already, more than \(size)")
        }
        // The request may have come before: then it is done.
        guard size > volume.size else { return volume }
        volume.status = .extending
        try await table.save(volume)
        do {
            try await checkClaims(beside: id, before: size - volume.size)
            try await driver.extend(id, to: size)
        } catch {
            try await settle(volume, after: error)
            throw error
        }
        volume.size = size
        return try await finish(volume, "volume is extended")
    }

    /// Looks how far a failed extension came.
    private func settle(_ volume: Volume, after error: VolumeError) async throws {
        var settled = volume
        do {
            let stored = try await driver.inventory().volumes[volume.id]
            if case .change(let change) = Reconciliation(of: volume, stored: stored) { settled = change }
        } catch let second {
            logger.info("a failed extension cannot be looked at", metadata: ["error": "\(second)"])
            settled.status = .error
            settled.fault = error.message
        }
        try await table.save(settled)
    }

    private func delete(_ id: VolumeID) async throws {
        guard var volume = try await table.volume(id) else {
            logger.debug("volume to be deleted is not there", metadata: ["volume": "\(id)"])
            return
        }
        volume.status = .deleting
        volume.fault = nil
        try await table.save(volume)
        do {
            try await driver.delete(id)
        } catch {
            volume.status = .errorDeleting
            volume.fault = error.message
            try await table.save(volume)
            throw error
        }
        claims.drop(id)
        try await table.remove(id)
        logger.info("volume is deleted", metadata: ["volume": "\(id)"])
        await refreshAfterChange()
    }

    private func finish(_ volume: Volume, _ message: Logger.Message) async throws -> Volume {
        var volume = volume
        volume.status = .available
        volume = try await table.save(volume)
        logger.info(message, metadata: ["volume": "\(volume.id)", "size_gib": "\(volume.size)"])
        await refreshAfterChange()
        return volume
    }

    // MARK: Capabilities

    /// Reads what the host can do.
    public func capabilities(discover: Bool) async throws -> Capabilities {
        if !discover, let lastCapabilities { return lastCapabilities }
        try await refreshCapabilities()
        return try await currentCapabilities()
    }

    /// Measures the space, within the time limit of the periodic task.
    ///
    /// A driver that hangs does not heed a cancellation, so that waiting for it would leave the schedulers with what it
    /// said last.
    func reportDriverStatus() async throws {
        try await withTaskCancellationHandler {
            try await refreshCapabilities()
        } onCancel: {
            reportDown()
        }
    }

    /// Measures the space and remembers it for the schedulers; a driver that cannot is reported as down.
    func refreshCapabilities() async throws {
        do {
            let capabilities = try await currentCapabilities()
            driverFault.withLock { $0 = nil }
            lastCapabilities = capabilities
            try updateServiceCapabilities(encoding: capabilities)
        } catch {
            driverFault.withLock { $0 = error as? VolumeError ?? $0 }
            reportDown()
            throw error
        }
    }

    /// Says that the driver is down, and that all the rest is what it said before.
    private nonisolated func reportDown() {
        guard var capabilities = serviceCapabilities.latest?.objectValue else { return }
        capabilities["backend_state"] = "down"
        capabilities["free_capacity_gb"] = 0
        capabilities["stale"] = true
        updateServiceCapabilities(.object(capabilities))
    }

    /// Measures the space after a change that has succeeded, whatever becomes of the report.
    func refreshAfterChange() async {
        do {
            try await refreshCapabilities()
        } catch {
            logger.info("the space cannot be measured", metadata: ["error": "\(error)"])
        }
    }

    private func currentCapabilities() async throws -> Capabilities {
        let space = try await driver.space()
        claims.dropEnded(at: clock.now())
        let claimed = (space.free - space.reserved).inGibibytes - claims.free(of: space)
        return Capabilities(
            volumeBackendName: configuration.backendName,
            driverVersion: driver.information.version,
            storageProtocol: driver.information.storageProtocol,
            totalCapacity: roundedCapacity(space.total.inGibibytes),
            freeCapacity: roundedCapacity(max(0, space.free.inGibibytes - claimed)),
            allocatedCapacity: roundedCapacity(space.allocated.inGibibytes),
            provisionedCapacity: roundedCapacity(space.allocated.inGibibytes),
            reservedPercentage: space.reservedPercentage,
            totalVolumes: space.volumes.count
        )
    }
}
