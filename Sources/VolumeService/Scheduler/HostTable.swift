internal import Messaging

/// What a scheduler knows of the hosts, by their own reports.
///
/// Ages are counted on the scheduler's monotonic clock from the arrival of a report, so that the hosts' clocks play no
/// part in who is alive. A report's own timestamp only orders the reports of one host, as in cinder.
struct HostTable {
    /// What a scheduler knows of one host.
    struct State {
        let host: String
        var serviceName: String
        var capabilities: [String: JSONValue]
        var timestamp: String?
        var receivedAt: Duration
        var reports: Int
        /// What was scheduled since the last report: the sizes in GiB, and the pools.
        var claims: [VolumeID: (size: Int, pool: String)] = [:]
    }

    /// What became of a report.
    enum Outcome: Equatable {
        case taken
        case older
        case full
    }

    private(set) var hosts: [String: State] = [:]
    /// A bound on what peers can make the table grow to.
    let capacity: Int

    init(capacity: Int = 4096) {
        self.capacity = capacity
    }

    /// Takes a report; one that is older than the last by its host's own clock is dropped.
    mutating func take(_ report: ServiceReport, at now: Duration) -> Outcome {
        let name = report.clusterName ?? report.host
        if let known = hosts[name] {
            // The form is fixed (wire contract 7.2), so that the texts order as the times do.
            if let last = known.timestamp, let this = report.timestamp, this < last { return .older }
        } else if hosts.count >= capacity {
            return .full
        }
        hosts[name] = State(
            host: name,
            serviceName: report.serviceName,
            capabilities: report.capabilities ?? [:],
            timestamp: report.timestamp ?? hosts[name]?.timestamp,
            receivedAt: now,
            reports: (hosts[name]?.reports ?? 0) + 1
        )
        return .taken
    }

    /// Forgets hosts that have not reported for `limit`.
    mutating func forget(olderThan limit: Duration, at now: Duration) {
        hosts = hosts.filter { now - $0.value.receivedAt <= limit }
    }

    /// Takes space of a host off, until its next report tells the truth.
    mutating func claim(_ id: VolumeID, size: Int, on candidate: HostCandidate) {
        hosts[candidate.host]?.claims[id] = (size, candidate.pool)
    }

    /// Gives the space back.
    mutating func release(_ id: VolumeID, on host: String) {
        hosts[host]?.claims[id] = nil
    }

    /// The pools of the hosts that run a service, ordered by name.
    func candidates(serviceName: String, at now: Duration) -> [HostCandidate] {
        hosts.values.filter { $0.serviceName == serviceName }
            .flatMap { $0.candidates(at: now) }
            .sorted { $0.name < $1.name }
    }
}

extension HostTable.State {
    /// The host's pools; one that lists none is a pool itself, under its backend's name (wire contract 7.2).
    func candidates(at now: Duration) -> [HostCandidate] {
        let age = now - receivedAt
        guard let pools = capabilities["pools"]?.arrayValue else {
            return [candidate(capabilities["volume_backend_name"]?.stringValue ?? "", capabilities, age)]
        }
        var shared = capabilities
        shared["pools"] = nil
        return pools.compactMap { pool in
            guard let own = pool.objectValue, let name = own["pool_name"]?.stringValue else { return nil }
            return candidate(name, shared.merging(own) { _, own in own }, age)
        }
    }

    private func candidate(_ pool: String, _ capabilities: [String: JSONValue], _ age: Duration) -> HostCandidate {
        let claimed = claims.values.filter { $0.pool == pool }.reduce(0) { sum, claim in
            let (total, overflows) = sum.addingReportingOverflow(claim.size)
            return overflows ? .max : total
        }
        return HostCandidate(host: host, pool: pool, capabilities: capabilities, age: age, claimed: claimed)
    }
}
