internal import Messaging
internal import ServiceRuntime

extension VolumeManager {
    /// Sets space aside for a volume that is about to be made; for one that is there already nothing has to be.
    public func claimCapacity(_ request: ClaimCapacity) async throws -> ClaimedCapacity {
        guard request.size > 0 else {
            throw VolumeError.invalidInput("the size of a volume is at least 1 GiB, not \(request.size)")
        }
        try refuseNewWork()
        let space = try await driver.space()
        try claims.claim(request.volumeID, size: request.size, in: space, at: clock.now())
        return ClaimedCapacity(
            seconds: CapacityClaims.lifetime / .seconds(1),
            freeCapacity: roundedCapacity(max(0, claims.free(of: space)))
        )
    }

    /// Gives the space of a volume back that nobody is making.
    public func releaseCapacity(_ id: VolumeID) {
        claims.release(id)
    }

    /// Makes a volume in the space that was claimed for it, or else in what the claims of others leave.
    func holdingClaim(
        _ id: VolumeID,
        size: Int,
        _ make: () async throws(VolumeError) -> Void
    ) async throws(VolumeError) {
        // Where nobody else was promised anything, the driver is the judge.
        if claims.hasOthers(than: id, at: clock.now()) {
            let space = try await driver.space()
            try claims.claim(id, size: size, in: space, at: clock.now())
        }
        claims.hold(id)
        do {
            try await make()
            claims.settle(id, at: clock.now())
        } catch {
            claims.drop(id)
            throw error
        }
    }

    /// Refuses what others were promised.
    func checkClaims(beside id: VolumeID, before needed: Int) async throws(VolumeError) {
        guard claims.hasOthers(than: id, at: clock.now()) else { return }
        let space = try await driver.space()
        let free = claims.free(of: space, except: id)
        guard Double(needed) <= free else {
            throw .insufficientSpace(id, requested: needed, free: free, total: space.total.inGibibytes)
        }
    }
}
