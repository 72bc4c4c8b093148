internal import AMQPClient
internal import Messaging

/// The names and flags of oslo.messaging's exchanges and queues (wire contract 1.1 and 1.3): what is declared, and
/// nothing of how.
struct Topology: Sendable {
    struct Exchange: Sendable, Hashable {
        let name: String
        let type: AMQPExchangeType
        var isDurable: Bool
        let isAutoDeleted: Bool
    }

    struct Queue: Sendable, Hashable {
        let name: String
        var isDurable: Bool
        let isAutoDeleted: Bool
        let arguments: AMQPTable
    }

    /// A queue with what it is bound to.
    struct Route: Sendable, Hashable {
        let exchange: Exchange
        let queue: Queue
        let key: String
    }

    let configuration: RabbitMQConfiguration

    /// The three routes of a server, in the order in which oslo declares them (wire contract 1.2).
    func routes(topic: String, server: String, exchange: String?, fanoutID: String) -> [Route] {
        let control = self.controlExchange(exchange)
        return [
            Route(exchange: control, queue: self.queue(topic), key: topic),
            Route(exchange: control, queue: self.queue("\(topic).\(server)"), key: "\(topic).\(server)"),
            Route(
                exchange: self.fanoutExchange(topic),
                queue: self.transientQueue("\(topic)_fanout_\(fanoutID)"),
                key: topic
            ),
        ]
    }

    func controlExchange(_ name: String?) -> Exchange {
        Exchange(
            name: name ?? self.configuration.exchange,
            type: .topic,
            isDurable: self.configuration.queueProfile.kind != .classic,
            isAutoDeleted: self.configuration.isAutoDeleted
        )
    }

    /// The fanout exchange has its topic's name, whatever the control exchange is; it goes with its last queue.
    func fanoutExchange(_ topic: String) -> Exchange {
        Exchange(
            name: "\(topic)_fanout",
            type: .fanout,
            isDurable: self.configuration.usesQuorumForTransientQueues,
            isAutoDeleted: true
        )
    }

    /// A topic's or a host's queue.
    private func queue(_ name: String) -> Queue {
        var arguments: AMQPTable = [:]
        if case .quorum(let limits) = self.configuration.queueProfile.kind { arguments = self.quorumArguments(limits) }
        return Queue(
            name: name,
            isDurable: self.configuration.queueProfile.kind != .classic,
            isAutoDeleted: self.configuration.isAutoDeleted,
            arguments: arguments
        )
    }

    /// A fanout or reply queue: it belongs to one process and expires some time after it.
    func transientQueue(_ name: String) -> Queue {
        var arguments: AMQPTable = [:]
        if self.configuration.usesQuorumForTransientQueues {
            guard case .quorum(let limits) = self.configuration.queueProfile.kind else {
                return self.transientQueue(name, adding: self.quorumArguments(QueueProfile.QuorumLimits()))
            }
            arguments = self.quorumArguments(limits)
        }
        return self.transientQueue(name, adding: arguments)
    }

    private func transientQueue(_ name: String, adding arguments: AMQPTable) -> Queue {
        var arguments = arguments
        if self.configuration.transientQueuesExpireAfter > .zero {
            let milliseconds = self.configuration.transientQueuesExpireAfter.inMilliseconds
            arguments["x-expires"] = .int32(Int32(clamping: milliseconds))
        }
        return Queue(
            name: name,
            isDurable: self.configuration.usesQuorumForTransientQueues,
            isAutoDeleted: false,
            arguments: arguments
        )
    }

    private func quorumArguments(_ limits: QueueProfile.QuorumLimits) -> AMQPTable {
        var arguments: AMQPTable = ["x-queue-type": "quorum"]
        for (name, limit) in [
            ("x-delivery-limit", limits.deliveryLimit), ("x-max-in-memory-length", limits.maximumMemoryLength),
            ("x-max-in-memory-bytes", limits.maximumMemoryBytes),
        ] {
            if let limit, limit > 0 { arguments[name] = .int64(Int64(limit)) }
        }
        return arguments
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    var inMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
