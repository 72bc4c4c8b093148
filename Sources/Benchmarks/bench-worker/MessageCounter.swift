import BenchmarkSupport
import Synchronization

/// Counts handled messages, and prints the figures of every so many.
final class MessageCounter: Sendable {
    private struct State {
        var count = 0
        var measurement = Measurement()
    }

    private let interval: Int
    private let state = Mutex(State())

    init(reportingEach interval: Int) {
        self.interval = interval
    }

    /// Counts one; the clock of a round starts at its first.
    func count() {
        let report = self.state.withLock { state -> String? in
            if state.count == 0 { state.measurement = Measurement() }
            state.count += 1
            guard state.count == self.interval else { return nil }
            state.count = 0
            return state.measurement.report(of: self.interval)
        }
        if let report { printNow("DONE \(report)") }
    }
}

/// Does something when all have arrived.
final class Barrier: Sendable {
    private let missing: Mutex<Int>

    init(_ count: Int) {
        self.missing = Mutex(count)
    }

    func arrive(_ body: () -> Void) {
        let isLast = self.missing.withLock { missing in
            missing -= 1
            return missing == 0
        }
        if isLast { body() }
    }
}
