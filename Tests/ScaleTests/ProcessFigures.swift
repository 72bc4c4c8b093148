import Glibc

/// What the process holds at this moment, and what it has used.
struct ProcessFigures: Sendable {
    /// Memory that is in use and in RAM.
    let residentBytes: Int
    /// The most of it since the process began, or since ``resetPeak()``.
    let peakBytes: Int
    let threads: Int
    let descriptors: Int
    /// Processor time, of all threads together.
    let processorTime: Duration

    init() {
        let fields = Self.status()
        self.residentBytes = (fields["VmRSS"] ?? 0) << 10
        self.peakBytes = (fields["VmHWM"] ?? 0) << 10
        self.threads = fields["Threads"] ?? 0
        var count = 0
        if let directory = opendir("/proc/self/fd") {
            while readdir(directory) != nil { count += 1 }
            closedir(directory)
        }
        // Without the folder itself, its parent, and the descriptor it is read with.
        self.descriptors = max(0, count - 3)
        var usage = rusage()
        // It fails for a wrong argument only.
        getrusage(RUSAGE_SELF.rawValue, &usage)
        self.processorTime = Self.duration(usage.ru_utime) + Self.duration(usage.ru_stime)
    }

    /// Begins anew to look for the most memory in use.
    static func resetPeak() {
        guard let file = fopen("/proc/self/clear_refs", "w") else { return }
        fputs("5", file)
        fclose(file)
    }

    /// Resident memory of another process.
    static func residentBytes(of process: Int32) -> Int {
        (Self.status("\(process)")["VmRSS"] ?? 0) << 10
    }

    /// The numbers of `/proc/…/status`.
    private static func status(_ process: String = "self") -> [String: Int] {
        guard let file = fopen("/proc/\(process)/status", "r") else { return [:] }
        defer { fclose(file) }
        var fields: [String: Int] = [:]
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, 512, file) != nil {
            let parts = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split { $0 == ":" || $0.isWhitespace }
            if parts.count > 1, let value = Int(parts[1]) { fields[String(parts[0])] = value }
        }
        return fields
    }

    private static func duration(_ time: timeval) -> Duration {
        .seconds(Int64(time.tv_sec)) + .microseconds(Int64(time.tv_usec))
    }
}

extension Int {
    /// As a person reads it.
    var mebibytes: String {
        let tenths = (Double(self) / 1_048_576 * 10).rounded() / 10
        return "\(tenths) MiB"
    }

    /// The same of a small share.
    var kibibytes: String {
        let tenths = (Double(self) / 1_024 * 10).rounded() / 10
        return "\(tenths) KiB"
    }
}

extension Duration {
    /// In microseconds, without fractions.
    var microseconds: Int { Int(self / .microseconds(1)) }

    /// In seconds, with one place.
    var inTenths: Double { (self / .seconds(1) * 10).rounded() / 10 }
}
