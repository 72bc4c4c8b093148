public import ServiceRuntime
internal import Synchronization

extension VolumeManager {
    /// Not while the driver fails or hangs: then no new volumes are to come here.
    public nonisolated var isWorking: Bool {
        driverFault.withLock { $0 == nil } && driver.longestHang == nil
    }

    /// Refuses changes from now on, or makes them again; what has begun is finished.
    public nonisolated func standingDidChange(_ standing: ServiceStanding) async {
        isFrozen.withLock { $0 = standing.isFrozen }
    }

    /// - Throws: `frozen`.
    nonisolated func refuseWhileFrozen() throws(VolumeError) {
        if isFrozen.withLock({ $0 }) { throw .frozen(host) }
    }
}
