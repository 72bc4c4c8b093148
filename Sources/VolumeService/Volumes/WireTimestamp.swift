internal import Glibc

/// The present time of this host in UTC, as Python's services write it: `2026-01-02T03:04:05.678901` (wire contract 3.5).
func wireTimestamp() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    func digits(_ value: Int, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let date = [digits(Int(parts.tm_year) + 1900, 4), digits(Int(parts.tm_mon) + 1, 2), digits(Int(parts.tm_mday), 2)]
    let time = [digits(Int(parts.tm_hour), 2), digits(Int(parts.tm_min), 2), digits(Int(parts.tm_sec), 2)]
    let fraction = digits(Int(now.tv_nsec) / 1000, 6)
    return date.joined(separator: "-") + "T" + time.joined(separator: ":") + "." + fraction
}
