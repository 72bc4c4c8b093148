internal import Synchronization

/// Which server it is among those of its name, and how far it has come.
final class ServerLife: Sendable {
    private struct State {
        var startedAt: ContinuousClock.Instant?
        var isListening = false
        var keepsName = false
    }

    /// A random id: another one after a restart, and of another process of the same name.
    let incarnation = makeUniqueID()

    private let state = Mutex(State())

    /// The server runs.
    func begin(at now: ContinuousClock.Instant) {
        self.state.withLock { $0.startedAt = now }
    }

    /// The server has found nobody of its name that goes before it.
    func keepName() {
        self.state.withLock { $0.keepsName = true }
    }

    /// Whether it has looked for others of its name, and stays.
    var keepsName: Bool { self.state.withLock(\.keepsName) }

    /// The server's queues are open.
    func listens() {
        self.state.withLock { $0.isListening = true }
    }

    /// Whether the queues were opened.
    var isListening: Bool { self.state.withLock(\.isListening) }

    /// How long the server has run.
    func uptime(at now: ContinuousClock.Instant) -> Duration {
        self.state.withLock(\.startedAt).map { now - $0 } ?? .zero
    }
}
