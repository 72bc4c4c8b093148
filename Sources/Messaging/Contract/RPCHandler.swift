/// A method of an endpoint together with the code that serves it.
public struct RPCHandler: Sendable {
    /// The method's name on the wire.
    public let name: String
    /// The namespace of the method's contract.
    public let namespace: String?
    /// The version of the interface in which the method appeared.
    public let since: RPCVersion
    /// When a request is acknowledged.
    public let delivery: DeliveryContract
    /// How long the handler may run, or `nil` for no limit.
    public let timeLimit: Duration?
    /// Who may call the method; `nil` for whom its endpoint lets in.
    public let access: AccessPolicy?

    /// What this handler and its copies are known by, where comparing names would cost too much.
    let identity = Identity()
    /// What arguments and result look like; found when it is asked for.
    let shapes: @Sendable () -> (arguments: JSONShape, result: JSONShape)
    var run: @Sendable (RPCContext, RawJSON) async throws -> RawJSON

    final class Identity: Sendable {}

    /// Serves a method that is known by name only, with arguments and a result of any JSON.
    ///
    /// For tools and for methods without a contract; what has one is registered with ``RPCMethod/handled(by:)``.
    ///
    /// - Parameters:
    ///   - name: The name on the wire.
    ///   - namespace: The namespace; `nil` (the default) is the null namespace.
    ///   - since: The version of the interface in which the method appeared; 1.0 by default.
    ///   - delivery: When a request is acknowledged; when the handler starts, by default.
    ///   - timeLimit: How long the handler may run before it is cancelled; `nil` (the default) for no limit.
    ///   - access: Who may call the method; `nil` (the default) for whom its endpoint lets in.
    ///   - body: The handler, which gets the keyword arguments as one object.
    public init(
        _ name: String,
        namespace: String? = nil,
        since: RPCVersion = .unspecified,
        delivery: DeliveryContract = .atMostOnce,
        timeLimit: Duration? = nil,
        access: AccessPolicy? = nil,
        by body: @escaping @Sendable (RPCContext, JSONValue) async throws -> JSONValue
    ) {
        self.init(
            name: name,
            namespace: namespace,
            since: since,
            delivery: delivery,
            timeLimit: timeLimit,
            access: access,
            shapes: { (.map(of: .any), .any) },
            run: { context, arguments in try RawJSON(await body(context, try arguments.value())) }
        )
    }

    init(
        name: String,
        namespace: String?,
        since: RPCVersion,
        delivery: DeliveryContract,
        timeLimit: Duration?,
        access: AccessPolicy?,
        shapes: @escaping @Sendable () -> (arguments: JSONShape, result: JSONShape),
        run: @escaping @Sendable (RPCContext, RawJSON) async throws -> RawJSON
    ) {
        self.name = name
        self.namespace = namespace
        self.since = since
        self.delivery = delivery
        self.timeLimit = timeLimit
        self.access = access
        self.shapes = shapes
        self.run = run
    }
}

extension RPCMethod {
    /// Says which code serves the method; the value belongs into an ``RPCEndpoint``.
    ///
    /// - Parameter body: The handler. What it returns is the caller's result; what it throws reaches the caller as a
    ///   ``RemoteFailure``, under the name that ``RemoteFailureConvertible`` gives, or else under its Swift type's
    ///   name.
    /// - Returns: The method with its handler.
    public func handled(
        by body: @escaping @Sendable (RPCContext, Arguments) async throws -> Result
    ) -> RPCHandler {
        RPCHandler(
            name: self.name,
            namespace: self.namespace,
            since: self.since,
            delivery: self.delivery,
            timeLimit: self.timeLimit,
            access: self.access,
            shapes: { [arguments, result] in (arguments.shape(), result.shape()) },
            run: { [arguments, result] context, raw in
                let decoded: Arguments
                do throws(JSONError) {
                    decoded = try arguments.decode(raw)
                } catch {
                    throw InvalidArguments(method: self.name, error: error)
                }
                return try result.encode(try await body(context, decoded))
            }
        )
    }
}

extension RPCMethod where Arguments == Void {
    /// Says which code serves a method without arguments; the value belongs into an ``RPCEndpoint``.
    ///
    /// - Parameter body: The handler, as of a method with arguments.
    /// - Returns: The method with its handler.
    public func handled(by body: @escaping @Sendable (RPCContext) async throws -> Result) -> RPCHandler {
        self.handled { context, _ in try await body(context) }
    }
}

/// The request's arguments do not fit the method: Python's `TypeError` (wire contract 3.4), which our callers may have
/// to tell from a failure of the method itself.
struct InvalidArguments: Error, RemoteFailureConvertible {
    let method: String
    let error: JSONError

    var remoteFailure: RemoteFailure {
        RemoteFailure(
            className: "TypeError",
            module: "builtins",
            message: "\(self.method)(): \(self.error.description(of: "argument"))"
        )
    }
}
