internal import Messaging

/// What a run has taken, from its first operation to its last.
public struct Measurement: Sendable {
    private let startedAt = ContinuousClock.now
    private let usage = ResourceUsage.current

    /// Starts measuring.
    public init() {}

    /// Ends measuring.
    ///
    /// - Parameters:
    ///   - count: How many operations there were.
    ///   - latencies: How long each took, where that was measured.
    /// - Returns: The figures as one line of JSON.
    public func report(of count: Int, latencies: [Duration] = []) -> String {
        let seconds = (ContinuousClock.now - self.startedAt) / .seconds(1)
        let usage = ResourceUsage.current
        var figures: [String: JSONValue] = [
            "n": .integer(count),
            "seconds": .double(seconds),
            "rate": .double(Double(count) / seconds),
            "cpu_s": .double(usage.cpuSeconds - self.usage.cpuSeconds),
            "rss_kb": .integer(usage.peakMemory),
        ]
        if !latencies.isEmpty {
            let sorted = latencies.sorted()
            figures["p50_us"] = .double(sorted[sorted.count / 2] / .microseconds(1))
            figures["p99_us"] = .double(sorted[sorted.count * 99 / 100] / .microseconds(1))
        }
        return RawJSON(.object(figures)).text
    }
}
