internal import Messaging

/// Decides whether a pool can take a volume at all.
///
/// ```swift
/// struct OnlySolidState: HostFilter {
///     func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
///         candidate.capabilities["rotational"] == false ? nil : "it has spinning disks"
///     }
/// }
/// ```
public protocol HostFilter: Sendable {
    /// Why the pool cannot take the volume; `nil` if it can.
    func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String?

    /// Looks up what the refusals are decided by, before each choice; nothing by default.
    func prepare() async
}

extension HostFilter {
    /// Nothing.
    public func prepare() async {}
}

/// Refuses hosts that have not reported for too long.
public struct FreshnessFilter: HostFilter {
    /// The oldest report that counts.
    public let limit: Duration

    /// Creates the filter.
    public init(limit: Duration) { self.limit = limit }

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        guard candidate.age > limit else { return nil }
        return "its last report is \(candidate.age.components.seconds) s old"
    }
}

/// Refuses pools that say that they are down.
public struct BackendStateFilter: HostFilter {
    /// Creates the filter.
    public init() {}

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        candidate.capabilities["backend_state"] == "down" ? "its backend is down" : nil
    }
}

/// Refuses pools with too little space.
///
/// One that does not know its own space is given the benefit of the doubt, as in cinder.
public struct CapacityFilter: HostFilter {
    /// Creates the filter.
    public init() {}

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        if candidate.capabilities["free_capacity_gb"] == nil { return "it does not say how much space is free" }
        guard let usable = candidate.usableCapacity, usable < Double(request.size) else { return nil }
        return "\(roundedCapacity(max(0, usable))) GiB are free, \(request.size) are needed"
    }
}

/// Refuses pools that do not say what a request requires.
public struct CapabilitiesFilter: HostFilter {
    /// Creates the filter.
    public init() {}

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        for (name, required) in (request.requiredCapabilities ?? [:]).sorted(by: { $0.key < $1.key }) {
            let actual = candidate.capabilities[name]
            guard areEquivalent(actual, required) else {
                return "its \(name) is \(actual?.description ?? "not known"), not \(required)"
            }
        }
        return nil
    }
}
