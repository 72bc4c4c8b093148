/// Where a request goes, or where a server listens: oslo.messaging's `Target`.
///
/// A client's target names a topic and, if one host is meant, a server. A server's target names both: it listens on
/// `topic`, on `topic.server` and on the topic's fanout (wire contract 1.1).
public struct Target: Sendable, Hashable {
    /// The control exchange; `nil` stands for the transport's own, by default `openstack`.
    public var exchange: String?
    /// The topic: the name of a service, shared by all its hosts.
    public var topic: String
    /// The host of a topic, or `nil` for any of them.
    public var server: String?
    /// Whether every server of the topic is meant; only casts can be fanned out.
    public var isFanout: Bool

    /// Creates a target.
    ///
    /// - Parameters:
    ///   - topic: The name of the service.
    ///   - server: One host of the topic; `nil` (the default) for any.
    ///   - exchange: The control exchange; `nil` (the default) for the transport's own.
    ///   - isFanout: Whether every server of the topic is meant; `false` by default.
    public init(topic: String, server: String? = nil, exchange: String? = nil, isFanout: Bool = false) {
        self.topic = topic
        self.server = server
        self.exchange = exchange
        self.isFanout = isFanout
    }

    /// The target of a topic: any of its servers, or the one that is named.
    ///
    /// - Parameters:
    ///   - topic: The name of the service.
    ///   - server: One host of the topic; `nil` (the default) for any.
    ///   - exchange: The control exchange; `nil` (the default) for the transport's own.
    /// - Returns: The target.
    public static func topic(_ topic: String, server: String? = nil, exchange: String? = nil) -> Target {
        Target(topic: topic, server: server, exchange: exchange)
    }

    /// Where the server of this target answers questions about itself: the topic with `_control` behind it, the same
    /// server and exchange.
    public var control: Target {
        Target(topic: self.topic + "_control", server: self.server, exchange: self.exchange, isFanout: self.isFanout)
    }

    /// Checks what the wire can carry: AMQP names are short strings of at most 255 bytes, and `*` and `#` would turn a
    /// binding of the topic exchange into a pattern (wire contract 1.1).
    package func validated() throws(RPCError) -> Target {
        guard !self.topic.isEmpty else {
            throw RPCError(.invalidTarget, "the target has no topic; name the service that is meant")
        }
        // The fanout queue's name is the longest that is made of a topic: "_fanout_" and 32 digits.
        for (what, name) in [("topic", self.topic), ("server", self.server ?? ""), ("exchange", self.exchange ?? "")] {
            guard name.utf8.count <= 200, !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                throw RPCError(
                    .invalidTarget,
                    "the \(what) of a target is at most 200 bytes without control characters"
                )
            }
        }
        guard !self.topic.utf8.contains(where: Self.isPattern),
            self.server?.utf8.contains(where: Self.isPattern) != true
        else {
            throw RPCError(.invalidTarget, "'*' and '#' are patterns in AMQP and cannot be part of \(self)")
        }
        guard self.topic.utf8.count + (self.server?.utf8.count ?? 0) < 255 else {
            throw RPCError(.invalidTarget, "topic and server together are longer than AMQP's 255 bytes")
        }
        return self
    }

    private static func isPattern(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "*") || byte == UInt8(ascii: "#")
    }
}

extension Target: CustomStringConvertible {
    /// The target as people write it: `cinder-volume`, `cinder-volume.node-1`, `cinder-volume (fanout)`.
    public var description: String {
        let name = self.server.map { "\(self.topic).\($0)" } ?? self.topic
        return self.isFanout ? "\(name) (fanout)" : name
    }
}
