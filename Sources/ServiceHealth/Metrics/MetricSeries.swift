internal import CoreMetrics
internal import Messaging
internal import Synchronization

/// What tells one series of a family from the others.
struct Labels: Hashable, Comparable {
    /// Names and values in turn, ordered by the names.
    private let parts: [String]

    /// Takes dimensions, with names that Prometheus allows; of several values of one name the first counts.
    init(_ dimensions: [(String, String)]) {
        var values: [String: String] = [:]
        for (name, value) in dimensions {
            let name = PrometheusText.labelName(name)
            values[name] = values[name] ?? value
        }
        self.parts = values.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
    }

    var pairs: [PrometheusText.Label] {
        stride(from: 0, to: self.parts.count, by: 2).map { (self.parts[$0], self.parts[$0 + 1]) }
    }

    static func < (one: Labels, other: Labels) -> Bool { one.parts.lexicographicallyPrecedes(other.parts) }
}

/// What a program counts under a name and some labels.
protocol MetricSeries: AnyObject, Sendable {
    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label])
}

/// A number that grows.
final class CounterSeries: MetricSeries, CounterHandler {
    private let value = Mutex<Int64>(0)

    /// Adds what is above zero: a counter never goes back.
    ///
    /// It stays at the largest number that there is.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        self.value.withLock { value in
            let (sum, isOverflow) = value.addingReportingOverflow(amount)
            value = isOverflow ? .max : sum
        }
    }

    func reset() {
        self.value.withLock { $0 = 0 }
    }

    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label]) {
        text.sample(name, labels, self.value.withLock(\.self))
    }
}

/// A number with a fraction that grows.
final class FloatingPointCounterSeries: MetricSeries, FloatingPointCounterHandler {
    private let value = Mutex(0.0)

    func increment(by amount: Double) {
        // Neither what is below zero, nor what is no number.
        guard amount > 0, amount.isFinite else { return }
        self.value.withLock { $0 += amount }
    }

    func reset() {
        self.value.withLock { $0 = 0 }
    }

    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label]) {
        text.sample(name, labels, PrometheusText.number(self.value.withLock(\.self)))
    }
}

/// A number that was set last.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    func set(_ value: Int64) { self.set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { self.value.withLock { $0 += amount } }
    func decrement(by amount: Double) { self.value.withLock { $0 -= amount } }
    func record(_ value: Int64) { self.set(Double(value)) }
    func record(_ value: Double) { self.set(value) }

    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label]) {
        text.sample(name, labels, PrometheusText.number(self.value.withLock(\.self)))
    }
}

/// Numbers of any kind, counted below powers of ten.
final class RecorderSeries: MetricSeries, RecorderHandler {
    static let bounds: [Double] = [
        0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    ]

    private struct State {
        /// How many are at most at a bound and above the one before.
        var counts = [UInt64](repeating: 0, count: RecorderSeries.bounds.count)
        var count: UInt64 = 0
        var sum = 0.0
    }

    private let state = Mutex(State())

    func record(_ value: Int64) { self.record(Double(value)) }

    func record(_ value: Double) {
        guard !value.isNaN else { return }
        self.state.withLock { state in
            if let index = Self.bounds.firstIndex(where: { value <= $0 }) { state.counts[index] += 1 }
            state.count += 1
            state.sum += value
        }
    }

    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label]) {
        let state = self.state.withLock { $0 }
        var below: UInt64 = 0
        let counts = state.counts.map { count in
            below += count
            return below
        }
        text.histogram(name, labels, bounds: Self.bounds, counts: counts, count: state.count, sum: state.sum)
    }
}

/// Durations.
final class TimerSeries: MetricSeries, TimerHandler {
    private let durations = Mutex(LatencyHistogram())

    func recordNanoseconds(_ duration: Int64) {
        self.durations.withLock { $0.record(.nanoseconds(duration)) }
    }

    func add(to text: inout PrometheusText, _ name: String, _ labels: [PrometheusText.Label]) {
        text.histogram(name, labels, RPCServerFigures.Distribution(self.durations.withLock { $0 }))
    }
}
