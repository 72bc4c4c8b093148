internal import AMQPClient
public import Messaging

extension RabbitMQTransport {
    /// What the connections have done so far.
    public var figures: TransportFigures {
        TransportFigures(
            connections: [("consume", self.consuming), ("publish", self.publishing), ("control", self.control)].map {
                TransportFigures.Connection($1, name: $0)
            }
        )
    }
}

extension RabbitMQTransport {
    /// How many consumers each queue has here, by this client's own account: what tests compare with the broker's.
    package func consumersByQueue() async -> [String: Int] {
        var consumers: [String: Int] = [:]
        for connection in [self.consuming, self.control] {
            switch connection.state {
            case .idle, .closed: break  // It has no thread.
            default: consumers.merge(await connection.consumersByQueue(), uniquingKeysWith: +)
            }
        }
        return consumers
    }
}

extension TransportFigures.Connection {
    fileprivate init(_ connection: AMQPConnection, name: String) {
        let figures = connection.figures
        self.init(name: name, state: TransportFigures.State(connection.state))
        self.connects = figures.connects
        self.failedConnects = figures.failedRounds
        self.published = figures.published
        self.confirmed = figures.confirmed
        self.refused = figures.refused
        self.returned = figures.returned
        self.delivered = figures.delivered
        self.redelivered = figures.redelivered
        self.blocks = figures.blocks
    }
}

extension TransportFigures.State {
    fileprivate init(_ state: AMQPConnectionState) {
        switch state {
        case .idle: self = .idle
        case .connecting: self = .connecting
        case .open: self = .open
        case .blocked: self = .blocked
        case .recovering: self = .recovering
        case .closed: self = .closed
        }
    }
}
