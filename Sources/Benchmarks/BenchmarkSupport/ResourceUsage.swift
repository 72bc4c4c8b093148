internal import Glibc

/// What the process has used of the machine.
public struct ResourceUsage: Sendable {
    /// User and system time, in seconds.
    public let cpuSeconds: Double
    /// The largest resident set so far, in KiB.
    public let peakMemory: Int

    /// The present figures of this process.
    public static var current: ResourceUsage {
        var usage = rusage()
        // It fails for a wrong argument only.
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return ResourceUsage(
            cpuSeconds: Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime),
            peakMemory: usage.ru_maxrss
        )
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) * 1e-6
    }
}
