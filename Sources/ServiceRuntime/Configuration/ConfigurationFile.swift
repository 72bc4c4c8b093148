#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A file of the configuration, as it is on disk.
enum ConfigurationFile {
    /// Why a file or directory cannot be used.
    struct Failure: Error {
        let message: String
    }

    /// No sensible file is larger; a path to a device must not fill the memory.
    private static let largestSize = 1 << 20
    /// No sensible directory has more files.
    private static let mostFiles = 256

    /// A file's bytes.
    static func contents(of path: String) throws(Failure) -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw self.unreadable("file") }
        // Nothing was written: what closing could report does not matter.
        defer { _ = fclose(file) }
        var bytes = [UInt8](repeating: 0, count: self.largestSize + 1)
        let count = bytes.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
        guard ferror(file) == 0 else { throw self.unreadable("file") }
        guard count <= self.largestSize else {
            throw Failure(message: "the file is larger than \(self.largestSize) bytes")
        }
        return Array(bytes.prefix(count))
    }

    /// The configuration files in a directory, in the order of their names; hidden ones are left out.
    static func files(in directory: String, formats: [ConfigurationFormat]) throws(Failure) -> [String] {
        guard let stream = opendir(directory) else { throw self.unreadable("directory") }
        // Nothing was written.
        defer { _ = closedir(stream) }
        let ends = formats.flatMap(\.extensions)
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard !name.hasPrefix("."), ends.contains(where: { name.hasSuffix(".\($0)") }) else { continue }
            guard names.count < self.mostFiles else {
                throw Failure(message: "the directory has more than \(self.mostFiles) configuration files")
            }
            names.append(name)
        }
        let base = directory.hasSuffix("/") ? directory : directory + "/"
        return names.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }.map { base + $0 }
    }

    private static func unreadable(_ what: String) -> Failure {
        let code = errno
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return Failure(message: "the \(what) cannot be read: \(reason)")
    }
}
