public import Messaging

/// Uses the volumes of a host, or of any host, from anywhere.
///
/// ```swift
/// let volumes = VolumeAPI(transport).on(host: "node-1")
/// let volume = try await volumes.createVolume(.init(volumeID: id, size: 10))
/// ```
///
/// It reads as the ``VolumeManager`` itself, and throws the same ``VolumeError`` where the host reports one; what goes wrong on
/// the way is an `RPCError`.
public struct VolumeAPI: VolumeOperations, VolumeDiagnostics, VolumeClaims, RPCServiceClient {
    /// How requests are sent.
    public var client: RPCClient

    /// Creates a client of any volume worker.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - topic: The workers' topic; cinder's by default.
    ///   - options: Timeouts and versions; the context is the system's own by default.
    public init(
        _ transport: any Transport,
        topic: String = VolumeRPC.defaultTopic,
        options: RPCClient.Options = .asSystem
    ) {
        self.client = RPCClient(transport, of: VolumeRPC.contract, target: .topic(topic), options: options)
    }

    /// Makes a volume and waits for it.
    public func createVolume(_ request: CreateVolume) async throws -> Volume {
        try await client.call(VolumeRPC.createVolume, request)
    }

    /// Asks for a volume, and returns when the broker has taken the request.
    public func castCreateVolume(_ request: CreateVolume) async throws {
        try await client.cast(VolumeRPC.createVolume, request)
    }

    /// Removes a volume.
    public func deleteVolume(_ id: VolumeID) async throws {
        try await client.call(VolumeRPC.deleteVolume, VolumeReference(volumeID: id))
    }

    /// Makes a volume larger.
    public func extendVolume(_ id: VolumeID, to size: Int) async throws -> Volume {
        try await client.call(VolumeRPC.extendVolume, ExtendVolume(volumeID: id, newSize: size))
    }

    /// Reads one volume.
    public func volume(_ id: VolumeID) async throws -> Volume {
        try await client.call(VolumeRPC.getVolume, VolumeReference(volumeID: id))
    }

    /// Reads all volumes.
    public func volumes() async throws -> [Volume] {
        try await client.call(VolumeRPC.listVolumes)
    }

    /// Reads what the host can do.
    public func capabilities(discover: Bool) async throws -> Capabilities {
        try await client.call(VolumeRPC.getCapabilities, GetCapabilities(discover: discover))
    }

    /// Asks all hosts to tell the schedulers what they can do.
    public func publishServiceCapabilities() async throws {
        try await client.fanout(VolumeRPC.publishServiceCapabilities)
    }

    /// Sets space aside for a volume that is about to be made.
    public func claimCapacity(_ request: ClaimCapacity) async throws -> ClaimedCapacity {
        try await client.call(ClaimsRPC.claimCapacity, request)
    }

    /// Gives the space of a volume back that is not made after all.
    public func releaseCapacity(_ id: VolumeID) async throws {
        try await client.call(ClaimsRPC.releaseCapacity, VolumeReference(volumeID: id))
    }

    /// Reads what the volumes of the host take.
    public func diskUsage() async throws -> DiskUsage {
        try await client.call(DiagnosticsRPC.diskUsage)
    }

    /// Compares what the host's database and driver say of a volume.
    public func checkVolume(_ id: VolumeID) async throws -> VolumeCheck {
        try await client.call(DiagnosticsRPC.checkVolume, VolumeReference(volumeID: id))
    }
}

extension RPCClient.Options {
    /// The defaults, with the context of a request that the system itself makes.
    public static var asSystem: RPCClient.Options {
        var options = RPCClient.Options()
        options.context = .admin()
        return options
    }
}
