/// Says how well a pool suits, among those that the filters let through.
///
/// Weighers are asked in their order; the next one decides between pools to which this one gives the same weight, and at
/// last the name does.
public protocol HostWeigher: Sendable {
    /// The weight of a pool; the largest one wins.
    func weight(of candidate: HostCandidate, for request: ScheduleVolume) -> Double
}

/// Prefers the pool with most space; one that does not know its own space comes last.
public struct FreeCapacityWeigher: HostWeigher {
    /// Creates the weigher.
    public init() {}

    /// The space that is left, in GiB.
    public func weight(of candidate: HostCandidate, for request: ScheduleVolume) -> Double {
        candidate.usableCapacity ?? -.infinity
    }
}

/// Chooses pools with filters and weighers.
struct HostSelection {
    var filters: [any HostFilter]
    var weighers: [any HostWeigher]

    /// Lets the filters look up what they decide by.
    func prepare() async {
        for filter in filters { await filter.prepare() }
    }

    /// The pools that can take a volume, the best first, and why the others cannot.
    func rank(
        _ candidates: [HostCandidate],
        for request: ScheduleVolume
    ) -> (ranked: [HostCandidate], refusals: [String: String]) {
        var suitable: [(candidate: HostCandidate, weights: [Double])] = []
        var refusals: [String: String] = [:]
        for candidate in candidates {
            if let refusal = filters.lazy.compactMap({ $0.refusal(of: candidate, for: request) }).first {
                refusals[candidate.name] = refusal
            } else {
                suitable.append((candidate, weighers.map { $0.weight(of: candidate, for: request) }))
            }
        }
        suitable.sort { one, other in
            for (first, second) in zip(one.weights, other.weights) where first != second { return first > second }
            return one.candidate.name < other.candidate.name
        }
        return (suitable.map(\.candidate), refusals)
    }
}
