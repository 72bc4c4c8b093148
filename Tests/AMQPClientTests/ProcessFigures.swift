import Glibc

/// What the process holds at this moment.
struct ProcessFigures {
    let descriptors: Int
    let residentBytes: Int

    init() {
        var count = 0
        if let directory = opendir("/proc/self/fd") {
            while readdir(directory) != nil { count += 1 }
            closedir(directory)
        }
        self.descriptors = count
        var pages = 0
        if let file = fopen("/proc/self/statm", "r") {
            var line = [CChar](repeating: 0, count: 256)
            if fgets(&line, 256, file) != nil {
                let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                    .split(separator: " ")
                pages = fields.count > 1 ? Int(fields[1]) ?? 0 : 0
            }
            fclose(file)
        }
        self.residentBytes = pages * 4_096
    }
}
