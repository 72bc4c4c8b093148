public import Messaging

/// The contract of the schedulers; topic, method and argument names are cinder's where cinder has them.
public enum SchedulerRPC {
    /// The topic on which the schedulers listen unless configured otherwise.
    public static let defaultTopic = "cinder-scheduler"
    /// The version of the interface: that of present cinder.
    public static let version: RPCVersion = "3.12"

    /// Takes the report of a host; sent by fanout, so that every scheduler knows it.
    public static let updateServiceCapabilities =
        RPCMethod<ServiceReport, Void>("update_service_capabilities", since: "3.0")
    /// Takes the report of a host that a cinder volume service sends to one scheduler after the fanout.
    public static let notifyServiceCapabilities =
        RPCMethod<ServiceNotification, Void>("notify_service_capabilities", since: "3.1")
    /// Chooses a host and casts the creation to it; the result names the host.
    public static let createVolume = RPCMethod<ScheduleVolume, ScheduledVolume>("create_volume", since: "3.0")
    /// Reads the table of hosts, ordered by name.
    public static let getHosts = RPCMethod<Void, [HostSummary]>("get_hosts", since: "3.0")
    /// Reads the pools of all hosts in cinder's shape.
    public static let getPools = RPCMethod<GetPools, [PoolSummary]>("get_pools", since: "3.0")

    /// The contract: what a ``SchedulerManager`` serves and a ``VolumeSchedulerAPI`` calls.
    public static let contract = RPCContract<any SchedulerOperations>(
        "scheduler",
        version: version,
        errors: [VolumeError.self]
    ) {
        updateServiceCapabilities.served { scheduler, _, report in try await scheduler.take(report) }
        notifyServiceCapabilities.served { scheduler, _, notification in
            try await scheduler.take(ServiceReport(notification))
        }
        createVolume.served { scheduler, _, request in try await scheduler.createVolume(request) }
        getHosts.served { scheduler, _ in try await scheduler.hosts() }
        getPools.served { scheduler, _, request in try await scheduler.pools(matching: request.filters ?? [:]) }
    }
}

/// What schedulers do: a ``SchedulerManager`` at home, a ``VolumeSchedulerAPI`` from anywhere.
public protocol SchedulerOperations: Sendable {
    /// Takes what a host says of itself.
    ///
    /// - Throws: `invalidInput` for a report without a host.
    func take(_ report: ServiceReport) async throws

    /// Chooses a host and asks it to make the volume; the same request again goes to the same host.
    ///
    /// - Throws: `noValidBackend` with each host's reason; `invalidInput`.
    func createVolume(_ request: ScheduleVolume) async throws -> ScheduledVolume

    /// Reads the table of hosts, ordered by name.
    func hosts() async throws -> [HostSummary]

    /// Reads the pools of the volume hosts that say what `filters` want, ordered by name.
    func pools(matching filters: [String: JSONValue]) async throws -> [PoolSummary]
}

/// What a host tells the schedulers: the arguments of ``SchedulerRPC/updateServiceCapabilities`` (wire contract 7.2).
public struct ServiceReport: Codable, Sendable, Hashable {
    /// The kind of service, such as `volume`.
    public var serviceName: String
    /// The host that reports.
    public var host: String
    /// What the host can do; `nil` where it has nothing to tell.
    public var capabilities: [String: JSONValue]?
    /// The cluster that the host belongs to, from version 3.3 on.
    public var clusterName: String?
    /// When the capabilities were gathered, by the host's clock: UTC, `YYYY-MM-DDTHH:MM:SS.ffffff`; from version 3.3 on.
    public var timestamp: String?

    /// Creates a report.
    public init(
        serviceName: String,
        host: String,
        capabilities: [String: JSONValue]?,
        clusterName: String? = nil,
        timestamp: String? = nil
    ) {
        self.serviceName = serviceName
        self.host = host
        self.capabilities = capabilities
        self.clusterName = clusterName
        self.timestamp = timestamp
    }

    enum CodingKeys: String, CodingKey {
        case serviceName = "service_name"
        case clusterName = "cluster_name"
        case host, capabilities, timestamp
    }
}

