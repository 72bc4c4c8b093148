/// What a volume worker tells the schedulers about itself.
///
/// Names and meanings are those of cinder's backend statistics. A cinder scheduler takes a report without a list of pools for a host with one pool, named as the backend.
public struct Capabilities: Codable, Sendable, Hashable {
    /// The name of the backend and of its one pool.
    public var volumeBackendName: String
    /// Who made the driver.
    public var vendorName = "Steward"
    /// The version of the driver.
    public var driverVersion: String
    /// How volumes are reached.
    public var storageProtocol: String
    /// The capacity in GiB: the file system's, or less where it is limited by configuration.
    public var totalCapacity: Double
    /// The capacity in GiB that can still be promised; what was promised to volumes is taken off, written or not, made or
    /// only claimed.
    public var freeCapacity: Double
    /// The sum of the volumes' sizes in GiB.
    public var allocatedCapacity: Double
    /// The same: volumes are never promised more than there is.
    public var provisionedCapacity: Double
    /// How much of the total capacity schedulers leave alone, in per cent.
    public var reservedPercentage: Int
    /// Whether more may be promised than there is; files are sparse, but the driver does not promise what it lacks.
    public var supportsThinProvisioning = false
    /// Whether capacity is set aside for a volume when it is made.
    public var supportsThickProvisioning = true
    /// How often the capacity may be promised.
    public var maximumOversubscription = "1.0"
    /// Whether the driver knows qualities of service.
    public var supportsQualityOfService = false
    /// Whether a volume can be used by several machines.
    public var supportsMultiattach = false
    /// Whether the backend works: `up` or `down`.
    public var backendState = "up"
    /// How many volumes there are.
    public var totalVolumes: Int
    /// Whether space can be claimed before a volume is made (``ClaimsRPC``).
    public var supportsClaims = true

    enum CodingKeys: String, CodingKey {
        case volumeBackendName = "volume_backend_name"
        case vendorName = "vendor_name"
        case driverVersion = "driver_version"
        case storageProtocol = "storage_protocol"
        case totalCapacity = "total_capacity_gb"
        case freeCapacity = "free_capacity_gb"
        case allocatedCapacity = "allocated_capacity_gb"
        case provisionedCapacity = "provisioned_capacity_gb"
        case reservedPercentage = "reserved_percentage"
        case supportsThinProvisioning = "thin_provisioning_support"
        case supportsThickProvisioning = "thick_provisioning_support"
        case maximumOversubscription = "max_over_subscription_ratio"
        case supportsQualityOfService = "QoS_support"
        case supportsMultiattach = "multiattach"
        case backendState = "backend_state"
        case totalVolumes = "total_volumes"
        case supportsClaims = "capacity_claims_support"
    }
}

/// A capacity in GiB to the hundredth below, as cinder rounds it.
func roundedCapacity(_ gibibytes: Double) -> Double {
    (gibibytes * 100).rounded(.down) / 100
}

/// Bytes per GiB.
let gibibyte: Int64 = 1 << 30
