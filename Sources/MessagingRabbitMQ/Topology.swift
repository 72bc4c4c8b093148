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
        /// Whether it stays when its listener stops, because it is shared, or will be used again after the next start.
        var isKept = false
        /// Whether nobody else may consume it: its name can be another process's by mistake, and then one of both must
        /// learn of it.
        var isExclusive = false

        /// Whether it is a stream, which is read from an offset on.
        var isStream: Bool { self.arguments["x-queue-type"] == "stream" }
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
    /// What the broker's version decides, as soon as it is known.
    let rules = BrokerRules()

    /// How durable queues are, with what the broker allows.
    var profile: QueueProfile {
        guard self.configuration.queueProfile == .automatic else { return self.configuration.queueProfile }
        return self.rules.refuseTransientQueues ? .quorum : .classic
    }

    /// Whether fanout and reply queues are replicated, with what the broker allows.
    var usesQuorumForTransientQueues: Bool {
        self.configuration.usesQuorumForTransientQueues
            || self.configuration.queueProfile == .automatic && self.rules.refuseTransientQueues
    }

    /// The end of the next stable name, or `nil` where names are random.
    func takeNumber() throws(RPCError) -> QueueNumbers.Lease? {
        guard let names = self.configuration.stableNames else { return nil }
        return try QueueNumbers(host: names.host, process: names.process).take()
    }

    /// The three routes of a server, in the order in which oslo declares them (wire contract 1.2).
    func routes(topic: String, server: String, exchange: String?, fanoutQueue: Queue) -> [Route] {
        let control = self.controlExchange(exchange)
        return [
            Route(exchange: control, queue: self.queue(topic), key: topic),
            Route(exchange: control, queue: self.queue("\(topic).\(server)"), key: "\(topic).\(server)"),
            Route(exchange: self.fanoutExchange(topic), queue: fanoutQueue, key: topic),
        ]
    }

    /// The same three of a server's control topic.
    ///
    /// They go with their consumer, so that a question to a worker that is dead comes back at once; should the broker
    /// have been away just then, they expire.
    func controlRoutes(topic: String, server: String, exchange: String?) -> [Route] {
        let fanoutQueue = self.transientQueue("\(topic)_fanout_\(makeUniqueID())")
        return self.routes(topic: topic, server: server, exchange: exchange, fanoutQueue: fanoutQueue).map { route in
            Route(
                exchange: route.exchange,
                queue: Queue(
                    name: route.queue.name,
                    // They need not outlive anything, and one that does would be out of reach while its node is away.
                    isDurable: self.rules.refuseTransientQueues,
                    isAutoDeleted: true,
                    arguments: ["x-expires": .int32(60_000)]
                ),
                key: route.key
            )
        }
    }

    /// What is consumed for a source; the fanout queue's name has a random end unless a stable one is given.
    func queues(of source: Source, stableName: String? = nil) throws(RPCError) -> [ConsumedQueue] {
        switch source {
        case .server(let target):
            let (topic, server) = try Self.address(target)
            let fanoutQueue = self.fanoutQueue(topic, stableName: stableName)
            return self.routes(topic: topic, server: server, exchange: target.exchange, fanoutQueue: fanoutQueue)
                .map { .bound($0) }
        case .control(let target):
            let (topic, server) = try Self.address(target.control)
            return self.controlRoutes(topic: topic, server: server, exchange: target.exchange).map { .bound($0) }
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
        if case .quorum = self.profile.kind {
            arguments["x-queue-type"] = "quorum"
            // Each look gives the letters back, which counts as a delivery; RabbitMQ 4 drops what was delivered 20 times.
            arguments["x-delivery-limit"] = .int32(1_000_000)
        }
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
}

extension Duration {
    /// Whole milliseconds, rounded down.
    var inMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