/// The arguments of ``SchedulerRPC/notifyServiceCapabilities``: the host is `backend` from version 3.5 on, `host` before.
public struct ServiceNotification: Codable, Sendable, Hashable {
    /// The kind of service.
    public var serviceName: String
    /// What the host can do.
    public var capabilities: [String: JSONValue]?
    /// The host or cluster, from version 3.5 on.
    public var backend: String?
    /// The host, before version 3.5.
    public var host: String?
    /// When the capabilities were gathered.
    public var timestamp: String?

    /// Creates a notification as version 3.5 has it.
    public init(
        serviceName: String,
        capabilities: [String: JSONValue]?,
        backend: String,
        timestamp: String? = nil
    ) {
        self.serviceName = serviceName
        self.capabilities = capabilities
        self.backend = backend
        self.timestamp = timestamp
    }

    enum CodingKeys: String, CodingKey {
        case serviceName = "service_name"
        case capabilities, backend, host, timestamp
    }
}

/// The arguments of ``SchedulerRPC/createVolume``.
public struct ScheduleVolume: Codable, Sendable, Hashable {
    /// The id of the volume, chosen by the caller.
    public var volumeID: VolumeID
    /// The size in GiB.
    public var size: Int
    /// A name for people.
    public var name: String?
    /// What a host's capabilities must say, by name and equal value, for the host to be chosen.
    public var requiredCapabilities: [String: JSONValue]?

    /// Creates the arguments; without a name and without requirements by default.
    public init(
        volumeID: VolumeID,
        size: Int,
        name: String? = nil,
        requiredCapabilities: [String: JSONValue]? = nil
    ) {
        self.volumeID = volumeID
        self.size = size
        self.name = name
        self.requiredCapabilities = requiredCapabilities
    }

    enum CodingKeys: String, CodingKey {
        case volumeID = "volume_id"
        case size, name
        case requiredCapabilities = "required_capabilities"
    }
}

extension ServiceReport {
    /// The report that a notification makes.
    ///
    /// - Throws: `invalidInput` where it names no host.
    init(_ notification: ServiceNotification) throws(VolumeError) {
        guard let host = notification.backend ?? notification.host else {
            throw VolumeError.invalidInput("the notification names neither a backend nor a host")
        }
        self.init(
            serviceName: notification.serviceName,
            host: host,
            capabilities: notification.capabilities,
            timestamp: notification.timestamp
        )
    }
}

/// The result of ``SchedulerRPC/createVolume``.
public struct ScheduledVolume: Codable, Sendable, Hashable {
    /// The host that was asked to make the volume.
    public var host: String
}

/// A host as a scheduler sees it.
public struct HostSummary: Codable, Sendable, Hashable {
    /// The host, or the cluster if it belongs to one.
    public var host: String
    /// The kind of service.
    public var serviceName: String
    /// How long ago it reported last, in seconds, by the scheduler's clock.
    public var age: Double
    /// Whether the report is young enough for the host to be chosen.
    public var isFresh: Bool
    /// By how many seconds the host's clock is ahead of the scheduler's, less the time of the report on its way; `nil` for
    /// a host that does not tell its time.
    public var clockSkew: Double?
    /// How many reports of this host the scheduler has taken.
    public var reports: Int
    /// The free capacity in GiB less what was scheduled since the last report.
    public var estimatedFreeCapacity: Double?
    /// What the host said last.
    public var capabilities: [String: JSONValue]

    enum CodingKeys: String, CodingKey {
        case host, age, reports, capabilities
        case serviceName = "service_name"
        case isFresh = "is_fresh"
        case clockSkew = "clock_skew"
        case estimatedFreeCapacity = "estimated_free_capacity_gb"
    }
}

/// The arguments of ``SchedulerRPC/getPools``.
public struct GetPools: Codable, Sendable, Hashable {
    /// What a pool must say, by name and equal value, to be listed; `name` is the pool's name or its host's.
    public var filters: [String: JSONValue]?

    /// Creates the arguments; by default all pools are listed.
    public init(filters: [String: JSONValue]? = nil) { self.filters = filters }
}

/// A pool as cinder lists it.
public struct PoolSummary: Codable, Sendable, Hashable {
    /// `host#pool`.
    public var name: String
    /// What the pool can do.
    public var capabilities: [String: JSONValue]
}
