import Synchronization

/// Which hosts failed last.
///
/// Copies of a configuration share it, so that one connection that waited in vain spares the others the same.
final class HostHealth: Sendable {
    private let suspects = Mutex<Set<String>>([])

    /// It was not reached, or fell silent.
    func failed(_ host: AMQPConfiguration.Host) {
        self.suspects.withLock { _ = $0.insert(host.address) }
    }

    /// It let somebody log in.
    func succeeded(_ host: AMQPConfiguration.Host) {
        self.suspects.withLock { _ = $0.remove(host.address) }
    }

    /// The same hosts, those that failed last behind the others.
    func sorted(_ indices: [Int], of hosts: [AMQPConfiguration.Host]) -> [Int] {
        self.suspects.withLock { suspects in
            guard !suspects.isEmpty else { return indices }
            let isSuspect = indices.map { suspects.contains(hosts[$0].address) }
            return zip(indices, isSuspect).filter { !$0.1 }.map(\.0) + zip(indices, isSuspect).filter(\.1).map(\.0)
        }
    }
}

extension AMQPConfiguration.Host {
    /// By which it is known among others.
    fileprivate var address: String { "\(self.name):\(self.port)" }
}
