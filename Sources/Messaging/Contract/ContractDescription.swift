/// What a service offers under one namespace and version, as data: what `info` answers, and what a check of
/// compatibility compares.
public struct ContractDescription: Codable, Sendable, Hashable {
    /// The contract's name; an endpoint that was made by hand has none.
    public var name: String?
    /// The namespace, or `nil` for the null namespace.
    public var namespace: String?
    /// Older namespaces under which the same methods are served; `nil` for the null namespace.
    public var legacyNamespaces: [String?]
    /// The version that is implemented.
    public var version: RPCVersion
    /// The methods, ordered by name.
    public var methods: [MethodDescription]

    enum CodingKeys: String, CodingKey {
        case name, namespace, version, methods
        case legacyNamespaces = "legacy_namespaces"
    }
}

/// What a method of a contract promises and expects.
public struct MethodDescription: Codable, Sendable, Hashable {
    /// The name on the wire.
    public var name: String
    /// The version of the interface in which the method appeared.
    public var since: RPCVersion
    /// When a request is acknowledged: `at_most_once` or `at_least_once`.
    public var delivery: String
    /// How often a request is tried at most; `nil` where it is run at most once.
    public var attempts: Int?
    /// How many seconds a handler may run; `nil` for no limit.
    public var timeLimit: Double?
    /// Who may call it, in words; `anyone` if there is no rule.
    public var access: String
    /// The keyword arguments: an object.
    public var arguments: JSONShape
    /// The result.
    public var result: JSONShape

    enum CodingKeys: String, CodingKey {
        case name, since, delivery, attempts, access, arguments, result
        case timeLimit = "time_limit"
    }
}

extension RPCHandler {
    /// What the method promises and expects.
    ///
    /// - Parameter access: The rule for methods that have none of their own.
    /// - Returns: The description.
    func description(access: AccessPolicy) -> MethodDescription {
        let shapes = self.shapes()
        return MethodDescription(
            name: self.name,
            since: self.since,
            delivery: self.delivery.isAtLeastOnce ? "at_least_once" : "at_most_once",
            attempts: self.delivery.isAtLeastOnce ? self.delivery.attempts : nil,
            timeLimit: self.timeLimit?.inSeconds,
            access: (self.access ?? access).description,
            arguments: shapes.arguments,
            result: shapes.result
        )
    }
}

extension RPCEndpoint {
    /// What the endpoint offers; the shapes of methods without a contract are any.
    ///
    /// It is found anew each time, by reading the methods' types.
    public var description: ContractDescription {
        ContractDescription(
            name: self.name,
            namespace: self.namespace,
            legacyNamespaces: self.legacyNamespaces,
            version: self.version,
            methods: self.handlers.values.sorted { $0.name < $1.name }.map { $0.description(access: self.access) }
        )
    }
}

extension RPCServer {
    /// What the server offers, in the order in which its endpoints are asked.
    public var contracts: [ContractDescription] { self.dispatcher.endpoints.map(\.description) }
}

extension RPCVersion: Codable {
    /// Reads a version as it stands on the wire: a text such as `3.0`.
    ///
    /// - Parameter decoder: What the version is read from.
    /// - Throws: `DecodingError` where the text is no version.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let version = RPCVersion(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "'\(text.prefix(64))' is not an RPC version"
            )
        }
        self = version
    }

    /// Writes the version as it stands on the wire.
    ///
    /// - Parameter encoder: What it is written to.
    /// - Throws: What the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }
}
