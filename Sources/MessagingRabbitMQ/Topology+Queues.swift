internal import AMQPClient
internal import Messaging

/// The exchanges and queues themselves: their flags and arguments under each option (wire contract 1.3).
extension Topology {
    func controlExchange(_ name: String?) -> Exchange {
        Exchange(
            name: name ?? self.configuration.exchange,
            type: .topic,
            isDurable: self.profile.kind != .classic,
            isAutoDeleted: self.configuration.isAutoDeleted
        )
    }

    /// The fanout exchange has its topic's name, whatever the control exchange is; it goes with its last queue.
    func fanoutExchange(_ topic: String) -> Exchange {
        Exchange(
            name: "\(topic)_fanout",
            type: .fanout,
            isDurable: self.usesQuorumForTransientQueues || self.configuration.usesStreamForFanout,
            isAutoDeleted: true
        )
    }

    /// A topic's or a host's queue.
    func queue(_ name: String) -> Queue {
        var arguments = self.commonArguments
        if case .quorum(let limits) = self.profile.kind {
            arguments.merge(self.quorumArguments(limits)) { $1 }
        }
        return Queue(
            name: name,
            isDurable: self.profile.kind != .classic,
            isAutoDeleted: self.configuration.isAutoDeleted,
            arguments: arguments
        )
    }

    /// The queue from which a server takes its topic's fanout casts: its own, or the stream of all.
    func fanoutQueue(_ topic: String, stableName: String? = nil) -> Queue {
        guard self.configuration.usesStreamForFanout else {
            return self.transientQueue("\(topic)_fanout_", stableName: stableName)
        }
        var arguments: AMQPTable = ["x-queue-type": "stream"]
        if self.configuration.transientQueuesExpireAfter > .zero {
            arguments["x-max-age"] = .string("\(self.configuration.transientQueuesExpireAfter.components.seconds)s")
        }
        return Queue(
            name: "\(topic)_fanout",
            isDurable: true,
            isAutoDeleted: false,
            arguments: arguments,
            isKept: true
        )
    }

    /// A fanout or reply queue with a random end to its name, or with a stable one.
    func transientQueue(_ start: String, stableName: String?) -> Queue {
        var queue = self.transientQueue(start + (stableName ?? makeUniqueID()))
        queue.isKept = stableName != nil
        queue.isExclusive = stableName != nil
        return queue
    }

    /// A fanout or reply queue: it belongs to one process and expires some time after it.
    func transientQueue(_ name: String) -> Queue {
        var arguments = self.commonArguments
        if self.usesQuorumForTransientQueues {
            var limits = self.configuration.transientQuorumLimits
            if limits == nil, case .quorum(let own) = self.profile.kind { limits = own }
            arguments.merge(self.quorumArguments(limits ?? QueueProfile.QuorumLimits())) { $1 }
        }
        if self.configuration.transientQueuesExpireAfter > .zero {
            let milliseconds = self.configuration.transientQueuesExpireAfter.inMilliseconds
            arguments["x-expires"] = .int32(Int32(clamping: milliseconds))
        }
        return Queue(
            name: name,
            isDurable: self.usesQuorumForTransientQueues,
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

    /// The arguments of all queues but streams.
    private var commonArguments: AMQPTable {
        self.configuration.mirrorsQueues && !self.rules.refuseTransientQueues ? ["x-ha-policy": "all"] : [:]
    }

    /// The arguments with which all queues but streams are consumed.
    var consumerArguments: AMQPTable {
        self.configuration.cancelsOnFailover ? ["x-cancel-on-ha-failover": true] : [:]
    }
}
