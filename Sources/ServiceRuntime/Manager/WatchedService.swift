public import Messaging
public import ServiceLifecycle
internal import Synchronization

/// A service that can say how it is; what a monitor watches.
public protocol WatchedService: Service {
    /// Whether the service can be reached and do its work, and why not; answered at once, from what is known.
    var readiness: Readiness { get }

    /// The managers that are served at present.
    var managerServices: [ManagerService] { get }
}

extension ManagerService: WatchedService {
    /// This one.
    public var managerServices: [ManagerService] { [self] }

    /// What the service's servers know of their own queues; empty where they do not probe them, and before they listen.
    public var selfProbes: [SelfProbeStatus] { self.rpcServers.flatMap(\.selfProbes) }

    var selfProbeReadiness: Readiness { self.rpcServers.reduce(.ready) { $0.and($1.selfProbeReadiness) } }

    /// The service's servers, once there are any.
    package var rpcServers: [RPCServer] { self.servers.withLock(\.self) }
}

extension BackendService: WatchedService {
    /// The one that runs, if it does.
    public var managerServices: [ManagerService] { self.service.map { [$0] } ?? [] }
}

extension BackendGroup: WatchedService {
    /// Those of all backends.
    public var managerServices: [ManagerService] { self.backends.flatMap(\.managerServices) }
}
