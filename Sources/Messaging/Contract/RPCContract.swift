/// A service in one place: its methods, and the protocol that both the service and its clients conform to.
///
/// ```swift
/// public protocol VolumeOperations: Sendable {
///     func createVolume(_ request: CreateVolume) async throws -> Volume
///     func volumes() async throws -> [Volume]
/// }
///
/// public enum VolumeRPC {
///     public static let createVolume = RPCMethod<CreateVolume, Volume>("create_volume", since: "3.0")
///     public static let listVolumes = RPCMethod<Void, [Volume]>("list_volumes", since: "3.0")
///
///     public static let contract = RPCContract<any VolumeOperations>("volume", version: "3.20", errors: [VolumeError.self]) {
///         createVolume.served { volumes, _, request in try await volumes.createVolume(request) }
///         listVolumes.served { volumes, _ in try await volumes.volumes() }
///     }
/// }
/// ```
///
/// From it come the server's registration, `RPCEndpoint(VolumeRPC.contract, serving: manager)`; the clients, which conform
/// to the same protocol (``RPCServiceClient``); and the ``description`` for tools.
public struct RPCContract<Service: Sendable>: Sendable {
    /// The name of the contract, for people.
    public let name: String
    /// The namespace of its methods, or `nil` for the null namespace.
    public let namespace: String?
    /// Older names under which the same methods are served.
    public let legacyNamespaces: [String?]
    /// The version that is implemented.
    public let version: RPCVersion
    /// The errors that clients get back as they were thrown.
    public let errors: [any RemoteFailureInitializable.Type]
    /// Who may call the methods that have no rule of their own.
    public let access: AccessPolicy

    let bindings: [RPCBinding<Service>]

    /// Declares a contract.
    ///
    /// Two methods of one name, a method of another namespace, and one that appeared in a version that the contract does
    /// not offer are a programmer's mistakes and trap.
    ///
    /// - Parameters:
    ///   - name: The name of the contract, for people.
    ///   - namespace: The namespace of all its methods; `nil` (the default) is the null namespace.
    ///   - version: The version that is implemented.
    ///   - legacyNamespaces: Older names under which the same methods are served; none by default.
    ///   - errors: The errors that clients get back as they were thrown; none by default.
    ///   - access: Who may call the methods that have no rule of their own; anyone by default.
    ///   - methods: The methods, each with how the service serves it.
    public init(
        _ name: String,
        namespace: String? = nil,
        version: RPCVersion,
        legacyNamespaces: [String?] = [],
        errors: [any RemoteFailureInitializable.Type] = [],
        access: AccessPolicy = .anyone,
        @RPCContractBuilder<Service> _ methods: () -> [RPCBinding<Service>]
    ) {
        self.name = name
        self.namespace = namespace
        self.legacyNamespaces = legacyNamespaces
        self.version = version
        self.errors = errors
        self.access = access
        self.bindings = methods()
        var names: Set<String> = []
        for method in self.bindings.map(\.declaration) {
            precondition(names.insert(method.name).inserted, "contract \(name) declares \(method.name) twice")
            precondition(
                method.namespace == namespace,
                "\(method.name) is of namespace \(method.namespace ?? "null"), not \(namespace ?? "null") as \(name)"
            )
            precondition(
                version.supports(method.since),
                "\(method.name) appeared in \(method.since), which contract \(name) does not offer at \(version)"
            )
        }
    }

    /// What the contract offers, methods that are served elsewhere included; found anew each time.
    public var description: ContractDescription {
        ContractDescription(
            name: self.name,
            namespace: self.namespace,
            legacyNamespaces: self.legacyNamespaces,
            version: self.version,
            methods: self.bindings.map { $0.declaration.description(access: self.access) }.sorted { $0.name < $1.name }
        )
    }
}

/// A method of a contract, with how a service serves it.
public struct RPCBinding<Service: Sendable>: Sendable {
    /// What is declared; where it stands for itself, it refuses to run.
    let declaration: RPCHandler
    /// Makes the handler for a service; `nil` where another endpoint serves the method.
    let handler: (@Sendable (Service) -> RPCHandler)?
}

extension RPCMethod {
    /// Says how a service serves the method; the value belongs into an ``RPCContract``.
    ///
    /// - Parameter body: Calls the service with the request's context and arguments. What it throws reaches the caller.
    /// - Returns: The method with its way into the service.
    public func served<Service: Sendable>(
        by body: @escaping @Sendable (Service, RPCContext, Arguments) async throws -> Result
    ) -> RPCBinding<Service> {
        RPCBinding(declaration: self.declaration) { service in
            self.handled { context, arguments in try await body(service, context, arguments) }
        }
    }

    /// Says that the method belongs to the contract, but that another endpoint of the same server serves it.
    ///
    /// Such as the one that every manager has. A server without such an endpoint traps when it is made.
    ///
    /// - Returns: The method without a way into the service.
    public func servedElsewhere<Service: Sendable>() -> RPCBinding<Service> {
        RPCBinding(declaration: self.declaration, handler: nil)
    }

    private var declaration: RPCHandler {
        self.handled { [name] _, _ in throw RPCError(.closed, "\(name) is declared here and served elsewhere") }
    }
}

extension RPCMethod where Arguments == Void {
    /// Says how a service serves a method without arguments; the value belongs into an ``RPCContract``.
    ///
    /// - Parameter body: Calls the service with the request's context. What it throws reaches the caller.
    /// - Returns: The method with its way into the service.
    public func served<Service: Sendable>(
        by body: @escaping @Sendable (Service, RPCContext) async throws -> Result
    ) -> RPCBinding<Service> {
        self.served { service, context, _ in try await body(service, context) }
    }
}

extension RPCEndpoint {
    /// Serves a contract.
    ///
    /// - Parameters:
    ///   - contract: The contract.
    ///   - service: What its methods are called on.
    public init<Service: Sendable>(_ contract: RPCContract<Service>, serving service: Service) {
        self.init(
            name: contract.name,
            namespace: contract.namespace,
            version: contract.version,
            legacyNamespaces: contract.legacyNamespaces,
            access: contract.access,
            servedElsewhere: contract.bindings.filter { $0.handler == nil }.map(\.declaration),
            handlers: contract.bindings.compactMap { $0.handler?(service) }
        )
    }
}

/// Collects the methods of an ``RPCContract``.
@resultBuilder
public enum RPCContractBuilder<Service: Sendable> {
    /// One method.
    public static func buildExpression(_ binding: RPCBinding<Service>) -> [RPCBinding<Service>] { [binding] }
    /// Methods that were declared elsewhere.
    public static func buildExpression(_ bindings: [RPCBinding<Service>]) -> [RPCBinding<Service>] { bindings }
    /// All of a block.
    public static func buildBlock(_ parts: [RPCBinding<Service>]...) -> [RPCBinding<Service>] { parts.flatMap { $0 } }
}
