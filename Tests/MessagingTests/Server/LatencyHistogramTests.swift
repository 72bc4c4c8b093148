import MessagingTesting
import Testing

@testable import Messaging

@Suite struct LatencyHistogramTests {
    @Test func `percentiles are off by 1.6 % at most, from microseconds to hours`() {
        var random = SplitMix64(state: 7)
        var histogram = LatencyHistogram()
        var exact: [Double] = []
        for _ in 1...20_000 {
            // Evenly over the powers of ten from 20 µs to 20,000 s.
            let power = Double(random.next() % 9_000_001) / 1e6
            let nanoseconds = (20_000 * exp10(power)).rounded()
            exact.append(nanoseconds)
            histogram.record(.nanoseconds(Int64(nanoseconds)))
        }
        exact.sort()
        for part in [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1] {
            let truth = exact[Int((part * 20_000).rounded(.up)) - 1]
            let told = histogram.percentile(part) / .nanoseconds(1)
            #expect(abs(told - truth) <= truth / 64, "p\(part * 100): \(told) instead of \(truth)")
        }
        #expect(histogram.maximum / .nanoseconds(1) == exact.last)
        let mean = exact.reduce(0, +) / 20_000
        #expect(abs(histogram.mean / .nanoseconds(1) - mean) < mean / 1e6)
    }

    @Test(arguments: [1, 300, 8_191, 8_192, 8_193, 999_999, 1_000_000, 123_456_789, 86_400_000_000_000])
    func `one duration is all of its percentiles`(_ nanoseconds: Int64) {
        var histogram = LatencyHistogram()
        histogram.record(.nanoseconds(nanoseconds))
        for part in [0.001, 0.5, 1] {
            let told = histogram.percentile(part) / .nanoseconds(1)
            // Below 8 µs the buckets have all the same width.
            #expect(
                abs(told - Double(nanoseconds)) <= max(128, Double(nanoseconds) / 64)
                    || nanoseconds > 70_000_000_000_000
            )
        }
        #expect(histogram.percentile(1) <= histogram.maximum)
    }

    @Test func `its memory is bounded, whatever is recorded`() {
        var histogram = LatencyHistogram()
        #expect(histogram.buckets == 0)
        for duration: Duration in [
            .zero, .nanoseconds(-5), .seconds(-1), .seconds(Int64.min), .seconds(Int64.max),
            Duration(attoseconds: .max), Duration(attoseconds: .min),
        ] {
            histogram.record(duration)
        }
        var power: Int64 = 1
        while power < Int64.max / 3 {
            histogram.record(.nanoseconds(power))
            power *= 3
        }
        #expect(histogram.buckets <= LatencyHistogram.maximumBuckets)
        #expect(LatencyHistogram.maximumBuckets * 8 < 9_000)
        let buckets = histogram.buckets
        for _ in 1...10_000 { histogram.record(.milliseconds(3)) }
        #expect(histogram.buckets == buckets)
        #expect(abs(histogram.percentile(0.5) / .milliseconds(1) - 3) < 3.0 / 64)
        // The common case takes a part of it.
        var short = LatencyHistogram()
        short.record(.milliseconds(10))
        #expect(short.buckets * 8 < 4_200)
    }

    @Test func `nothing recorded is no duration`() {
        let histogram = LatencyHistogram()
        #expect(histogram.count == 0)
        #expect(histogram.percentile(0.99) == .zero)
        #expect(histogram.mean == .zero)
    }
}

private func exp10(_ power: Double) -> Double {
    var result = 1.0
    for _ in 0..<Int(power) { result *= 10 }
    // Between two powers of ten the distribution need not be exact.
    return result * (1 + 9 * (power - power.rounded(.down)))
}
