/// What keeps volumes: the particular part of a worker, chosen by configuration.
///
/// ``VolumeManager`` holds the general part. A driver knows nothing of states and requests. Every method bears a repetition: what is already so is no error. The
/// manager never asks for two changes of one volume at the same time.
public protocol VolumeDriver: Sendable {
    /// What the driver is, for the capabilities.
    var information: VolumeDriverInformation { get }

    /// Removes what interrupted work has left; called once, before anything else.
    ///
    /// - Returns: The names of what was removed.
    func removeLeftovers() async throws(VolumeError) -> [String]

    /// Makes a volume of `size` GiB; either all of it is there afterwards, or nothing.
    ///
    /// - Throws: `insufficientSpace`, `conflict` where there is one of another size, `backendFailed`.
    func create(_ id: VolumeID, size: Int) async throws(VolumeError)

    /// Makes a volume larger.
    ///
    /// - Throws: `notFound`, `insufficientSpace`, `conflict` where it is larger already, `backendFailed`.
    func extend(_ id: VolumeID, to size: Int) async throws(VolumeError)

    /// Removes a volume; that there is none is as good.
    ///
    /// - Throws: `backendFailed`.
    func delete(_ id: VolumeID) async throws(VolumeError)

    /// Lists what is there.
    ///
    /// - Throws: `backendFailed`.
    func inventory() async throws(VolumeError) -> VolumeInventory

    /// Measures the space.
    ///
    /// - Throws: `backendFailed`.
    func space() async throws(VolumeError) -> VolumeSpace

    /// Takes over limits that were changed while the worker runs; does nothing by default.
    func reconfigure(_ limits: VolumeDriverLimits) async
}

extension VolumeDriver {
    /// Does nothing.
    public func reconfigure(_ limits: VolumeDriverLimits) async {}
}

/// What a configuration lets a driver use.
public struct VolumeDriverLimits: Sendable, Hashable {
    /// The most that the volumes may have together, in GiB; `nil` for what there is.
    public var maximumCapacity: Double?
    /// How much of the capacity is kept back, in per cent.
    public var reservedPercentage: Int

    /// Describes limits; none by default.
    public init(maximumCapacity: Double? = nil, reservedPercentage: Int = 0) {
        self.maximumCapacity = maximumCapacity
        self.reservedPercentage = reservedPercentage
    }
}

/// What a driver is.
public struct VolumeDriverInformation: Sendable, Hashable {
    /// The version of the driver.
    public var version: String
    /// How its volumes are reached, as cinder names it.
    public var storageProtocol: String

    /// Describes a driver.
    public init(version: String, storageProtocol: String) {
        self.version = version
        self.storageProtocol = storageProtocol
    }
}

/// What a driver holds.
public struct VolumeInventory: Sendable, Hashable {
    /// A volume as the driver sees it.
    public struct Stored: Sendable, Hashable {
        /// How large it is, in bytes.
        public var bytes: Int64
        /// How much of it takes space: the rest of a sparse file was never written.
        public var writtenBytes: Int64

        /// Describes a volume.
        public init(bytes: Int64, writtenBytes: Int64) {
            self.bytes = bytes
            self.writtenBytes = writtenBytes
        }

        /// The size in GiB, or `nil` if it is not a whole number of them.
        public var size: Int? { bytes % gibibyte == 0 ? Int(bytes / gibibyte) : nil }
    }

    /// The volumes.
    public var volumes: [VolumeID: Stored]
    /// The names of what else lies there.
    public var strangers: [String]

    /// Describes what is there.
    public init(volumes: [VolumeID: Stored], strangers: [String] = []) {
        self.volumes = volumes
        self.strangers = strangers
    }
}

/// The space of a driver, in bytes.
public struct VolumeSpace: Sendable, Hashable {
    /// The capacity.
    public var total: Int64
    /// What can still be promised.
    public var free: Int64
    /// The sum of the volumes' sizes.
    public var allocated: Int64
    /// What the volumes take in truth.
    public var written: Int64
    /// How much of the capacity is kept back, in per cent.
    public var reservedPercentage: Int
    /// The volumes that were counted.
    public var volumes: Set<VolumeID>

    /// Describes a space.
    public init(
        total: Int64,
        free: Int64,
        allocated: Int64,
        written: Int64,
        reservedPercentage: Int,
        volumes: Set<VolumeID>
    ) {
        self.total = total
        self.free = free
        self.allocated = allocated
        self.written = written
        self.reservedPercentage = reservedPercentage
        self.volumes = volumes
    }
}

extension Int64 {
    /// Bytes as GiB.
    var inGibibytes: Double { Double(self) / Double(gibibyte) }
}
