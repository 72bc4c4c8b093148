import FaultHarness
import Foundation
import Messaging
import TestSupport
import Testing

/// Random faults, one after the other, under traffic that never ends.
///
/// `STEWARD_SOAK_MINUTES` says for how long (1 by default), `STEWARD_SOAK_SEED` which faults; the seed is printed.
@Suite(.serialized, .timeLimit(.minutes(100))) struct SoakTests {
    /// Written at once, past the buffer of `print`: it is long until the end.
    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)  // Who does not read it does not wait for it.
    }

    @Test func `fault 50: under random faults no promise is broken and nothing grows`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let minutes = environment["STEWARD_SOAK_MINUTES"].flatMap(Double.init) ?? 1
        let seed = environment["STEWARD_SOAK_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64(UInt32.max))
        Self.say("soak: \(minutes) minutes, seed \(seed)")
        try #require(minutes > 0 && minutes <= 90, "STEWARD_SOAK_MINUTES must be above 0, and 90 at most")
        try await Soak.with(seed: seed) { soak in
            let end = ContinuousClock.now + .seconds(minutes * 60)
            var slowest = Duration.zero
            var rounds = 0
            var holdings: [Holdings] = []
            while .now < end {
                let (fault, recovery) = try await soak.round()
                rounds += 1
                slowest = max(slowest, recovery)
                let now = try Holdings(of: soak)
                holdings.append(now)
                Self.say(
                    "soak: \(rounds). \(fault): answering again after \(recovery), \(soak.service.checker), \(now)"
                )
                // The promise, with an allowance for a machine of two cores on which a whole broker starts.
                #expect(recovery < .seconds(10), "after \(fault), seed \(seed)")
            }
            try await soak.finish()
            Self.say("soak: calls that failed: \(soak.service.checker.failures)")
            #expect(soak.service.checker.violations == [], "seed \(seed)")
            let worker = try soak.workerViolations()
            #expect(worker == [], "seed \(seed)")
            Holdings.expectFlat(holdings, after: minutes)
            FaultFigures.record(fault: 50, "faults survived", count: rounds)
            FaultFigures.record(fault: 50, "slowest recovery", slowest)
            FaultFigures.record(fault: 50, "messages offered", count: soak.service.checker.offers)
            FaultFigures.record(fault: 50, "messages confirmed", count: soak.service.checker.confirmations)
        }
    }
}
