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

/// A closure's being told of a connection's states.
public struct AMQPStateObservation: Sendable {
    fileprivate let box: StateBox
    fileprivate let id: Int

    /// Has the closure not called any more; it may still be under way at this moment.
    public func end() { self.box.removeObserver(self.id) }
}

/// The state for everybody outside of the connection's thread, and who is told when it changes.
final class StateBox: Sendable {
    private struct Contents {
        var state = AMQPConnectionState.idle
        var connectError: AMQPError?
        var brokerVersion: String?
        var observers: [(id: Int, body: @Sendable (AMQPConnectionState) -> Void)] = []
        var lastObserver = 0
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

    var observerCount: Int { self.contents.withLock { $0.observers.count } }

    func observe(_ body: @escaping @Sendable (AMQPConnectionState) -> Void) -> AMQPStateObservation {
        let id = self.contents.withLock { contents in
            contents.lastObserver += 1
            contents.observers.append((contents.lastObserver, body))
            return contents.lastObserver
        }
        return AMQPStateObservation(box: self, id: id)
    }

    func removeObserver(_ id: Int) {
        self.contents.withLock { $0.observers.removeAll { $0.id == id } }
    }

    /// Tells the observers, if the state is another one; returns whether it is.
    func change(to state: AMQPConnectionState) -> Bool {
        let observers = self.contents.withLock {
            contents -> [(id: Int, body: @Sendable (AMQPConnectionState) -> Void)]? in
            guard contents.state.description != state.description else { return nil }
            contents.state = state
            return contents.observers
        }
        guard let observers else { return false }
        for observer in observers {
            observer.body(state)
        }
        return true
    }
}
