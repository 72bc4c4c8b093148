internal import Messaging

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Reads a configuration file: one JSON object of values by option name.
enum ConfigurationFile {
    /// No sensible file is larger; a path to a device must not fill the memory.
    private static let largestSize = 1 << 20

    /// The values as texts, checked to be of their options' kinds.
    static func read(
        _ path: String,
        options: [String: any ServiceOptionDeclaration]
    ) throws(ServiceError) -> [String: String] {
        let document: JSONValue
        do {
            document = try JSONValue(parsing: try self.contents(of: path))
        } catch let error as ServiceError {
            throw error
        } catch {
            throw ServiceError(.invalidConfiguration, "file '\(path)' is not JSON: \(error)", cause: error)
        }
        guard let members = document.objectValue else {
            throw ServiceError(
                .invalidConfiguration,
                "file '\(path)' holds \(document.kindDescription); it must be an object of options"
            )
        }
        var texts: [String: String] = [:]
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard let option = options[name] else {
                throw ServiceError(
                    .invalidConfiguration,
                    "file '\(path)' has an option '\(name.prefix(100))' that is not known"
                )
            }
            guard let text = option.reader.textFromJSON(value) else {
                throw ServiceError(
                    .invalidConfiguration,
                    "option '\(name)' from file '\(path)' is \(value.kindDescription); it must be \(option.kind)"
                )
            }
            texts[name] = text
        }
        return texts
    }

    private static func contents(of path: String) throws(ServiceError) -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw self.unreadable(path) }
        // Nothing was written: what closing could report does not matter.
        defer { _ = fclose(file) }
        var bytes = [UInt8](repeating: 0, count: self.largestSize + 1)
        let count = bytes.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
        guard ferror(file) == 0 else { throw self.unreadable(path) }
        guard count <= self.largestSize else {
            throw ServiceError(.invalidConfiguration, "file '\(path)' is larger than \(self.largestSize) bytes")
        }
        return Array(bytes.prefix(count))
    }

    private static func unreadable(_ path: String) -> ServiceError {
        let code = errno
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return ServiceError(.invalidConfiguration, "file '\(path)' cannot be read: \(reason)")
    }
}
