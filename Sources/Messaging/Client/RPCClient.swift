public import Logging

/// Calls the methods of a service: at any of its hosts, at one, or at all.
///
/// ```swift
/// let volumes = RPCClient(transport, target: .topic("cinder-volume"))
/// let volume = try await volumes.on(host: "node-1").call(VolumeRPC.getVolume, VolumeID("7"), timeout: .seconds(5))
/// try await volumes.fanout(VolumeRPC.publishServiceCapabilities)
/// ```
///
/// A client is a value: ``on(host:)`` and ``prepare(_:)`` answer a changed copy, and copies share the transport.
public struct RPCClient: Sendable {
    /// How a client sends; oslo's `prepare()` in one struct.
    public struct Options: Sendable {
        /// How long a call may take from its start to its result; 60 s by default, as oslo's `rpc_response_timeout`.
        public var timeout: Duration = .seconds(60)
        /// How long a call waits without a sign of life from its server before it times out; `nil`, the default, for no
        /// such watch.
        ///
        /// If it is set, the server sends such signs while the method runs (wire contract 4.4): each half of this time.
        /// A Python server sends them only from 2 s on.
        public var callMonitorTimeout: Duration?
        /// The version that requests ask for; `nil`, the default, for the one in which the method appeared.
        public var version: RPCVersion?
        /// The latest version that may be asked for, to stay compatible with older servers; `nil` for any.
        ///
        /// Under a cap a call by name must say its version (wire contract 5.2).
        public var versionCap: RPCVersion?
        /// Knows what the hosts of the topic offer, so that nothing newer is asked for; `nil`, the default, for no pin.
        ///
        /// A request above the pin is not sent: `versionCapExceeded`, as under a cap. ``RPCClient/canSend(_:)-(RPCVersion)`` says
        /// so before. `unsupportedVersion` is not thrown by a client with a pin.
        public var versionPin: VersionPin?
        /// How often a request is offered again where the broker refuses it, as a full queue may make it do; not by default.
        ///
        /// A refusal is certain to have had no effect. It is offered again after 100 ms, and then each time after twice
        /// as long, within the timeout. A broker that cannot be reached is no refusal: a request waits for it anyway.
        public var retry = 0
        /// The namespace that requests name, whatever that of their method is; `nil`, the default, for the method's own.
        ///
        /// For a server that still serves a contract under an older name.
        public var namespace: String?
        /// The errors that calls throw as the service threw them; none by default, as oslo's `allowed_remote_exmods`.
        ///
        /// A failure that is none of these is an ``RPCError``. A client that is made for a contract has the contract's.
        public var errors: [any RemoteFailureInitializable.Type] = []
        /// Whether a cast waits until the broker has confirmed it, as it does by default.
        ///
        /// Without, a cast returns as soon as it is handed to the connection, and only waits while a thousand before it
        /// are not written. It is the fastest way to send, and the weakest: what no queue takes, or was under way when
        /// the connection broke, is lost with no more than a line in the log.
        public var awaitsConfirm = true
        /// Whether a cast that no queue takes is an error, as it is by default; otherwise its receipt says so.
        public var requiresRoute = true
        /// The context that is sent where a call gives none.
        public var context = RPCContext()

        /// Creates options with the defaults.
        public init() {}
    }

    /// Where the requests go.
    public var target: Target {
        didSet { self.checkedDestination = Self.check(self.target) }
    }
    /// What ``target`` stands for, or why it is none.
    private var checkedDestination: Result<Destination, RPCError>
    /// How they are sent.
    public var options: Options

    let transport: any Transport
    let logger: Logger
    /// The program's tracer, if it had one when the client was made.
    let tracer: ProgramTracer?

    /// Creates a client.
    ///
    /// Where the program has set up a tracer, its requests are spans: that has to be done before.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - target: The service that is called.
    ///   - options: Timeouts and versions.
    ///   - logger: Where the client writes what it sees; request ids and methods, never bodies.
    public init(
        _ transport: any Transport,
        target: Target,
        options: Options = Options(),
        logger: Logger = Logger(label: "steward.rpc.client")
    ) {
        self.transport = transport
        self.target = target
        self.checkedDestination = Self.check(target)
        self.options = options
        self.logger = logger
        self.tracer = .current
    }

