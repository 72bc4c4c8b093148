extension RPCClient {
    /// What is sent for one call or cast, checked and encoded before anything goes to the broker.
    struct Request {
        let method: String
        /// Whether the method's servers run a request once, however often it comes.
        private(set) var isRepeatable = false
        let namespace: String?
        private let version: RPCVersion?
        private let arguments: RawJSON
        var context: RPCContext
        /// What the method belongs to, where it is no plain one.
        var service: String? { self.namespace }

        init<Arguments, Result>(
            _ method: RPCMethod<Arguments, Result>,
            _ arguments: Arguments,
            in client: RPCClient,
            context: RPCContext?
        ) throws(RPCError) {
            let encoded: RawJSON
            do {
                encoded = try method.arguments.encode(arguments)
            } catch {
                throw RPCError(
                    .invalidArguments,
                    "the arguments of \(method.name) are not JSON: \(error)",
                    cause: error
                )
            }
            try self.init(
                method.name,
                encoded,
                namespace: client.options.namespace ?? method.namespace,
                since: method.since,
                in: client,
                context: context
            )
            self.isRepeatable = method.delivery.isAtLeastOnce
        }

        init(
            _ method: String,
            _ arguments: [String: JSONValue],
            namespace: String?,
            in client: RPCClient,
            context: RPCContext?
        ) throws(RPCError) {
            try self.init(
                method,
                RawJSON(.object(arguments)),
                namespace: namespace ?? client.options.namespace,
                since: nil,
                in: client,
                context: context
            )
        }

        private init(
            _ method: String,
            _ arguments: RawJSON,
            namespace: String?,
            since: RPCVersion?,
            in client: RPCClient,
            context: RPCContext?
        ) throws(RPCError) {
            let version = client.options.version ?? since
            if let version, let pin = client.options.versionPin,
                let objection = pin.objection(to: version, at: client.target.isFanout ? nil : client.target.server)
            {
                throw RPCError(.versionCapExceeded, "\(method) needs version \(version), and \(objection)")
            }
            if let cap = client.options.versionCap {
                guard let version else {
                    throw RPCError(
                        .versionCapExceeded,
                        "the call of \(method) says no version, and this client may ask for \(cap) at most; set one"
                    )
                }
                guard cap.supports(version) else {
                    throw RPCError(
                        .versionCapExceeded,
                        "\(method) needs version \(version), and this client may ask for \(cap) at most"
                    )
                }
            }
            self.method = method
            self.namespace = namespace
            self.version = version
            self.arguments = arguments
            self.context = context ?? client.options.context
        }

        /// The message's body; with a message id and a reply queue it is a call, without them a cast.
        func encoded(
            messageID: String? = nil,
            replyQueue: String? = nil,
            monitor: Duration? = nil,
            uniqueID: String = makeUniqueID()
        ) -> [UInt8] {
            RequestPayload(
                method: self.method,
                args: self.arguments,
                namespace: self.namespace,
                version: self.version?.description,
                messageID: messageID,
                replyQueue: replyQueue,
                monitorTimeout: monitor.map(\.inSeconds),
                uniqueID: uniqueID,
                context: self.context.values
            ).encoded()
        }
    }
}

extension Duration {
    /// The duration as seconds with a fraction, as the wire has it.
    package var inSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
