/// Keeps volumes as sparse files `volume-ID` in a directory.
///
/// - A volume gets a temporary name, is written to the disk, and only then gets its own name, so that a file under a
///   volume's name is whole whenever the machine stops.
/// - Names are made of a ``VolumeID``, relative to the open directory, and symbolic links are not followed: nothing
///   outside of the directory can be reached.
/// - Capacity is set aside when a volume is made, although its file takes no space yet; more is never promised than the
///   file system has, less the reserve.
/// - The directory is locked: a second process with the same one fails to start instead of damaging volumes.
public actor DirectoryDriver: VolumeDriver {
    /// How a driver keeps its volumes.
    public struct Configuration: Sendable, Hashable {
        /// The directory of the worker's state, made where it is missing; the volumes are in `volumes` below it.
        public var statePath: String
        /// The most that the volumes may have together, in GiB; `nil`, the default, for what the file system has.
        public var maximumCapacity: Double?
        /// How much of the capacity is kept back, in per cent; none by default.
        public var reservedPercentage = 0

        /// Creates a configuration with the defaults.
        public init(statePath: String) { self.statePath = statePath }
    }

    /// What the driver is.
    public nonisolated let information = VolumeDriverInformation(version: "1.0.0", storageProtocol: "file")

    private var configuration: Configuration
    private let directory: DirectoryHandle
    private let executor = SerialQueueExecutor(label: "directory-driver")

    /// The driver's own thread of work.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Opens the directory, makes it where it is missing, and locks it.
    ///
    /// - Throws: `invalidInput` for a configuration that makes no sense; `backendFailed` where the directory cannot be
    ///   opened or belongs to another process.
    public init(_ configuration: Configuration) throws(VolumeError) {
        guard (0...100).contains(configuration.reservedPercentage) else {
            throw .invalidInput("reserved_percentage is \(configuration.reservedPercentage), not between 0 and 100")
        }
        if let capacity = configuration.maximumCapacity {
            // The bound keeps the capacity in bytes an Int64: 8 EiB are 2^33 GiB.
            guard capacity > 0, capacity < 8_589_934_592 else {
                throw .invalidInput("max_capacity_gb is \(capacity), not between 0 and 2^33")
            }
        }
        self.configuration = configuration
        do {
            self.directory = try DirectoryHandle.open(configuration.statePath).openDirectory("volumes")
            try directory.lock()
        } catch {
            let path = configuration.statePath + "/volumes"
            let hint = error.isHeldByAnother ? "; another worker uses it: give each its own state_path" : ""
            throw .backendFailed("\(path): \(error)\(hint)", cause: error)
        }
    }

    /// Removes the temporary files of interrupted creations.
    public func removeLeftovers() throws(VolumeError) -> [String] {
        do {
            let leftovers = try directory.entries().filter { $0.name.hasPrefix(Self.temporaryPrefix) && $0.isFile }
            for leftover in leftovers { try directory.removeFile(leftover.name) }
            try directory.synchronize()
            return leftovers.map(\.name).sorted()
        } catch {
            throw .backendFailed("\(error)", cause: error)
        }
    }

    /// Makes a volume of `size` GiB.
    public func create(_ id: VolumeID, size: Int) throws(VolumeError) {
        let space = try space()
        let bytes = try bytes(of: size, for: id, space: space)
        if let stored = try file(of: id) {
            guard stored.bytes == bytes else {
                throw .conflict(id, "volume \(id) has \(stored.bytes) bytes, not \(size) GiB")
            }
            return
        }
        try check(space, has: bytes, for: id, requested: size)
        let temporary = Self.temporaryPrefix + id.text
        do {
            if try directory.entry(temporary) != nil { try directory.removeFile(temporary) }
            try directory.makeSparseFile(temporary, bytes: bytes)
            try directory.rename(temporary, to: Self.fileName(id))
            try directory.synchronize()
        } catch {
            // What is left under the temporary name takes no space and is removed at the next creation or start.
            throw failure(error, id, requested: size, space: space)
        }
    }

    /// Makes a volume larger.
    public func extend(_ id: VolumeID, to size: Int) throws(VolumeError) {
        let space = try space()
        let bytes = try bytes(of: size, for: id, space: space)
        guard let stored = try file(of: id) else { throw .notFound(id) }
        guard stored.bytes <= bytes else {
            throw .conflict(id, "volume \(id) has \(stored.bytes) bytes already, more than \(size) GiB")
        }
        guard stored.bytes < bytes else { return }
        try check(space, has: bytes - stored.bytes, for: id, requested: size)
        do {
            try directory.growFile(Self.fileName(id), to: bytes)
        } catch {
            throw failure(error, id, requested: size, space: space)
        }
    }

    /// Removes a volume.
    public func delete(_ id: VolumeID) throws(VolumeError) {
        guard try file(of: id) != nil else { return }
        do {
            try directory.removeFile(Self.fileName(id))
            try directory.synchronize()
        } catch {
            throw .backendFailed("\(error)", volumeID: id, cause: error)
        }
    }

    /// Lists the volumes, and what else lies in the directory.
    public func inventory() throws(VolumeError) -> VolumeInventory {
        var inventory = VolumeInventory(volumes: [:])
        do {
            for entry in try directory.entries() {
                if entry.isFile, let id = Self.volumeID(fileName: entry.name) {
                    inventory.volumes[id] = VolumeInventory.Stored(
                        bytes: entry.bytes,
                        writtenBytes: entry.writtenBytes
                    )
                } else {
                    inventory.strangers.append(entry.name)
                }
            }
        } catch {
            throw .backendFailed("\(error)", cause: error)
        }
        inventory.strangers.sort()
        return inventory
    }

    /// Measures the space: the least of what the configuration and the file system leave, after all that was promised.
    public func space() throws(VolumeError) -> VolumeSpace {
        let volumes = try inventory().volumes
        let stored = volumes.values
        let fileSystem: (total: Int64, available: Int64)
        do {
            fileSystem = try directory.fileSystemSpace()
        } catch {
            throw .backendFailed("\(error)", cause: error)
        }
        let limit = configuration.maximumCapacity.map { Int64($0 * Double(gibibyte)) }
        let total = min(limit ?? .max, fileSystem.total)
        let allocated = stored.reduce(into: Int64(0)) { $0 = $0.addingClamped($1.bytes) }
        let unwritten = stored.reduce(into: Int64(0)) { $0 = $0.addingClamped(max(0, $1.bytes - $1.writtenBytes)) }
        return VolumeSpace(
            total: total,
            free: max(0, min(total - allocated, fileSystem.available - unwritten)),
            allocated: allocated,
            written: stored.reduce(into: Int64(0)) { $0 = $0.addingClamped($1.writtenBytes) },
            reservedPercentage: configuration.reservedPercentage,
            volumes: Set(volumes.keys)
        )
    }

    /// Takes over limits; volumes that are there stay, whatever the new limits are.
    public func reconfigure(_ limits: VolumeDriverLimits) {
        configuration.maximumCapacity = limits.maximumCapacity
        configuration.reservedPercentage = limits.reservedPercentage
    }

    // MARK: Checks

    private func file(of id: VolumeID) throws(VolumeError) -> DirectoryHandle.Entry? {
        let entry: DirectoryHandle.Entry?
        do {
            entry = try directory.entry(Self.fileName(id))
        } catch {
            throw .backendFailed("\(error)", volumeID: id, cause: error)
        }
        guard let entry else { return nil }
        guard entry.isFile else {
            throw .backendFailed("\(entry.name) is not a file but something else; remove it", volumeID: id)
        }
        return entry
    }

    private func bytes(of size: Int, for id: VolumeID, space: VolumeSpace) throws(VolumeError) -> Int64 {
        guard size > 0 else { throw .invalidInput("the size of a volume is at least 1 GiB, not \(size)") }
        let (bytes, overflows) = Int64(size).multipliedReportingOverflow(by: gibibyte)
        guard !overflows else { throw lacking(space, id, requested: size) }
        return bytes
    }

    private func check(
        _ space: VolumeSpace,
        has bytes: Int64,
        for id: VolumeID,
        requested: Int
    ) throws(VolumeError) {
        guard bytes <= space.free - space.reserved else { throw lacking(space, id, requested: requested) }
    }

    private func lacking(_ space: VolumeSpace, _ id: VolumeID, requested: Int) -> VolumeError {
        .insufficientSpace(
            id,
            requested: requested,
            free: (space.free - space.reserved).inGibibytes,
            total: space.total.inGibibytes
        )
    }

    private func failure(
        _ error: SystemError,
        _ id: VolumeID,
        requested: Int,
        space: VolumeSpace
    ) -> VolumeError {
        error.isLackOfSpace
            ? lacking(space, id, requested: requested)
            : .backendFailed("\(error)", volumeID: id, cause: error)
    }

    // MARK: Names

    private static let prefix = "volume-"
    // It cannot be a volume's name, since an id has no point.
    private static let temporaryPrefix = ".new-volume-"

    static func fileName(_ id: VolumeID) -> String { prefix + id.text }

    private static func volumeID(fileName: String) -> VolumeID? {
        guard fileName.hasPrefix(prefix) else { return nil }
        return VolumeID(fileName.dropFirst(prefix.count))
    }
}

extension VolumeSpace {
    /// What is kept back, in bytes; whole GiB, rounded down as cinder's scheduler does it.
    var reserved: Int64 {
        Int64(total.inGibibytes * Double(reservedPercentage) / 100) * gibibyte
    }
}

extension Int64 {
    /// The sum, or the largest number where there is none.
    fileprivate func addingClamped(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}
