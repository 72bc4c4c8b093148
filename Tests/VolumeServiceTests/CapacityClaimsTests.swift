import Messaging
import ServiceRuntime
import Testing

@testable import VolumeService

@Suite struct CapacityClaimsTests {
    private static func space(_ free: Int64, volumes: Set<VolumeID> = [], reserved: Int = 0) -> VolumeSpace {
        VolumeSpace(
            total: 10 * gibibyte,
            free: free * gibibyte,
            allocated: (10 - free) * gibibyte,
            written: 0,
            reservedPercentage: reserved,
            volumes: volumes
        )
    }

    @Test func `what is claimed is not free for others, until its time has passed`() throws {
        var claims = CapacityClaims()
        let (one, two) = (try id("one"), try id("two"))
        try claims.claim(one, size: 6, in: Self.space(10), at: .zero)
        let refusal = #expect(throws: VolumeError.self) {
            try claims.claim(two, size: 5, in: Self.space(10), at: .seconds(59))
        }
        #expect(refusal?.code == .insufficientSpace)
        #expect(refusal?.message.contains("this host has 4.0 of 10.0 GiB free") == true)
        try claims.claim(two, size: 5, in: Self.space(10), at: .seconds(60))
        #expect(claims.free(of: Self.space(10)) == 5)
    }

    @Test func `the same claim again begins its time anew, and a larger one needs the space`() throws {
        var claims = CapacityClaims()
        let (one, two) = (try id("one"), try id("two"))
        try claims.claim(one, size: 6, in: Self.space(10), at: .zero)
        try claims.claim(one, size: 6, in: Self.space(10), at: .seconds(50))
        #expect(throws: VolumeError.self) { try claims.claim(two, size: 5, in: Self.space(10), at: .seconds(100)) }
        #expect(throws: VolumeError.self) { try claims.claim(one, size: 11, in: Self.space(10), at: .seconds(100)) }
        #expect(claims.free(of: Self.space(10)) == 4)
    }

    @Test func `a volume that a measurement has counted counts no second time, in whatever order they come`() throws {
        var claims = CapacityClaims()
        let (one, two) = (try id("one"), try id("two"))
        try claims.claim(one, size: 6, in: Self.space(10), at: .zero)
        claims.hold(one)
        let before = Self.space(10)
        let after = Self.space(4, volumes: [one])
        claims.settle(one, at: .seconds(1))
        #expect(claims.free(of: after) == 4)
        // Measured before the volume was there, and heard of afterwards.
        #expect(claims.free(of: before) == 4)
        try claims.claim(two, size: 4, in: after, at: .seconds(2))
        #expect(throws: VolumeError.self) { try claims.claim(try id("three"), size: 1, in: before, at: .seconds(2)) }
    }

    @Test func `a claim lasts as long as its volume is being made, and cannot be given back then`() throws {
        var claims = CapacityClaims()
        let one = try id("one")
        try claims.claim(one, size: 6, in: Self.space(10), at: .zero)
        claims.hold(one)
        claims.release(one)
        claims.dropEnded(at: .seconds(1000))
        #expect(claims.free(of: Self.space(10)) == 4)
        claims.drop(one)
        #expect(claims.free(of: Self.space(10)) == 10)
    }

    @Test func `the reserve cannot be claimed`() throws {
        var claims = CapacityClaims()
        #expect(throws: VolumeError.self) {
            try claims.claim(try id("one"), size: 9, in: Self.space(10, reserved: 20), at: .zero)
        }
        try claims.claim(try id("one"), size: 8, in: Self.space(10, reserved: 20), at: .zero)
    }

    @Test func `peers cannot make the claims grow without bound`() throws {
        var claims = CapacityClaims()
        let space = VolumeSpace(
            total: .max,
            free: .max,
            allocated: 0,
            written: 0,
            reservedPercentage: 0,
            volumes: []
        )
        for number in 0..<10_000 {
            try claims.claim(try id("v-\(number)"), size: 1, in: space, at: .zero)
        }
        #expect(throws: VolumeError.self) { try claims.claim(try id("one"), size: 1, in: space, at: .zero) }
        try claims.claim(try id("v-1"), size: 1, in: space, at: .zero)
    }

    @Test func `a host gives no space away that it has set aside`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 4)
            let (one, two) = (try id("one"), try id("two"))
            #expect(try await manager.claimCapacity(ClaimCapacity(volumeID: one, size: 3)).freeCapacity == 1)
            // Who has no claim gets what is left.
            let refusal = await #expect(throws: VolumeError.self) {
                try await manager.createVolume(CreateVolume(volumeID: two, size: 2))
            }
            #expect(refusal?.code == .insufficientSpace)
            #expect(try await manager.capabilities(discover: true).freeCapacity == 1)
            #expect(try await manager.createVolume(CreateVolume(volumeID: one, size: 3)).status == .available)
            #expect(try await manager.capabilities(discover: true).freeCapacity == 1)
            _ = try await manager.claimCapacity(ClaimCapacity(volumeID: try id("three"), size: 1))
            let extended = await #expect(throws: VolumeError.self) { try await manager.extendVolume(one, to: 4) }
            #expect(extended?.code == .insufficientSpace)
            await manager.releaseCapacity(try id("three"))
            #expect(try await manager.extendVolume(one, to: 4).size == 4)
            let none = await #expect(throws: VolumeError.self) {
                try await manager.claimCapacity(ClaimCapacity(volumeID: two, size: 0))
            }
            #expect(none?.code == .invalidInput)
        }
    }
}
