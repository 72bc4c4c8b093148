/// A method of a service's contract, as a value: its name and version on the wire, its types, its promises.
///
/// Servers register handlers for such values and clients call them, so that both sides read the same lines:
///
/// ```swift
/// public enum VolumeRPC {
///     public static let getVolume = RPCMethod<VolumeID, Volume>("get_volume", since: "3.0")
/// }
/// ```
///
/// `Arguments` travels as a JSON object of keyword arguments, `Result` as any JSON value. `Void` stands for no
/// arguments and for no result (`null`). `JSONValue` takes whatever comes.
public struct RPCMethod<Arguments: Sendable, Result: Sendable>: Sendable {
    /// The method's name on the wire.
    public let name: String
    /// The namespace, or `nil` for the null namespace, which is not the same as an empty one (wire contract 4.2).
    public let namespace: String?
    /// The version of the interface in which the method appeared: what a request asks for.
    public let since: RPCVersion
    /// When a request is acknowledged; at most once by default.
    public let delivery: DeliveryContract
    /// How long a handler may run before it is cancelled and the caller is told; `nil`, the default, for no limit.
    public let timeLimit: Duration?
    /// Who may call the method; `nil`, the default, for whom its endpoint lets in.
    public let access: AccessPolicy?

    package let arguments: JSONCoding<Arguments>
    package let result: JSONCoding<Result>

    init(
        name: String,
        namespace: String?,
        since: RPCVersion,
        delivery: DeliveryContract,
        timeLimit: Duration?,
        access: AccessPolicy?,
        arguments: JSONCoding<Arguments>,
        result: JSONCoding<Result>
    ) {
        self.name = name
        self.namespace = namespace
        self.since = since
        self.delivery = delivery
        self.timeLimit = timeLimit
        self.access = access
        self.arguments = arguments
        self.result = result
    }
}

extension RPCMethod where Arguments: Codable, Result: Codable {
    /// Declares a method with arguments and a result.
    ///
    /// - Parameters:
    ///   - name: The name on the wire.
    ///   - namespace: The namespace; `nil` (the default) is the null namespace.
    ///   - since: The version of the interface in which the method appeared.
    ///   - delivery: When a request is acknowledged; when its handler starts, by default.
    ///   - timeLimit: How long a handler may run before it is cancelled; `nil` (the default) for no limit.
    ///   - access: Who may call the method; `nil` (the default) for whom its endpoint lets in.
    public init(
        _ name: String,
        namespace: String? = nil,
        since: RPCVersion,
        delivery: DeliveryContract = .atMostOnce,
        timeLimit: Duration? = nil,
        access: AccessPolicy? = nil
    ) {
        self.init(
            name: name,
            namespace: namespace,
            since: since,
            delivery: delivery,
            timeLimit: timeLimit,
            access: access,
            arguments: .codable,
            result: .codable
        )
    }
}

extension RPCMethod where Arguments: Codable, Result == Void {
    /// Declares a method that has arguments and gives no result.
    ///
    /// - Parameters:
    ///   - name: The name on the wire.
    ///   - namespace: The namespace; `nil` (the default) is the null namespace.
    ///   - since: The version of the interface in which the method appeared.
    ///   - delivery: When a request is acknowledged; when its handler starts, by default.
    ///   - timeLimit: How long a handler may run before it is cancelled; `nil` (the default) for no limit.
    ///   - access: Who may call the method; `nil` (the default) for whom its endpoint lets in.
    public init(
        _ name: String,
        namespace: String? = nil,
        since: RPCVersion,
        delivery: DeliveryContract = .atMostOnce,
        timeLimit: Duration? = nil,
        access: AccessPolicy? = nil
    ) {
        self.init(
            name: name,
            namespace: namespace,
            since: since,
            delivery: delivery,
            timeLimit: timeLimit,
            access: access,
            arguments: .codable,
            result: .none
        )
    }
}

extension RPCMethod where Arguments == Void, Result: Codable {
    /// Declares a method without arguments that gives a result.
    ///
    /// - Parameters:
    ///   - name: The name on the wire.
    ///   - namespace: The namespace; `nil` (the default) is the null namespace.
    ///   - since: The version of the interface in which the method appeared.
    ///   - delivery: When a request is acknowledged; when its handler starts, by default.
    ///   - timeLimit: How long a handler may run before it is cancelled; `nil` (the default) for no limit.
    ///   - access: Who may call the method; `nil` (the default) for whom its endpoint lets in.
    public init(
        _ name: String,
        namespace: String? = nil,
        since: RPCVersion,
        delivery: DeliveryContract = .atMostOnce,
        timeLimit: Duration? = nil,
        access: AccessPolicy? = nil
    ) {
        self.init(
            name: name,
            namespace: namespace,
            since: since,
            delivery: delivery,
            timeLimit: timeLimit,
            access: access,
            arguments: .noArguments,
            result: .codable
        )
    }
}

extension RPCMethod where Arguments == Void, Result == Void {
    /// Declares a method with neither arguments nor a result.
    ///
    /// - Parameters:
    ///   - name: The name on the wire.
    ///   - namespace: The namespace; `nil` (the default) is the null namespace.
    ///   - since: The version of the interface in which the method appeared.
    ///   - delivery: When a request is acknowledged; when its handler starts, by default.
    ///   - timeLimit: How long a handler may run before it is cancelled; `nil` (the default) for no limit.
    ///   - access: Who may call the method; `nil` (the default) for whom its endpoint lets in.
    public init(
        _ name: String,
        namespace: String? = nil,
        since: RPCVersion,
        delivery: DeliveryContract = .atMostOnce,
        timeLimit: Duration? = nil,
        access: AccessPolicy? = nil
    ) {
        self.init(
            name: name,
            namespace: namespace,
            since: since,
            delivery: delivery,
            timeLimit: timeLimit,
            access: access,
            arguments: .noArguments,
            result: .none
        )
    }
}
