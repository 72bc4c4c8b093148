internal import Glibc

/// A time of the calendar in UTC, for people and for what outlives a process; nothing is measured with it.
package struct UTCTime: Sendable, Hashable, Comparable {
    /// Milliseconds since the beginning of 1970.
    package let milliseconds: Int64

    package init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// The present time.
    package static var now: UTCTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UTCTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Reads what ``description`` has written; `nil` for anything else.
    package init?(_ text: String) {
        let numbers = text.split { !$0.isASCII || !$0.isNumber }.compactMap { Int32($0) }
        // Whoever sends a message may write what he likes: within these bounds nothing below can overflow.
        let bounds: [ClosedRange<Int32>] = [1...9999, 1...12, 1...31, 0...23, 0...59, 0...60, 0...999]
        guard numbers.count == bounds.count, zip(bounds, numbers).allSatisfy({ $0.contains($1) }) else { return nil }
        var time = tm()
        time.tm_year = numbers[0] - 1900
        time.tm_mon = numbers[1] - 1
        time.tm_mday = numbers[2]
        time.tm_hour = numbers[3]
        time.tm_min = numbers[4]
        time.tm_sec = numbers[5]
        let (product, isTooLarge) = Int64(timegm(&time)).multipliedReportingOverflow(by: 1000)
        let (sum, isTooLate) = product.addingReportingOverflow(Int64(numbers[6]))
        guard !isTooLarge, !isTooLate else { return nil }
        self.milliseconds = sum
        // A month 13, an offset in place of the letter: whatever is not written in the one way.
        guard self.description == text else { return nil }
    }

    package static func < (lhs: UTCTime, rhs: UTCTime) -> Bool { lhs.milliseconds < rhs.milliseconds }
}

extension UTCTime: CustomStringConvertible {
    /// The time as `2026-11-22T19:30:00.250Z`.
    package var description: String {
        let fraction = ((self.milliseconds % 1000) + 1000) % 1000
        var seconds = time_t(self.milliseconds / 1000 - (self.milliseconds % 1000 < 0 ? 1 : 0))
        var time = tm()
        gmtime_r(&seconds, &time)
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let day = "\(padded(time.tm_year + 1900, 4))-\(padded(time.tm_mon + 1, 2))-\(padded(time.tm_mday, 2))"
        let hour = "\(padded(time.tm_hour, 2)):\(padded(time.tm_min, 2)):\(padded(time.tm_sec, 2))"
        return "\(day)T\(hour).\(padded(fraction, 3))Z"
    }
}
