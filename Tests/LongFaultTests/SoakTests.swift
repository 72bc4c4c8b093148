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
            var rounds: [Soak.Round] = []
            var holdings: [Holdings] = []
            var ofWorkers: [Int32: [Holdings]] = [:]
            while .now < end {
                let round = try await soak.round()
                rounds.append(round)
                holdings.append(Holdings())
                let workers = soak.workers.holdings()
                for (process, held) in workers { ofWorkers[process, default: []].append(held) }
                Self.say(
                    """
                    soak: \(rounds.count). \(round.fault): answering again after \(round.answering), \
                    ready after \(round.ready), agreed after \(round.agreed), \(soak.checker), \(Holdings()); \
                    workers: \(workers.values)
                    """
                )
                #expect(round.answering < round.fault.limit, "after \(round.fault), seed \(seed)")
                #expect(round.ready < round.fault.limit, "after \(round.fault), seed \(seed)")
            }
            try await soak.finish()
            Self.say("soak: calls that failed: \(soak.checker.failures)")
            #expect(soak.checker.violations == [], "seed \(seed)")
            #expect(soak.watch.violations == [], "seed \(seed)")
            #expect(try await soak.strangers() == [:], "seed \(seed)")
            #expect(try soak.workers.violations() == [], "seed \(seed)")
            let shares = try soak.workers.shares()
            Self.say("soak: work of the topic by host: \(shares); consumers: \(soak.watch.figures)")
            #expect(shares.values.allSatisfy { $0 > 0 }, "all work went to one host: \(shares)")
            Self.expectFlat(holdings, ofWorkers, after: minutes)
            self.record(rounds, soak.checker)
        }
    }

    /// Nothing may grow: in this process, and in those of the workers that lived for long enough.
    private static func expectFlat(_ own: [Holdings], _ workers: [Int32: [Holdings]], after minutes: Double) {
        var isJudged = Holdings.expectFlat(own, of: "the services")
        // Those that are killed leave little to judge; what a young one fills are caches and pools.
        let old = workers.filter { $0.value.count >= 15 }
        for (process, held) in old { Holdings.expectFlat(held, of: "worker \(process)") }
        isJudged = isJudged && !old.isEmpty
        if minutes >= 5, !isJudged {
            Issue.record("\(own.count) faults in \(minutes) minutes are too few to judge what is held")
        }
    }

    private func record(_ rounds: [Soak.Round], _ checker: Checker) {
        FaultFigures.record(fault: 50, "faults survived", count: rounds.count)
        let silent = rounds.filter { $0.fault.detection > .zero }
        let others = rounds.filter { $0.fault.detection == .zero }
        FaultFigures.record(fault: 50, "slowest recovery", others.map(\.answering).max() ?? .zero)
        FaultFigures.record(fault: 50, "slowest recovery of a silent network", silent.map(\.answering).max() ?? .zero)
        FaultFigures.record(fault: 50, "ready again at the latest", rounds.map(\.ready).max() ?? .zero)
        FaultFigures.record(fault: 50, "same consumers here and there, after that", rounds.map(\.agreed).max() ?? .zero)
        FaultFigures.record(fault: 50, "messages offered", count: checker.offers)
        FaultFigures.record(fault: 50, "messages confirmed", count: checker.confirmations)
    }
}
