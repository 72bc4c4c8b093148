internal import Synchronization

/// What the version of the broker decides.
final class BrokerRules: Sendable {
    private let transientQueuesAreRefused = Atomic<Bool>(false)

    /// Whether queues must be durable or exclusive.
    var refuseTransientQueues: Bool { self.transientQueuesAreRefused.load(ordering: .relaxed) }

    /// Notes the version that a broker gave at log-in.
    func note(version: String?) {
        let numbers = (version ?? "").split(separator: ".").prefix(2).compactMap { Int($0.prefix { $0.isNumber }) }
        guard let major = numbers.first else { return }
        let refuses = (major, numbers.count > 1 ? numbers[1] : 0) >= (4, 3)
        self.transientQueuesAreRefused.store(refuses, ordering: .relaxed)
    }
}
