public import Messaging

/// A pool of a host, as filters and weighers see it.
public struct HostCandidate: Sendable, Hashable {
    /// The host, or the cluster if it belongs to one: who is asked to make the volume.
    public var host: String
    /// The name of the pool.
    public var pool: String
    /// What the pool can do, together with what its host said of itself.
    public var capabilities: [String: JSONValue]
    /// How long ago the host reported.
    public var age: Duration
    /// What was scheduled to the pool since then, in GiB.
    public var claimed: Int

    /// Describes a pool.
    public init(
        host: String,
        pool: String,
        capabilities: [String: JSONValue],
        age: Duration = .zero,
        claimed: Int = 0
    ) {
        self.host = host
        self.pool = pool
        self.capabilities = capabilities
        self.age = age
        self.claimed = claimed
    }

    /// Whether the host sets space aside for a volume before it is made.
    public var supportsClaims: Bool { capabilities["capacity_claims_support"] == true }

    /// The name as cinder writes it: `host#pool`.
    public var name: String { pool.isEmpty ? host : "\(host)#\(pool)" }

    /// A capacity in GiB; `nil` where it is absent, or not known to the host itself.
    ///
    /// Cinder's drivers may report the words `infinite` and `unknown` instead of a number.
    public func capacity(_ name: String) -> Double? {
        switch capabilities[name] {
        case .string("infinite"): .infinity
        case let value?: value.doubleValue.flatMap { $0.isNaN ? nil : $0 }
        case nil: nil
        }
    }

    /// What may still be scheduled to the pool, in GiB: its free capacity, less what was scheduled since it reported, less
    /// the reserve, which is rounded down as in cinder.
    public var usableCapacity: Double? {
        guard let free = capacity("free_capacity_gb") else { return nil }
        let total = capacity("total_capacity_gb") ?? 0
        let percentage = capabilities["reserved_percentage"]?.doubleValue ?? 0
        let reserved = total.isFinite && percentage.isFinite ? (total * percentage / 100).rounded(.down) : 0
        return free - reserved - Double(claimed)
    }
}

/// Whether two values mean the same; `1` and `1.0` do.
func areEquivalent(_ one: JSONValue?, _ other: JSONValue) -> Bool {
    guard let one else { return false }
    if let first = one.doubleValue, let second = other.doubleValue { return one == other || first == second }
    return one == other
}
