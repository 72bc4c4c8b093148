import Synchronization

/// Where a connection stands.
public enum AMQPConnectionState: Sendable {
    /// Not opened yet, or the first attempt failed.
    case idle
    /// The first connection is being made.
    case connecting
    /// Connected, and everything that was declared exists.
    case open
    /// Connected, but the broker takes no messages at present (memory or disk alarm). Consuming goes on.
    case blocked(reason: String)
    /// The connection, or something that was declared on it, is lost and is being restored.
    case recovering(AMQPError)
    /// Closed by this program, for good.
    case closed
}

extension AMQPConnectionState: CustomStringConvertible {
    /// The state and its reason.
    public var description: String {
        switch self {
        case .idle: "idle"
        case .connecting: "connecting"
        case .open: "open"
        case .blocked(let reason): "blocked: \(reason)"
        case .recovering(let error): "recovering: \(error)"
        case .closed: "closed"
        }
    }
}

/// The state for everybody outside of the connection's thread, and who is told when it changes.
final class StateBox: Sendable {
    private struct Contents {
        var state = AMQPConnectionState.idle
        var connectError: AMQPError?
        var brokerVersion: String?
        var observers: [@Sendable (AMQPConnectionState) -> Void] = []
    }

    private let contents = Mutex(Contents())

    var connectError: AMQPError? {
        get { self.contents.withLock { $0.connectError } }
        set { self.contents.withLock { $0.connectError = newValue } }
    }

    var brokerVersion: String? {
        get { self.contents.withLock { $0.brokerVersion } }
        set { self.contents.withLock { $0.brokerVersion = newValue } }
    }

    var state: AMQPConnectionState { self.contents.withLock { $0.state } }

    func observe(_ body: @escaping @Sendable (AMQPConnectionState) -> Void) {
        self.contents.withLock { $0.observers.append(body) }
    }

    /// Tells the observers, if the state is another one; returns whether it is.
    func change(to state: AMQPConnectionState) -> Bool {
        let observers = self.contents.withLock { contents -> [@Sendable (AMQPConnectionState) -> Void]? in
            guard contents.state.description != state.description else { return nil }
            contents.state = state
            return contents.observers
        }
        guard let observers else { return false }
        for observer in observers {
            observer(state)
        }
        return true
    }
}
