public import Logging

extension RPCClient {
    /// Creates a client of a contract: its errors come back as they were thrown.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - contract: The contract of the service.
    ///   - target: The service that is called.
    ///   - options: Timeouts and versions; further errors are allowed beside the contract's.
    ///   - logger: Where the client writes what it sees; request ids and methods, never bodies.
    public init<Service: Sendable>(
        _ transport: any Transport,
        of contract: RPCContract<Service>,
        target: Target,
        options: Options = Options(),
        logger: Logger = Logger(label: "steward.rpc.client")
    ) {
        var options = options
        options.errors += contract.errors
        self.init(transport, target: target, options: options, logger: logger)
    }

    /// The same client with another address: exchange, topic, server or fanout.
    ///
    /// ```swift
    /// let others = client.addressing { $0.exchange = "nova" }
    /// ```
    ///
    /// - Parameter change: Sets what shall be different.
    /// - Returns: A copy that shares the transport.
    public func addressing(_ change: (inout Target) -> Void) -> RPCClient {
        var client = self
        change(&client.target)
        return client
    }

    /// Whether the version cap lets a method be called.
    ///
    /// - Parameter method: The method.
    /// - Returns: Whether the version that would be asked for is not above the cap; always, where there is none.
    public func canSend<Arguments, Result>(_ method: RPCMethod<Arguments, Result>) -> Bool {
        self.canSend(self.options.version ?? method.since)
    }

    /// What a call throws for a failure that the server reports.
    func error(for failure: RemoteFailure, of method: String) -> any Error {
        for type in self.options.errors {
            if let error = type.init(failure) { return error }
        }
        return RPCError(
            RPCError.Code(of: failure),
            "\(method) at \(self.target) failed: \(failure)",
            failure: failure
        )
    }
}

extension RPCError.Code {
    /// The code of a failure: the refusals of a server have their own (wire contract 3.4).
    init(of failure: RemoteFailure) {
        switch (failure.module, failure.className) {
        case ("oslo_messaging.rpc.dispatcher", "NoSuchMethod"): self = .noSuchMethod
        case ("oslo_messaging.rpc.dispatcher", "UnsupportedVersion"): self = .unsupportedVersion
        case (RemoteFailure.refusalModule, "AccessDenied"): self = .accessDenied
        case (RemoteFailure.refusalModule, "LimitExceeded"): self = .limitExceeded
        default: self = .remote
        }
    }
}

extension RemoteFailure {
    /// The module of the refusals that oslo.messaging does not know.
    static let refusalModule = "steward.rpc"
}