    /// The same client for one host of the topic.
    ///
    /// - Parameter host: The host, as its server names itself.
    /// - Returns: A copy that shares the transport.
    public func on(host: String) -> RPCClient {
        var client = self
        client.target.server = host
        client.target.isFanout = false
        return client
    }

    /// The same client with other options.
    ///
    /// - Parameter change: Sets what shall be different.
    /// - Returns: A copy that shares the transport.
    public func prepare(_ change: (inout Options) -> Void) -> RPCClient {
        var client = self
        change(&client.options)
        return client
    }

    /// Whether the version cap and the pin let a request of `version` be sent.
    ///
    /// - Parameter version: The version in which a method, or one of its arguments, appeared.
    /// - Returns: Whether it is above neither, by what is known now; always, where there are none.
    public func canSend(_ version: RPCVersion) -> Bool {
        guard self.options.versionCap?.supports(version) ?? true else { return false }
        return self.options.versionPin?.objection(to: version, at: self.target.server) == nil
    }

    private static func check(_ target: Target) -> Result<Destination, RPCError> {
        do throws(RPCError) {
            let target = try target.validated()
            if target.isFanout { return .success(.fanout(target.topic)) }
            guard let server = target.server else { return .success(.topic(target.topic, exchange: target.exchange)) }
            return .success(.server(server, topic: target.topic, exchange: target.exchange))
        } catch {
            return .failure(error)
        }
    }

    /// Where what is sent to a target goes.
    func destination(of target: Target) throws(RPCError) -> Destination {
        try (target == self.target ? self.checkedDestination : Self.check(target)).get()
    }

    // MARK: Methods of a contract

    /// Calls a method and waits for its result.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - arguments: Its arguments.
    ///   - context: The request context; `nil` (the default) for the client's own.
    ///   - timeout: The limit for the whole call, connecting included; `nil` (the default) for the client's own.
    /// - Returns: What the method returned.
    /// - Throws: `RPCError`: `remote` with the failure that the server reports, `noSuchServer`, `timeout`,
    ///   `invalidReply`, and what can go wrong with the broker; `CancellationError` where the task was cancelled.
    public func call<Arguments, Result>(
        _ method: RPCMethod<Arguments, Result>,
        _ arguments: Arguments,
        context: RPCContext? = nil,
        timeout: Duration? = nil
    ) async throws -> Result {
        let limit = timeout ?? self.options.timeout
        let result =
            if self.options.versionPin == nil {
                try await self.call(Request(method, arguments, in: self, context: context), timeout: limit)
            } else {
                try await self.pinnedCall(timeout: limit) { () throws(RPCError) in
                    try Request(method, arguments, in: self, context: context)
                }
            }
        do {
            return try method.result.decode(result)
        } catch {
            self.transport.replies.statistics.countUnreadable(
                method.name,
                namespace: self.options.namespace ?? method.namespace,
                topic: self.target.topic
            )
            throw RPCError(
                .invalidReply,
                "the reply to \(method.name) is not what its contract says: \(error)",
                cause: error
            )
        }
    }

    /// Calls a method that has no arguments and waits for its result.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - context: The request context; `nil` (the default) for the client's own.
    ///   - timeout: The limit for the whole call, connecting included; `nil` (the default) for the client's own.
    /// - Returns: What the method returned.
    /// - Throws: As the call of a method with arguments.
    public func call<Result>(
        _ method: RPCMethod<Void, Result>,
        context: RPCContext? = nil,
        timeout: Duration? = nil
    ) async throws -> Result {
        try await self.call(method, (), context: context, timeout: timeout)
    }

