public import Messaging

/// Asks a scheduler for volumes and for what it knows of the hosts, from anywhere.
///
/// ```swift
/// let scheduler = VolumeSchedulerAPI(transport)
/// let host = try await scheduler.createVolume(.init(volumeID: id, size: 10)).host
/// ```
///
/// It reads as the ``SchedulerManager`` itself, and throws the same ``VolumeError``. Hosts report to schedulers through
/// `SchedulerAPI` of the module ServiceRuntime.
public struct VolumeSchedulerAPI: SchedulerOperations, RPCServiceClient {
    /// How requests are sent.
    public var client: RPCClient

    /// Creates a client of any scheduler.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - topic: The schedulers' topic; cinder's by default.
    ///   - options: Timeouts and versions; the context is the system's own by default.
    public init(
        _ transport: any Transport,
        topic: String = SchedulerRPC.defaultTopic,
        options: RPCClient.Options = .asSystem
    ) {
        self.client = RPCClient(transport, of: SchedulerRPC.contract, target: .topic(topic), options: options)
    }

    /// Tells every scheduler what a host says of itself.
    public func take(_ report: ServiceReport) async throws {
        try await client.fanout(SchedulerRPC.updateServiceCapabilities, report)
    }

    /// Chooses a host and asks it to make the volume.
    public func createVolume(_ request: ScheduleVolume) async throws -> ScheduledVolume {
        try await client.call(SchedulerRPC.createVolume, request)
    }

    /// Reads the table of hosts.
    public func hosts() async throws -> [HostSummary] {
        try await client.call(SchedulerRPC.getHosts)
    }

    /// Reads the pools that say what `filters` want.
    public func pools(matching filters: [String: JSONValue] = [:]) async throws -> [PoolSummary] {
        try await client.call(SchedulerRPC.getPools, GetPools(filters: filters))
    }
}
