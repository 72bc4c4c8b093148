public import Messaging

extension ManagerRPC {
    /// Has the schedulers give the host nothing more; what reaches it is served all the same.
    public static let disableHost = RPCMethod<DisableHost, HostStanding>("disable_host", since: "1.0")
    /// Has the schedulers give the host work again.
    public static let enableHost = RPCMethod<Void, HostStanding>("enable_host", since: "1.0")
    /// Has the host refuse changes, as cinder's method of this name.
    public static let freezeHost = RPCMethod<Void, HostStanding>("freeze_host", since: "1.0")
    /// Lets the host make changes again, as cinder's method of this name.
    public static let thawHost = RPCMethod<Void, HostStanding>("thaw_host", since: "1.0")
    /// What operators have decided about the host.
    public static let hostStanding = RPCMethod<Void, HostStanding>("get_host_standing", since: "1.0")
}

/// The arguments of ``ManagerRPC/disableHost``.
public struct DisableHost: Codable, Sendable, Hashable {
    /// Why, for people.
    public var reason: String?

    /// Creates the arguments; without a reason by default.
    public init(reason: String? = nil) { self.reason = reason }
}

/// What a host answers about its standing.
public struct HostStanding: Codable, Sendable, Hashable {
    /// The topic that was asked.
    public var topic: String
    /// The host that answers.
    public var host: String
    /// Whether the schedulers give it nothing.
    public var isDisabled: Bool
    /// Why.
    public var disabledReason: String?
    /// Whether it refuses changes.
    public var isFrozen: Bool
    /// Whether this outlasts a restart: not without a registry, and not before the registry can be written again.
    public var isRecorded: Bool

    init(_ key: ServiceKey, _ standing: ServiceStanding, isRecorded: Bool) {
        self.topic = key.topic
        self.host = key.host
        self.isDisabled = standing.isDisabled
        self.disabledReason = standing.disabledReason
        self.isFrozen = standing.isFrozen
        self.isRecorded = isRecorded
    }

    enum CodingKeys: String, CodingKey {
        case topic, host
        case isDisabled = "disabled"
        case disabledReason = "disabled_reason"
        case isFrozen = "frozen"
        case isRecorded = "recorded"
    }
}

extension ServiceRegistryError: RemoteFailureConvertible {
    /// The error as a value that was wrong, or as a failure of the service.
    public var remoteFailure: RemoteFailure {
        RemoteFailure(
            className: self.code == .invalid ? "InvalidInput" : "ServiceRegistryError",
            module: self.code == .invalid ? "cinder.exception" : "steward",
            message: self.message
        )
    }

    /// Whether what was asked for was wrong, and not the database.
    public var isExpected: Bool { self.code == .invalid }
}

extension ServiceMembership {
    /// The methods by which a host's standing is changed.
    var handlers: [RPCHandler] {
        let change = { @Sendable (change: ServiceStandingChange) async throws -> HostStanding in
            let (standing, isRecorded) = try await self.change(change)
            return HostStanding(self.registration.key, standing, isRecorded: isRecorded)
        }
        return [
            ManagerRPC.disableHost.handled { _, arguments in try await change(.disable(reason: arguments.reason)) },
            ManagerRPC.enableHost.handled { _ in try await change(.enable) },
            ManagerRPC.freezeHost.handled { _ in try await change(.freeze) },
            ManagerRPC.thawHost.handled { _ in try await change(.thaw) },
            ManagerRPC.hostStanding.handled { _ in
                HostStanding(self.registration.key, self.standing, isRecorded: self.isRecorded)
            },
        ]
    }
}