    /// Sends a request and returns when the broker has taken it; the method runs some time later, and nothing is
    /// heard of its result.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - arguments: Its arguments.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now.
    /// - Throws: `RPCError`: `noSuchServer` where nobody serves the target, `timeout`, and what can go wrong with the
    ///   broker; `CancellationError`. Where the connection is lost before the broker has confirmed, that is
    ///   `connectionLost`, unless the method is to be done at least once: then the request is sent again, with its id, until
    ///   the time is over.
    @discardableResult
    public func cast<Arguments, Result>(
        _ method: RPCMethod<Arguments, Result>,
        _ arguments: Arguments,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        let request = try await self.request { () throws(RPCError) in
            try Request(method, arguments, in: self, context: context)
        }
        return try await self.cast(request, to: self.target)
    }

    /// Sends a request without arguments, and returns when the broker has taken it.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now.
    /// - Throws: As the cast of a method with arguments.
    @discardableResult
    public func cast<Result>(
        _ method: RPCMethod<Void, Result>,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        try await self.cast(method, (), context: context)
    }

    /// Sends a request to every server of the topic; that there are none is not an error.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - arguments: Its arguments.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now; whether any server listens is part of it.
    /// - Throws: `RPCError`: `timeout`, and what can go wrong with the broker; `CancellationError`.
    @discardableResult
    public func fanout<Arguments, Result>(
        _ method: RPCMethod<Arguments, Result>,
        _ arguments: Arguments,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        let request = try await self.request { () throws(RPCError) in
            try Request(method, arguments, in: self, context: context)
        }
        return try await self.cast(request, to: self.fanoutTarget)
    }

    /// Sends a request without arguments to every server of the topic.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now.
    /// - Throws: As the fanout of a method with arguments.
    @discardableResult
    public func fanout<Result>(
        _ method: RPCMethod<Void, Result>,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        try await self.fanout(method, (), context: context)
    }

    // MARK: Methods by name

    /// Calls a method by its name, for tools and for services without a contract.
    ///
    /// - Parameters:
    ///   - method: The name on the wire.
    ///   - arguments: The keyword arguments.
    ///   - namespace: The namespace; `nil` for the null namespace.
    ///   - context: The request context; `nil` (the default) for the client's own.
    ///   - timeout: The limit for the whole call; `nil` (the default) for the client's own.
    /// - Returns: The result, whatever JSON it is.
    /// - Throws: As the call of a contract's method.
    public func call(
        _ method: String,
        _ arguments: [String: JSONValue] = [:],
        namespace: String? = nil,
        context: RPCContext? = nil,
        timeout: Duration? = nil
    ) async throws -> JSONValue {
        let result = try await self.pinnedCall(timeout: timeout ?? self.options.timeout) { () throws(RPCError) in
            try Request(method, arguments, namespace: namespace, in: self, context: context)
        }
        do {
            return try result.value()
        } catch {
            throw RPCError(.invalidReply, "the reply to \(method) cannot be read: \(error)", cause: error)
        }
    }

    /// Sends a request by the method's name, and returns when the broker has taken it.
    ///
    /// - Parameters:
    ///   - method: The name on the wire.
    ///   - arguments: The keyword arguments.
    ///   - namespace: The namespace; `nil` for the null namespace.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now.
    /// - Throws: As the cast of a contract's method.
    @discardableResult
    public func cast(
        _ method: String,
        _ arguments: [String: JSONValue] = [:],
        namespace: String? = nil,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        let request = try await self.request { () throws(RPCError) in
            try Request(method, arguments, namespace: namespace, in: self, context: context)
        }
        return try await self.cast(request, to: self.target)
    }

    /// Sends a request by the method's name to every server of the topic.
    ///
    /// - Parameters:
    ///   - method: The name on the wire.
    ///   - arguments: The keyword arguments.
    ///   - namespace: The namespace; `nil` for the null namespace.
    ///   - context: The request context; `nil` (the default) for the client's own.
    /// - Returns: What is known of the request now.
    /// - Throws: As the fanout of a contract's method.
    @discardableResult
    public func fanout(
        _ method: String,
        _ arguments: [String: JSONValue] = [:],
        namespace: String? = nil,
        context: RPCContext? = nil
    ) async throws -> CastReceipt {
        let request = try await self.request { () throws(RPCError) in
            try Request(method, arguments, namespace: namespace, in: self, context: context)
        }
        return try await self.cast(request, to: self.fanoutTarget)
    }
}
