extension VolumeManager {
    /// Reads what the volumes take, and what lies among them without belonging there.
    public func diskUsage() async throws -> DiskUsage {
        let space = try await driver.space()
        let inventory = try await driver.inventory()
        let known = Set(try await table.all().map(\.id))
        return DiskUsage(
            totalBytes: space.total,
            freeBytes: space.free,
            allocatedBytes: space.allocated,
            writtenBytes: space.written,
            volumes: space.volumes.count,
            orphans: inventory.volumes.keys.filter { !known.contains($0) }.sorted(),
            strangers: inventory.strangers
        )
    }

    /// Compares what the database and the driver say of a volume.
    ///
    /// - Throws: `notFound` where neither knows it.
    public func checkVolume(_ id: VolumeID) async throws -> VolumeCheck {
        let volume = try await table.volume(id)
        let stored = try await driver.inventory().volumes[id]
        guard volume != nil || stored != nil else { throw VolumeError.notFound(id) }
        let finding: String? =
            if let volume {
                switch Reconciliation(of: volume, stored: stored) {
                case .keep: volume.fault
                case .change(let settled): settled.fault ?? "the volume is \(volume.status)"
                case .delete: "a deletion is not finished"
                }
            } else {
                "the database does not know the volume"
            }
        return VolumeCheck(
            volumeID: id,
            status: volume?.status.rawValue,
            expectedBytes: volume.map { Int64($0.size) * gibibyte },
            storedBytes: stored?.bytes,
            writtenBytes: stored?.writtenBytes,
            isConsistent: volume?.status == .available && finding == nil,
            finding: finding
        )
    }
}
