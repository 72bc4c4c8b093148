import Glibc
import Messaging
import ServiceRuntime

/// The configuration file.
enum ConfigurationTarget {
    /// A file without a name, which is filled anew each time.
    private static let file: Int32 = {
        guard let file = tmpfile() else { fatalError("no temporary file") }
        return fileno(file)
    }()

    @Sendable static func run(_ bytes: [UInt8]) {
        let count = bytes.withUnsafeBytes { buffer in
            ftruncate(self.file, 0) == 0 ? pwrite(self.file, buffer.baseAddress, buffer.count, 0) : -1
        }
        claim(count == bytes.count, "the file cannot be written")
        do {
            let configuration = try ServiceConfiguration(environment: [:], files: ["/proc/self/fd/\(self.file)"])
            _ = configuration.report.description
        } catch {
            _ = error.description
        }
    }
}
