internal import AMQPClient
public import Messaging
internal import Synchronization

extension RabbitMQTransport {
    /// Whether the connections that are in use are open, and everything that was declared on them is confirmed.
    ///
    /// `degraded` where the broker takes no messages (a memory or disk alarm): what it hands out is still worked on and
    /// acknowledged.
    public var readiness: Readiness {
        let connections = [("consuming", self.consuming), ("publishing", self.publishing), ("control", self.control)]
        let used = connections.compactMap { role, connection in Readiness(connection, role: role) }
        return used.isEmpty ? .notReady("the broker was not connected yet") : used.reduce(.ready) { $0.and($1) }
    }

    /// Returns when the thread of each connection that is in use has taken a turn.
    public func takeTurn() async {
        for connection in [self.consuming, self.publishing, self.control] {
            switch connection.state {
            case .idle, .closed: break  // It has no thread.
            default: await connection.takeTurn()
            }
        }
    }
}

extension RabbitMQTransport {
    /// Has a closure called with ``readiness`` whenever it may have changed, however short it was; on a connection's thread,
    /// so that it must not block.
    package func onReadinessChange(_ body: @escaping @Sendable (Readiness) -> Void) {
        for connection in [self.consuming, self.publishing, self.control] {
            connection.onStateChange { [weak self] _ in
                if let self { body(self.readiness) }
            }
        }
    }
}

extension RabbitMQTransport {
    /// An element when all connections that are in use are open again after one of them was not.
    public func recoveries() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let isBroken = Atomic(false)
        let observations = [self.consuming, self.publishing, self.control].map { connection in
            connection.onStateChange { [weak self] state in
                // A connection that is made for the first time was not broken.
                if case .recovering = state { isBroken.store(true, ordering: .relaxed) }
                guard let self, self.readiness.isReady else { return }
                if isBroken.exchange(false, ordering: .relaxed) { continuation.yield() }
            }
        }
        continuation.onTermination = { _ in
            for observation in observations { observation.end() }
        }
        return stream
    }
}

extension Readiness {
    /// What a connection's state means for the transport; `nil` for one that is not used.
    fileprivate init?(_ connection: AMQPConnection, role: String) {
        switch connection.state {
        case .idle:
            // It was tried in vain, or nobody wanted it.
            guard let error = connection.lastConnectError else { return nil }
            self = .notReady("the \(role) connection was not made: \(error)")
        case .connecting:
            let reason = connection.lastConnectError.map { ": \($0)" } ?? ""
            self = .notReady("the \(role) connection is being made\(reason)")
        case .open: self = .ready
        case .blocked(let reason): self = .degraded("the broker takes no messages: \(reason)")
        case .recovering(let error): self = .notReady("the \(role) connection is being restored: \(error)")
        case .closed: self = .notReady("the \(role) connection is closed")
        }
    }
}
