public import Messaging
internal import ServiceRuntime

/// The contract of the volume workers.
///
/// Topic, method and argument names are cinder's where cinder has them; where cinder sends its whole volume object, this
/// contract has the volume's id and size.
///
/// Creating, extending and deleting are delivered at least once: a worker that dies with one of them gets it again, and
/// each of them bears a repetition.
public enum VolumeRPC {
    /// The topic on which the workers listen unless configured otherwise.
    public static let defaultTopic = "cinder-volume"
    /// The version of the interface: that of present cinder.
    public static let version: RPCVersion = "3.20"

    /// Makes a volume; the result is the volume, and the same request again finds it made.
    public static let createVolume =
        RPCMethod<CreateVolume, Volume>("create_volume", since: "3.0", delivery: .atLeastOnce)
    /// Removes a volume; that there is none is as good, as in cinder.
    public static let deleteVolume =
        RPCMethod<VolumeReference, Void>("delete_volume", since: "3.0", delivery: .atLeastOnce)
    /// Makes a volume larger; the result is the volume.
    public static let extendVolume =
        RPCMethod<ExtendVolume, Volume>("extend_volume", since: "3.0", delivery: .atLeastOnce)
    /// Reads one volume.
    public static let getVolume = RPCMethod<VolumeReference, Volume>("get_volume", since: "3.0")
    /// Reads all volumes of the worker, ordered by id.
    public static let listVolumes = RPCMethod<Void, [Volume]>("list_volumes", since: "3.0")
    /// Reads what the worker can do.
    public static let getCapabilities = RPCMethod<GetCapabilities, Capabilities>("get_capabilities", since: "3.0")
    /// Asks the worker to tell all schedulers what it can do, at once; schedulers fan it out when they start.
    public static let publishServiceCapabilities = ManagerRPC.publishServiceCapabilities

    /// The contract: what a ``VolumeManager`` serves and a ``VolumeAPI`` calls.
    public static let contract = RPCContract<any VolumeOperations>(
        "volume",
        version: version,
        errors: [VolumeError.self]
    ) {
        createVolume.served { volumes, _, request in try await volumes.createVolume(request) }
        deleteVolume.served { volumes, _, request in try await volumes.deleteVolume(request.volumeID) }
        extendVolume.served { volumes, _, request in
            try await volumes.extendVolume(request.volumeID, to: request.newSize)
        }
        getVolume.served { volumes, _, request in try await volumes.volume(request.volumeID) }
        listVolumes.served { volumes, _ in try await volumes.volumes() }
        getCapabilities.served { volumes, _, request in try await volumes.capabilities(discover: request.discover) }
        // By the service around the manager, as for every manager that reports to schedulers.
        publishServiceCapabilities.servedElsewhere()
    }
}

/// The arguments of ``VolumeRPC/createVolume``.
public struct CreateVolume: Codable, Sendable, Hashable {
    /// The id of the volume, chosen by the caller.
    public var volumeID: VolumeID
    /// The size in GiB.
    public var size: Int
    /// A name for people.
    public var name: String?

    /// Creates the arguments; without a name by default.
    public init(volumeID: VolumeID, size: Int, name: String? = nil) {
        self.volumeID = volumeID
        self.size = size
        self.name = name
    }

    enum CodingKeys: String, CodingKey {
        case volumeID = "volume_id"
        case size, name
    }
}

/// The arguments of methods that need nothing but a volume's id.
public struct VolumeReference: Codable, Sendable, Hashable {
    /// The id of the volume.
    public var volumeID: VolumeID

    /// Creates the arguments.
    public init(volumeID: VolumeID) { self.volumeID = volumeID }

    enum CodingKeys: String, CodingKey { case volumeID = "volume_id" }
}

/// The arguments of ``VolumeRPC/extendVolume``.
public struct ExtendVolume: Codable, Sendable, Hashable {
    /// The id of the volume.
    public var volumeID: VolumeID
    /// The size that it shall have, in GiB.
    public var newSize: Int

    /// Creates the arguments.
    public init(volumeID: VolumeID, newSize: Int) {
        self.volumeID = volumeID
        self.newSize = newSize
    }

    enum CodingKeys: String, CodingKey {
        case volumeID = "volume_id"
        case newSize = "new_size"
    }
}

/// The arguments of ``VolumeRPC/getCapabilities``.
public struct GetCapabilities: Codable, Sendable, Hashable {
    /// Whether the driver is asked anew, or what was reported last is enough.
    public var discover: Bool

    /// Creates the arguments; by default what was reported last is enough.
    public init(discover: Bool = false) { self.discover = discover }

    /// Reads the arguments; an absent one has its default.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.discover = try container.decodeIfPresent(Bool.self, forKey: .discover) ?? false
    }
}
