internal import Messaging

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Times of the calendar as Python's services write them, in UTC: `2026-01-02T03:04:05.678901` (wire contract 3.5).
package enum WireTimestamp {
    /// The present time of this host, since the beginning of 1970.
    package static var now: Duration {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }

    /// Writes a time.
    package static func text(_ time: Duration) -> String {
        var (seconds, attoseconds) = time.components
        if attoseconds < 0 {
            seconds -= 1
            attoseconds += 1_000_000_000_000_000_000
        }
        // It ends in milliseconds and a Z.
        let whole = UTCTime(milliseconds: seconds * 1000).description.dropLast(4)
        let fraction = String(attoseconds / 1_000_000_000_000)
        return whole + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    /// Reads a time; `nil` for what is not written in the one way.
    package static func time(_ text: String) -> Duration? {
        let digits = text.utf8.dropFirst(20)
        guard text.utf8.count == 26, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let microseconds = Int64(String(decoding: digits, as: UTF8.self)),
            let whole = UTCTime(String(decoding: text.utf8.prefix(20), as: UTF8.self) + "000Z")
        else { return nil }
        return .milliseconds(whole.milliseconds) + .microseconds(microseconds)
    }
}
