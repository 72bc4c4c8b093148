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

    /// Where a message is published, and what has to exist for it.
    struct Address: Sendable, Hashable {
        /// The exchange; `nil` is the default one.
        var exchange: Exchange?
        let key: String
        /// What the exchange leads to, where that is the publisher's to declare.
        var route: Route?
        /// The queue that the key names, where that is the publisher's to declare.
        var queue: Queue?
    }

    /// What a listener consumes.
    enum ConsumedQueue: Sendable, Hashable {
        case bound(Route)
        case declared(Queue)
        case existing(String)
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

    /// The same three of a server's control topic.
    ///
    /// They go with their consumer, so that a question to a worker that is dead comes back at once; should the broker
    /// have been away just then, they expire.
    func controlRoutes(topic: String, server: String, exchange: String?, fanoutID: String) -> [Route] {
        self.routes(topic: topic, server: server, exchange: exchange, fanoutID: fanoutID).map { route in
            Route(
                exchange: route.exchange,
                queue: Queue(
                    name: route.queue.name,
                    isDurable: self.configuration.queueProfile.kind != .classic,
                    isAutoDeleted: true,
                    arguments: ["x-expires": .int32(60_000)]
                ),
                key: route.key
            )
        }
    }

    /// What is consumed for a source.
    func queues(of source: Source) throws(RPCError) -> [ConsumedQueue] {
        switch source {
        case .server(let target):
            let (topic, server) = try Self.address(target)
            return self.routes(topic: topic, server: server, exchange: target.exchange, fanoutID: makeUniqueID())
                .map { .bound($0) }
        case .control(let target):
            let (topic, server) = try Self.address(target.control)
            return self.controlRoutes(topic: topic, server: server, exchange: target.exchange, fanoutID: makeUniqueID())
                .map { .bound($0) }
        case .queue(let name): return [.existing(name)]
        case .deadLetters(let topic): return [.declared(self.deadLetterQueue(topic))]
        }
    }

    private static func address(_ target: Target) throws(RPCError) -> (topic: String, server: String) {
        let target = try target.validated()
        guard let server = target.server else {
            throw RPCError(.invalidTarget, "a listener needs a server name beside topic '\(target.topic)'")
        }
        return (target.topic, server)
    }

    /// Where a message for a destination is published.
    func address(of destination: Destination) -> Address {
        switch destination {
        case .topic(let topic, let exchange): Address(exchange: self.controlExchange(exchange), key: topic)
        case .server(let server, let topic, let exchange):
            Address(exchange: self.controlExchange(exchange), key: "\(topic).\(server)")
        // The fanout exchange ignores the key; oslo sends an empty one (wire contract 2.2).
        case .fanout(let topic): Address(exchange: self.fanoutExchange(topic), key: "")
        case .queue(let name): Address(key: name)
        case .deadLetters(let topic):
            Address(key: self.deadLetterQueue(topic).name, queue: self.deadLetterQueue(topic))
        }
    }

    /// The queue that a destination stands for.
    static func queue(of destination: Destination) -> String? {
        switch destination {
        case .topic(let topic, _): topic
        case .server(let server, let topic, _): "\(topic).\(server)"
        case .queue(let name): name
        case .deadLetters(let topic): Self.deadLetters(topic)
        case .fanout: nil
        }
    }

    private static func deadLetters(_ topic: String) -> String { "\(topic)_dead_letters" }

    /// The queue for requests that were given up: it lasts, whatever the topic's own queue does.
    private func deadLetterQueue(_ topic: String) -> Queue {
        var arguments: AMQPTable = [:]
        if case .quorum = self.configuration.queueProfile.kind { arguments["x-queue-type"] = "quorum" }
        return Queue(name: Self.deadLetters(topic), isDurable: true, isAutoDeleted: false, arguments: arguments)
    }

    /// Where a message waits before the broker moves it into the queue `name`: each step of delays has an exchange and a
    /// queue, in which all messages expire after the same time, and so in order.
    ///
    /// The routing key is the final queue's name all the way, because an expired message goes to the default exchange
    /// under the key that it came with.
    func delayed(_ name: String, by delay: Duration) throws(RPCError) -> Address {
        var step = Self.firstDelay
        while step < delay.inMilliseconds, step < Self.lastDelay { step *= 2 }
        guard delay.inMilliseconds <= step else {
            throw RPCError(.invalidTarget, "a message can be held back for \(Self.lastDelay / 3_600_000) hours at most")
        }
        let exchange = Exchange(name: "steward_delay_\(step)", type: .fanout, isDurable: true, isAutoDeleted: false)
        let queue = Queue(
            name: exchange.name,
            isDurable: true,
            isAutoDeleted: false,
            arguments: ["x-message-ttl": .int32(Int32(clamping: step)), "x-dead-letter-exchange": ""]
        )
        return Address(
            exchange: exchange,
            key: name,
            route: Route(exchange: exchange, queue: queue, key: "")
        )
    }

    /// Delays are rounded up to steps that double from a quarter of a second on, so that the queues for them are few.
    private static let firstDelay: Int64 = 250
    private static let lastDelay: Int64 = 250 << 18

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
