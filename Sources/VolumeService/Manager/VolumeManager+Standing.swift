public import ServiceRuntime
internal import Synchronization

extension VolumeManager {
    /// Not while the driver fails or hangs: then no new volumes are to come here.
    public nonisolated var isWorking: Bool {
        driverFault.withLock { $0 == nil } && driver.longestHang == nil
    }

    /// Refuses changes from now on, or makes them again; what has begun is finished.
    public nonisolated func standingDidChange(_ standing: ServiceStanding) async {
        self.standing.withLock { $0 = standing }
    }

    /// Refuses all that would change something.
    ///
    /// - Throws: `outOfUse`.
    nonisolated func refuseWhileFrozen() throws(VolumeError) {
        guard standing.withLock(\.isFrozen) else { return }
        throw .outOfUse("host \(host) is frozen and changes nothing until it is thawed")
    }

    /// Refuses what schedulers ask beforehand, also those that have not heard yet that the host is disabled.
    ///
    /// - Throws: `outOfUse`.
    nonisolated func refuseNewWork() throws(VolumeError) {
        try refuseWhileFrozen()
        let standing = standing.withLock { $0 }
        guard standing.isDisabled else { return }
        throw .outOfUse("host \(host) is disabled" + (standing.disabledReason.map { ": \($0)" } ?? ""))
    }
}
