public import Messaging

/// How schedulers set a host's space aside before they send it work.
///
/// What a host reports is some moments old, and every scheduler counts only what it has scheduled itself: two that give a
/// host its last space at the same time both find it free. The host alone knows, so it is asked. A cinder volume service
/// has no such methods; it is given work by its reports alone.
public enum ClaimsRPC {
    /// The namespace of all its methods.
    public static let namespace = "claims"
    /// The version of the interface.
    public static let version: RPCVersion = "1.0"

    /// Sets space aside for a volume that is about to be made there; the result says what is left.
    public static let claimCapacity =
        RPCMethod<ClaimCapacity, ClaimedCapacity>("claim_capacity", namespace: namespace, since: "1.0")
    /// Gives the space of a volume back that is not made there after all; that there is no such claim is as good.
    public static let releaseCapacity =
        RPCMethod<VolumeReference, Void>("release_capacity", namespace: namespace, since: "1.0")

    /// The contract: what a ``VolumeManager`` serves and a ``VolumeAPI`` calls.
    public static let contract = RPCContract<any VolumeClaims>(
        "volume claims",
        namespace: namespace,
        version: version,
        errors: [VolumeError.self]
    ) {
        claimCapacity.served { volumes, _, request in try await volumes.claimCapacity(request) }
        releaseCapacity.served { volumes, _, request in try await volumes.releaseCapacity(request.volumeID) }
    }
}

/// Who can set space aside: the ``VolumeManager`` of a host, or a ``VolumeAPI`` from anywhere.
public protocol VolumeClaims: Sendable {
    /// Sets space aside for a volume; for one that has its claim already, the claim's time begins anew.
    ///
    /// - Throws: `insufficientSpace` where too much is used or claimed; `invalidInput`.
    func claimCapacity(_ request: ClaimCapacity) async throws -> ClaimedCapacity

    /// Gives the space back; that there is no such claim is as good.
    func releaseCapacity(_ id: VolumeID) async throws
}

/// The arguments of ``ClaimsRPC/claimCapacity``.
public struct ClaimCapacity: Codable, Sendable, Hashable {
    /// The volume that is to be made.
    public var volumeID: VolumeID
    /// Its size in GiB.
    public var size: Int

    /// Creates the arguments.
    public init(volumeID: VolumeID, size: Int) {
        self.volumeID = volumeID
        self.size = size
    }

    enum CodingKeys: String, CodingKey {
        case volumeID = "volume_id"
        case size
    }
}

/// The result of ``ClaimsRPC/claimCapacity``.
public struct ClaimedCapacity: Codable, Sendable, Hashable {
    /// For how many seconds the space is kept, unless the volume is asked for meanwhile.
    public var seconds: Double
    /// What is left for others, in GiB.
    public var freeCapacity: Double

    enum CodingKeys: String, CodingKey {
        case seconds
        case freeCapacity = "free_capacity_gb"
    }
}
