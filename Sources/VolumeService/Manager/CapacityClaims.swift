internal import Messaging

/// The space of a host that is promised to volumes which are not there yet.
///
/// A claim is not taken away when its volume is made: a measurement says which volumes it has counted, and a claim of one
/// of those counts no more. So it does not matter which of a measurement and a creation was the first.
struct CapacityClaims {
    private struct Claim {
        var size: Int
        /// `nil` while the volume is being made.
        var end: Duration?
    }

    /// How long a claim is kept for a volume that nobody asks for.
    static let lifetime = Duration.seconds(60)
    /// A bound on what peers can make the table grow to.
    private static let capacity = 10_000

    private var claims: [VolumeID: Claim] = [:]

    /// Sets space aside for a volume, or says why not.
    ///
    /// - Parameters:
    ///   - id: The volume.
    ///   - size: Its size in GiB.
    ///   - space: A measurement.
    ///   - now: The time.
    /// - Throws: `insufficientSpace`.
    mutating func claim(_ id: VolumeID, size: Int, in space: VolumeSpace, at now: Duration) throws(VolumeError) {
        self.dropEnded(at: now)
        let known = self.claims[id]
        if known?.size != size, !space.volumes.contains(id) {
            let free = self.free(of: space, except: id)
            guard Double(size) <= free, known != nil || self.claims.count < Self.capacity else {
                throw .insufficientSpace(id, requested: size, free: free, total: space.total.inGibibytes)
            }
        }
        guard known == nil || known?.end != nil else { return }
        self.claims[id] = Claim(size: size, end: now + Self.lifetime)
    }

    /// Keeps a claim for as long as its volume is being made.
    mutating func hold(_ id: VolumeID) {
        guard var claim = self.claims[id] else { return }
        claim.end = nil
        self.claims[id] = claim
    }

    /// Lets a claim end in time, after its volume was made.
    mutating func settle(_ id: VolumeID, at now: Duration) {
        self.claims[id]?.end = now + Self.lifetime
    }

    /// Gives the space back, unless the volume is being made.
    mutating func release(_ id: VolumeID) {
        if self.claims[id]?.end != nil { self.claims[id] = nil }
    }

    /// Gives the space back of a volume that could not be made, or was removed.
    mutating func drop(_ id: VolumeID) {
        self.claims[id] = nil
    }

    /// What is free for others than a volume, in GiB.
    func free(of space: VolumeSpace, except id: VolumeID? = nil) -> Double {
        let claimed = self.claims.reduce(0.0) { sum, claim in
            claim.key == id || space.volumes.contains(claim.key) ? sum : sum + Double(claim.value.size)
        }
        return (space.free - space.reserved).inGibibytes - claimed
    }

    /// Whether space is promised to other volumes, made or not.
    mutating func hasOthers(than id: VolumeID, at now: Duration) -> Bool {
        self.dropEnded(at: now)
        return self.claims.contains { $0.key != id }
    }

    mutating func dropEnded(at now: Duration) {
        self.claims = self.claims.filter { claim in claim.value.end.map { $0 > now } ?? true }
    }
}
