public import Messaging

/// The contract of the volume workers' additional endpoint: looks beneath the volumes, for operators.
public enum DiagnosticsRPC {
    /// The namespace of all its methods.
    public static let namespace = "diagnostics"
    /// The version of the interface.
    public static let version: RPCVersion = "1.0"

    /// Reads what the volumes take, and what lies among them without belonging there.
    public static let diskUsage = RPCMethod<Void, DiskUsage>("disk_usage", namespace: namespace, since: "1.0")
    /// Compares what the database and the driver say of a volume, without changing anything.
    public static let checkVolume =
        RPCMethod<VolumeReference, VolumeCheck>("check_volume", namespace: namespace, since: "1.0")

    /// The contract: what a ``VolumeManager`` serves beside its own and a ``VolumeAPI`` calls.
    public static let contract = RPCContract<any VolumeDiagnostics>(
        "volume diagnostics",
        namespace: namespace,
        version: version,
        errors: [VolumeError.self]
    ) {
        diskUsage.served { volumes, _ in try await volumes.diskUsage() }
        checkVolume.served { volumes, _, request in try await volumes.checkVolume(request.volumeID) }
    }
}

/// What can be asked of the volumes of a host beneath their states: of its ``VolumeManager`` at home, of a ``VolumeAPI``
/// from anywhere.
public protocol VolumeDiagnostics: Sendable {
    /// Reads what the volumes take, and what lies among them without belonging there.
    func diskUsage() async throws -> DiskUsage

    /// Compares what the database and the driver say of a volume.
    ///
    /// - Throws: `notFound` where neither knows it.
    func checkVolume(_ id: VolumeID) async throws -> VolumeCheck
}

/// What the volumes of a host take, in bytes.
public struct DiskUsage: Codable, Sendable, Hashable {
    /// The capacity.
    public var totalBytes: Int64
    /// What can still be promised.
    public var freeBytes: Int64
    /// The sum of the volumes' sizes.
    public var allocatedBytes: Int64
    /// What the volumes take in truth; files are sparse.
    public var writtenBytes: Int64
    /// How many volumes there are.
    public var volumes: Int
    /// Volumes that the driver holds and the database does not know.
    public var orphans: [VolumeID]
    /// Names of what else lies there.
    public var strangers: [String]

    enum CodingKeys: String, CodingKey {
        case totalBytes = "total_bytes"
        case freeBytes = "free_bytes"
        case allocatedBytes = "allocated_bytes"
        case writtenBytes = "written_bytes"
        case volumes, orphans, strangers
    }
}

/// What the database and the driver say of a volume.
public struct VolumeCheck: Codable, Sendable, Hashable {
    /// The id.
    public var volumeID: VolumeID
    /// The status in the database; `nil` if it does not know the volume.
    public var status: String?
    /// The size in the database, in bytes.
    public var expectedBytes: Int64?
    /// The size of the data; `nil` if there is none.
    public var storedBytes: Int64?
    /// How much of the data takes space.
    public var writtenBytes: Int64?
    /// Whether both agree and the volume can be used.
    public var isConsistent: Bool
    /// What is wrong, for people.
    public var finding: String?

    enum CodingKeys: String, CodingKey {
        case volumeID = "volume_id"
        case expectedBytes = "expected_bytes"
        case storedBytes = "stored_bytes"
        case writtenBytes = "written_bytes"
        case isConsistent = "is_consistent"
        case status, finding
    }
}
