internal import Messaging
internal import ServiceRuntime

/// What a scheduler knows of the hosts, by their own reports.
///
/// Ages are counted on the scheduler's monotonic clock from the arrival of a report, so that the hosts' clocks play no
/// part in who is alive. The reports of one host are ordered by what it says of their order, or else, as in cinder, by
/// their timestamps, which also show how far the host's clock is off.
struct HostTable {
    /// What a scheduler knows of one host.
    struct State {
        let host: String
        var serviceName: String
        var capabilities: [String: JSONValue]
        var timestamp: String?
        var order: ReportOrder?
        var receivedAt: Duration
        var reports: Int
        /// By how much the host's clock was ahead of the scheduler's at the last report, less its time on the way; `nil`
        /// where the report does not say.
        var skew: Duration?
        /// A report that seemed to be older than the last, and when it came.
        var passedOver: (place: Place, at: Duration)?
        /// What was scheduled since the last report: the sizes in GiB, and the pools.
        var claims: [VolumeID: (size: Int, pool: String)] = [:]
    }

    /// What became of a report.
    enum Outcome: Equatable {
        case taken
        /// Taken although it seems older than the last, since the host's clock was set back.
        case setBack
        /// Not taken; the host lives, though.
        case older
        case full
    }

    /// What orders the reports of one host.
    enum Place: Equatable {
        /// By the host's own count.
        case counted(ReportOrder)
        /// By the host's clock; the form is fixed (wire contract 7.2), so that the texts order as the times do.
        case timed(String)

        init?(_ order: ReportOrder?, _ timestamp: String?) {
            if let order {
                self = .counted(order)
            } else if let timestamp {
                self = .timed(timestamp)
            } else {
                return nil
            }
        }

        /// Whether a report in this place says less than one in the other; the same report once more says nothing.
        func isStale(after other: Place) -> Bool {
            switch (self, other) {
            case (.counted(let this), .counted(let other)):
                (this.incarnation, this.sequence) <= (other.incarnation, other.sequence)
            case (.timed(let this), .timed(let other)): this < other
            // The host's software is another one now.
            case (.counted, .timed), (.timed, .counted): false
            }
        }

        /// Whether this comes behind `first`, which was passed over `wait` ago, in a way that nothing explains but a clock
        /// that was set back.
        func isSetBack(after first: Place, wait: Duration) -> Bool {
            switch (self, first) {
            // What an ended process has sent may still be on its way, but not for long.
            case (.counted(let this), .counted(let first)):
                this.incarnation == first.incarnation && this.sequence > first.sequence && wait >= HostTable.patience
            case (.timed(let this), .timed(let first)): this > first
            case (.counted, .timed), (.timed, .counted): false
            }
        }

        /// Whether both are of the same life of the host: within it nothing ever goes back.
        func isOfSameLife(as other: Place) -> Bool {
            guard case .counted(let this) = self, case .counted(let other) = other else { return false }
            return this.incarnation == other.incarnation
        }
    }

    /// For how long reports of a host's former process may be on their way.
    static let patience = Duration.seconds(2)

    private(set) var hosts: [String: State] = [:]
    /// A bound on what peers can make the table grow to.
    let capacity: Int

    init(capacity: Int = 4096) {
        self.capacity = capacity
    }

    /// Takes a report; one that is older than the last by its host's own clock is dropped.
    ///
    /// A second one in a row that seems older, and newer than the first, shows that not the report was late but the clock
    /// was set back.
    ///
    /// - Parameters:
    ///   - report: What a host says.
    ///   - now: The time on the scheduler's monotonic clock.
    ///   - wallTime: The scheduler's time of the calendar, since the beginning of 1970; `nil` where nobody asks for skew.
    /// - Returns: What became of the report.
    mutating func take(_ report: ServiceReport, at now: Duration, wallTime: Duration? = nil) -> Outcome {
        let name = report.clusterName ?? report.host
        var outcome = Outcome.taken
        var capabilities = report.capabilities ?? [:]
        let order = ReportOrder(capabilities)
        capabilities[ReportOrder.member] = nil
        let place = Place(order, report.timestamp)
        let time = report.timestamp.flatMap(WireTimestamp.time)
        var skew = wallTime.flatMap { now in time.map { $0 - now } }
        if let known = hosts[name] {
            // A host of this package that was set back holds its last time, so that no scheduler takes it for dead; then
            // nobody knows how late it is there.
            if let time, let last = known.timestamp.flatMap(WireTimestamp.time),
                time > last, time - last < .milliseconds(1), now - known.receivedAt > .milliseconds(50)
            {
                skew = nil
            }
            if let place, let last = Place(known.order, known.timestamp), place.isStale(after: last) {
                guard let (first, time) = known.passedOver, place.isSetBack(after: first, wait: now - time) else {
                    let isAnother = known.passedOver.map { !place.isOfSameLife(as: $0.place) } ?? true
                    if isAnother, !place.isOfSameLife(as: last) {
                        hosts[name]?.passedOver = (place, now)
                    }
                    hosts[name]?.receivedAt = now
                    hosts[name]?.skew = skew
                    return .older
                }
                outcome = .setBack
            }
        } else if hosts.count >= capacity {
            return .full
        }
        hosts[name] = State(
            host: name,
            serviceName: report.serviceName,
            capabilities: capabilities,
            timestamp: report.timestamp ?? hosts[name]?.timestamp,
            order: order,
            receivedAt: now,
            reports: (hosts[name]?.reports ?? 0) + 1,
            skew: skew
        )
        return outcome
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
