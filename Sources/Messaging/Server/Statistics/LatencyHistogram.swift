/// Durations, counted in buckets that grow with them: fixed memory, and percentiles that are off by 1.6 % at most.
///
/// Each power of two is cut into 32 buckets of equal width, so that a bucket's middle is at most 1/64 away from what it
/// stands for. The smallest buckets are 256 ns wide; what is longer than 19 hours is counted in the last one.
package struct LatencyHistogram: Sendable {
    private static let unitBits: UInt64 = 8
    private static let partBits: UInt64 = 5
    private static let parts = 1 << Self.partBits
    private static let highestPower: UInt64 = 37
    /// How many buckets there are at most: 8.5 KiB of them.
    static let maximumBuckets = Self.parts * Int(Self.highestPower - Self.partBits + 2)

    /// 68 years, which fit into 64 bits of nanoseconds.
    private static let longest: Duration = .seconds(1 << 31)

    /// Counts by bucket, as far as one was needed: most methods are done long before the last bucket.
    private var counts: [UInt64] = []
    /// How many durations were counted.
    private(set) var count: UInt64 = 0
    /// The longest, exactly.
    private(set) var maximum: Duration = .zero
    private var sum = 0.0

    package init() {}

    /// How many buckets take memory now.
    var buckets: Int { self.counts.count }

    /// The average; zero where nothing was counted.
    var mean: Duration { self.count == 0 ? .zero : .nanoseconds(Int64(self.sum / Double(self.count))) }

    /// Counts a duration; one below zero, as a clock that is not monotonic would give it, counts as zero.
    package mutating func record(_ duration: Duration) {
        let duration = min(max(duration, .zero), Self.longest)
        let length = UInt64(duration.attoseconds / 1_000_000_000)
        let bucket = Self.bucket(of: length >> Self.unitBits)
        if bucket >= self.counts.count {
            // Room for the whole power of two, so that the array grows a few times and not for each longer run.
            let size = (bucket / Self.parts + 1) * Self.parts
            self.counts.append(contentsOf: repeatElement(0, count: size - self.counts.count))
        }
        self.counts[bucket] += 1
        self.count += 1
        self.sum += Double(length)
        self.maximum = max(self.maximum, duration)
    }

    /// The sum of all, in seconds.
    var totalSeconds: Double { self.sum / 1e9 }

    /// How many do not exceed each of the bounds, which are in order; off by no more than a bucket.
    func counts(upTo bounds: [Duration]) -> [UInt64] {
        var result: [UInt64] = []
        var passed: UInt64 = 0
        var bucket = 0
        for bound in bounds {
            while bucket < self.counts.count, Self.middle(of: bucket) <= bound {
                passed += self.counts[bucket]
                bucket += 1
            }
            result.append(passed)
        }
        return result
    }

    /// The duration that a part of all does not exceed.
    ///
    /// - Parameter part: The part, above 0 and at most 1: 0.99 for the 99th percentile.
    /// - Returns: The duration; zero where nothing was counted.
    func percentile(_ part: Double) -> Duration {
        let rank = max(1, UInt64((part * Double(self.count)).rounded(.up)))
        var passed: UInt64 = 0
        for (bucket, count) in self.counts.enumerated() where count > 0 {
            passed += count
            if passed >= rank { return min(Self.middle(of: bucket), self.maximum) }
        }
        return self.maximum
    }

    private static func bucket(of units: UInt64) -> Int {
        guard units >= UInt64(Self.parts) else { return Int(units) }
        let power = UInt64(63 - units.leadingZeroBitCount)
        guard power <= Self.highestPower else { return Self.maximumBuckets - 1 }
        let shift = power - Self.partBits
        return Self.parts * Int(shift) + Int(units >> shift)
    }

    private static func middle(of bucket: Int) -> Duration {
        let shift = max(bucket / Self.parts - 1, 0)
        let lower = UInt64(bucket - Self.parts * shift) << UInt64(shift)
        let nanoseconds = (lower << Self.unitBits) + (UInt64(1) << (UInt64(shift) + Self.unitBits - 1))
        return .nanoseconds(Int64(nanoseconds))
    }
}
