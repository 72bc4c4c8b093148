/// A set of methods under one namespace and version: what oslo.messaging calls an endpoint.
///
/// A server has several, asked in order (wire contract 4.2). What is not registered in one is not reachable.
///
/// ```swift
/// RPCEndpoint(version: VolumeRPC.version) {
///     VolumeRPC.createVolume.handled { context, arguments in try await self.create(arguments) }
///     VolumeRPC.listVolumes.handled { context in try await self.list() }
/// }
/// ```
public struct RPCEndpoint: Sendable {
    /// The name of its contract; `nil` where it was made by hand.
    public let name: String?
    /// The namespace, or `nil` for the null namespace.
    public let namespace: String?
    /// Older names under which the same methods are served.
    public let legacyNamespaces: [String?]
    /// The version that is implemented; requests for later ones are refused.
    public let version: RPCVersion
    /// Who may call the methods that have no rule of their own.
    public let access: AccessPolicy
    /// The handlers, by their method's name.
    public internal(set) var handlers: [String: RPCHandler]
    /// Methods of the contract that another endpoint of the same server must serve.
    let servedElsewhere: [RPCHandler]

    /// Creates an endpoint.
    ///
    /// Two handlers of one name, or a handler whose method belongs to another namespace, are a programmer's mistakes
    /// and trap.
    ///
    /// - Parameters:
    ///   - namespace: The namespace of all its methods; `nil` (the default) is the null namespace.
    ///   - version: The version that is implemented; 1.0 by default, as for an oslo endpoint without a target.
    ///   - legacyNamespaces: Older names under which the same methods are served.
    ///   - access: Who may call the methods that have no rule of their own; anyone by default.
    ///   - handlers: The methods and the code that serves them.
    public init(
        namespace: String? = nil,
        version: RPCVersion = .unspecified,
        legacyNamespaces: [String?] = [],
        access: AccessPolicy = .anyone,
        @RPCHandlersBuilder _ handlers: () -> [RPCHandler]
    ) {
        self.init(
            name: nil,
            namespace: namespace,
            version: version,
            legacyNamespaces: legacyNamespaces,
            access: access,
            servedElsewhere: [],
            handlers: handlers()
        )
    }

    init(
        name: String?,
        namespace: String?,
        version: RPCVersion,
        legacyNamespaces: [String?],
        access: AccessPolicy,
        servedElsewhere: [RPCHandler],
        handlers: [RPCHandler]
    ) {
        self.name = name
        self.namespace = namespace
        self.legacyNamespaces = legacyNamespaces
        self.version = version
        self.access = access
        self.servedElsewhere = servedElsewhere
        var byName: [String: RPCHandler] = [:]
        for handler in handlers {
            precondition(
                handler.namespace == namespace,
                "method \(handler.name) belongs to namespace \(handler.namespace ?? "null"), not \(namespace ?? "null")"
            )
            precondition(byName.updateValue(handler, forKey: handler.name) == nil, "\(handler.name) is handled twice")
        }
        self.handlers = byName
    }
}

/// Collects the handlers of an ``RPCEndpoint``.
@resultBuilder
public enum RPCHandlersBuilder {
    /// One handler.
    public static func buildExpression(_ handler: RPCHandler) -> [RPCHandler] { [handler] }
    /// Handlers that were made elsewhere.
    public static func buildExpression(_ handlers: [RPCHandler]) -> [RPCHandler] { handlers }
    /// All of a block.
    public static func buildBlock(_ parts: [RPCHandler]...) -> [RPCHandler] { parts.flatMap { $0 } }
    /// An `if` without an `else`.
    public static func buildOptional(_ part: [RPCHandler]?) -> [RPCHandler] { part ?? [] }
    /// The first branch of an `if`.
    public static func buildEither(first: [RPCHandler]) -> [RPCHandler] { first }
    /// The second branch of an `if`.
    public static func buildEither(second: [RPCHandler]) -> [RPCHandler] { second }
    /// A loop.
    public static func buildArray(_ parts: [[RPCHandler]]) -> [RPCHandler] { parts.flatMap { $0 } }
}
