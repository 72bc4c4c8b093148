import Synchronization

/// Which hosts failed last, and when one let somebody in.
///
/// Copies of a configuration share it, so that what one connection has found out the others need not find out for themselves:
/// where it waited in vain, and that a broker is there again.
final class HostHealth: Sendable {
    private struct State {
        var suspects: Set<String> = []
        var lastSuccess: ContinuousClock.Instant?
        var listeners: [Int: @Sendable () -> Void] = [:]
        var lastListener = 0
    }

    private let state = Mutex(State())

    /// It was not reached, or fell silent.
    func failed(_ host: AMQPConfiguration.Host) {
        self.state.withLock { _ = $0.suspects.insert(host.address) }
    }

    /// It let somebody log in.
    func succeeded(_ host: AMQPConfiguration.Host) {
        let listeners = self.state.withLock { state in
            state.suspects.remove(host.address)
            state.lastSuccess = .now
            return Array(state.listeners.values)
        }
        for listener in listeners { listener() }
    }

    /// Whether a host let somebody in since an instant.
    func hasSucceeded(since instant: ContinuousClock.Instant) -> Bool {
        self.state.withLock { ($0.lastSuccess ?? instant) > instant }
    }

    /// Has a closure called whenever a host lets somebody in, until the number it answers is given to ``ignore(_:)``.
    func listen(_ body: @escaping @Sendable () -> Void) -> Int {
        self.state.withLock { state in
            state.lastListener += 1
            state.listeners[state.lastListener] = body
            return state.lastListener
        }
    }

    func ignore(_ listener: Int) {
        self.state.withLock { _ = $0.listeners.removeValue(forKey: listener) }
    }

    /// The same hosts, those that failed last behind the others.
    func sorted(_ indices: [Int], of hosts: [AMQPConfiguration.Host]) -> [Int] {
        let suspects = self.state.withLock(\.suspects)
        guard !suspects.isEmpty else { return indices }
        let isSuspect = indices.map { suspects.contains(hosts[$0].address) }
        return zip(indices, isSuspect).filter { !$0.1 }.map(\.0) + zip(indices, isSuspect).filter(\.1).map(\.0)
    }
}

extension AMQPConfiguration.Host {
    /// By which it is known among others.
    fileprivate var address: String { "\(self.name):\(self.port)" }
}
