internal import Glibc
public import Messaging
internal import ServiceDatabase
public import ServiceRuntime
internal import Synchronization

extension VolumeManager {
    /// Whether the worker can do its work, and why not.
    ///
    /// Not ready where the disk is full or the process has no file descriptors left: then nothing that is asked for can be
    /// done. Degraded while the database or the driver is away, because what does not need them is served.
    public nonisolated var readiness: Readiness {
        var readiness = Readiness.ready
        if let trouble = table.trouble {
            let text = "the database cannot be used: \(trouble.message)"
            readiness = readiness.and(trouble.code == .full ? .notReady(text) : .degraded(text))
        }
        if let fault = driverFault.withLock({ $0 }) {
            let isExhausted = (fault.cause as? SystemError)?.isExhaustion ?? false
            readiness = readiness.and(isExhausted ? .notReady(fault.message) : .degraded(fault.message))
        } else if let hang = driver.longestHang {
            readiness = readiness.and(.degraded("a call of the driver hangs for \(hang.components.seconds) s"))
        }
        return readiness
    }

    /// Takes over the limits of the driver.
    public func configurationDidChange(
        _ configuration: ServiceConfiguration,
        changes: [ServiceOptionChange]
    ) async {
        let names = [ServiceOption<Double>.maximumCapacity.name, ServiceOption<Int>.reservedPercentage.name]
        guard changes.contains(where: { names.contains($0.name) }) else { return }
        await driver.reconfigure(VolumeDriverLimits(configuration))
        await refreshAfterChange()
    }
}

extension VolumeDriverLimits {
    /// Reads the limits from the options of a volume worker.
    init(_ configuration: ServiceConfiguration) {
        let capacity = configuration[.maximumCapacity]
        self.init(
            maximumCapacity: capacity > 0 ? capacity : nil,
            reservedPercentage: configuration[.reservedPercentage]
        )
    }
}

extension SystemError {
    /// Whether the process or the machine has run out of something that all of its work needs.
    fileprivate var isExhaustion: Bool { isLackOfSpace || number == EMFILE || number == ENFILE }
}
