internal import Messaging
public import ServiceRuntime

/// Refuses hosts that say themselves that operators have disabled or frozen them.
public struct StandingFilter: HostFilter {
    /// Creates the filter.
    public init() {}

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        if candidate.capabilities[ServiceStanding.disabledCapability] == true {
            return ServiceStanding.disabledText(candidate.capabilities["service_disabled_reason"]?.stringValue)
        }
        return candidate.capabilities[ServiceStanding.frozenCapability] == true ? "it is frozen" : nil
    }
}

/// Refuses hosts that are down, disabled or frozen by the registry of services.
///
/// A host of which the registry knows nothing, or not yet whether it lives, is judged by its own reports.
public struct RegistryFilter: HostFilter {
    /// How old what is known of the registry may be when a host is chosen.
    private static let maximumAge = Duration.seconds(1)
    private let directory: ServiceDirectory
    private let topic: String

    /// Creates the filter.
    ///
    /// - Parameters:
    ///   - directory: What is known of the services.
    ///   - topic: The hosts' topic.
    public init(_ directory: ServiceDirectory, topic: String) {
        self.directory = directory
        self.topic = topic
    }

    /// Reads the registry, unless that was tried within the last second.
    public func prepare() async { await directory.refresh(unlessTriedWithin: Self.maximumAge) }

    /// Why the pool cannot take the volume.
    public func refusal(of candidate: HostCandidate, for request: ScheduleVolume) -> String? {
        guard let entry = directory[ServiceKey(topic: topic, host: candidate.host)] else { return nil }
        let standing = entry.record.standing
        if standing.isDisabled { return ServiceStanding.disabledText(standing.disabledReason) }
        if standing.isFrozen { return "it is frozen" }
        return entry.liveness == .down ? "its service is down: it does not report to the registry any more" : nil
    }
}

extension ServiceStanding {
    fileprivate static func disabledText(_ reason: String?) -> String {
        reason.map { "it is disabled: \($0)" } ?? "it is disabled"
    }
}
