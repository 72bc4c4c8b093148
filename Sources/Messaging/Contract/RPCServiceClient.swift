/// A client that reads like the service it calls: it conforms to the protocol of an ``RPCContract``, with one line for
/// each method.
///
/// ```swift
/// public struct VolumeAPI: VolumeOperations, RPCServiceClient {
///     public var client: RPCClient
///
///     public init(_ transport: any Transport) {
///         self.client = RPCClient(transport, of: VolumeRPC.contract, target: .topic("cinder-volume"))
///     }
///
///     public func createVolume(_ request: CreateVolume) async throws -> Volume {
///         try await self.client.call(VolumeRPC.createVolume, request)
///     }
/// }
/// ```
///
/// Code that takes `any VolumeOperations` does not know whether it calls a manager at home or a host over the broker: the
/// contract's errors come back as they were thrown. What goes wrong on the way is an ``RPCError``.
public protocol RPCServiceClient: Sendable {
    /// How requests are sent.
    var client: RPCClient { get set }
}

extension RPCServiceClient {
    /// The same client for one host of the topic.
    ///
    /// - Parameter host: The host, as its server names itself.
    /// - Returns: A copy that shares the transport.
    public func on(host: String) -> Self {
        var copy = self
        copy.client = self.client.on(host: host)
        return copy
    }

    /// The same client with other options.
    ///
    /// - Parameter change: Sets what shall be different.
    /// - Returns: A copy that shares the transport.
    public func prepare(_ change: (inout RPCClient.Options) -> Void) -> Self {
        var copy = self
        copy.client = self.client.prepare(change)
        return copy
    }

    /// Whether the version cap lets a method be called.
    ///
    /// - Parameter method: The method.
    /// - Returns: Whether the version in which it appeared is not above the cap.
    public func canSend<Arguments, Result>(_ method: RPCMethod<Arguments, Result>) -> Bool {
        self.client.canSend(method)
    }
}
