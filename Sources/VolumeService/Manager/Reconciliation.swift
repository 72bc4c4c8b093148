internal import Logging

/// What is to be done with a volume, after what its database and its driver say of it.
enum Reconciliation: Equatable {
    /// They agree.
    case keep
    /// The database is to be changed.
    case change(Volume)
    /// A deletion is to be finished.
    case delete

    /// Compares.
    ///
    /// - Parameters:
    ///   - volume: What the database says.
    ///   - stored: What the driver holds; `nil` for nothing.
    init(of volume: Volume, stored: VolumeInventory.Stored?) {
        switch volume.status {
        case .deleting:
            self = .delete
            return
        case .errorDeleting:
            // Somebody has removed by hand what the driver could not; else it stays an error that people shall see.
            self = stored == nil ? .delete : .keep
            return
        default:
            break
        }
        var settled = volume
        switch (stored, stored?.size) {
        case (nil, _):
            settled.status = .error
            settled.fault =
                volume.status == .creating
                ? "the worker stopped before the volume was made; ask for it again or delete it"
                : volume.fault ?? "the driver has no data of the volume"
        case (_, volume.size?):
            settled.status = .available
            settled.fault = nil
        case (_, let size?) where volume.status == .extending && size > volume.size:
            settled.status = .available
            settled.size = size
            settled.fault = nil
        case (let stored?, _):
            settled.status = .error
            settled.fault = "the driver holds \(stored.bytes) bytes of the volume, not \(volume.size) GiB"
        }
        self = settled == volume ? .keep : .change(settled)
    }
}

extension VolumeManager {
    /// Brings the database and the driver to agree; see the table in <doc:Reconciliation>.
    ///
    /// Data that the database does not know is kept and named in the log and by `disk_usage`: it is the user's, and whoever
    /// lost the database will want it.
    func reconcile() async throws {
        for name in try await driver.removeLeftovers() {
            logger.info("leftover of an interrupted creation is removed", metadata: ["name": "\(name)"])
        }
        let inventory = try await driver.inventory()
        let volumes = try await table.all()
        for volume in volumes {
            switch Reconciliation(of: volume, stored: inventory.volumes[volume.id]) {
            case .keep: break
            case .change(let settled):
                try await table.save(settled)
                logger.info(
                    "volume is settled",
                    metadata: [
                        "volume": "\(volume.id)", "was": "\(volume.status)", "is": "\(settled.status)",
                        "fault": "\(settled.fault ?? "none")",
                    ]
                )
            case .delete:
                try await finishDeletion(of: volume)
            }
        }
        let known = Set(volumes.map(\.id))
        for id in inventory.volumes.keys.sorted() where !known.contains(id) {
            logger.info("data of a volume that the database does not know is kept", metadata: ["volume": "\(id)"])
        }
        for name in inventory.strangers {
            logger.info("something else lies among the volumes", metadata: ["name": "\(name)"])
        }
    }

    /// Finishes a deletion; one that fails does not keep the other volumes from being served.
    private func finishDeletion(of volume: Volume) async throws {
        do {
            try await driver.delete(volume.id)
        } catch {
            var failed = volume
            failed.status = .errorDeleting
            failed.fault = error.message
            try await table.save(failed)
            logger.info(
                "interrupted deletion cannot be finished",
                metadata: ["volume": "\(volume.id)", "error": "\(error)"]
            )
            return
        }
        try await table.remove(volume.id)
        logger.info("interrupted deletion is finished", metadata: ["volume": "\(volume.id)"])
    }
}
