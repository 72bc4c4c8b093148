import Glibc
import Testing

/// What a process holds at a moment.
struct Holdings: CustomStringConvertible {
    let residentBytes: Int
    let descriptors: Int
    let threads: Int

    /// What a process of this machine holds.
    init(process: String = "self") {
        let status = Self.fields(of: "/proc/\(process)/status")
        self.residentBytes = (status["VmRSS"] ?? 0) << 10
        self.threads = status["Threads"] ?? 0
        var count = 0
        if let directory = opendir("/proc/\(process)/fd") {
            while readdir(directory) != nil { count += 1 }
            closedir(directory)
        }
        self.descriptors = count
    }

    var description: String {
        "\(self.residentBytes >> 20) MB, \(self.descriptors) descriptors, \(self.threads) threads"
    }

    private static func fields(of path: String) -> [String: Int] {
        guard let file = fopen(path, "r") else { return [:] }
        defer { fclose(file) }
        var fields: [String: Int] = [:]
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, 512, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let parts = text.split { $0 == ":" || $0 == "\t" || $0 == " " || $0 == "\n" }
            if parts.count >= 2 { fields[String(parts[0])] = Int(parts[1]) }
        }
        return fields
    }

    /// Compares the last third with the first: what leaks at each fault shows after some tens of them.
    ///
    /// - Parameters:
    ///   - holdings: One for each fault.
    ///   - process: Whose they are.
    /// - Returns: Whether there were enough to judge.
    @discardableResult
    static func expectFlat(_ holdings: [Holdings], of process: String) -> Bool {
        let third = holdings.count / 3
        // A minute is enough to see that all works, five are enough to judge.
        guard third >= 3 else { return false }
        // The first rounds fill caches and pools.
        let early = holdings[third..<(2 * third)]
        let late = holdings[(2 * third)...]
        func median(_ part: ArraySlice<Holdings>, _ value: (Holdings) -> Int) -> Int {
            part.map(value).sorted()[part.count / 2]
        }
        let memory = (median(early, \.residentBytes), median(late, \.residentBytes))
        #expect(memory.1 < memory.0 + max(memory.0 / 10, 8 << 20), "memory of \(process): \(memory)")
        let descriptors = (median(early, \.descriptors), median(late, \.descriptors))
        #expect(descriptors.1 <= descriptors.0 + 2, "descriptors of \(process): \(descriptors)")
        let threads = (median(early, \.threads), median(late, \.threads))
        #expect(threads.1 <= threads.0 + 2, "threads of \(process): \(threads)")
        return true
    }
}
