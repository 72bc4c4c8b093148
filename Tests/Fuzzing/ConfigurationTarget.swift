import ConfigurationYAML
import Glibc
import Messaging
import ServiceRuntime

/// Configuration files, in each of their formats.
enum ConfigurationTarget {
    /// Of every kind there is; references, sections, backends and former names among them.
    private static let options: [any ServiceOptionDeclaration] =
        ServiceConfiguration.standardOptions + [
            ServiceOption<[String]>.enabledBackends,
            ServiceOption<Int>("capacity", default: 1, in: 0...100, help: "", deprecated: ["old.size"]).perBackend(),
            ServiceOption<Secret>("key", default: Secret(""), help: "").perBackend(),
            ServiceOption<Double?>("delay", section: "group", default: nil, in: 0...5, help: ""),
            ServiceOption<String?>("mode", section: "group", default: nil, choices: ["fast", "safe"], help: ""),
            ServiceOption<[Int]>("ports", section: "group", default: [], help: ""),
        ]

    /// A directory with one file for each format, which is filled anew each time.
    private static let directory: String = {
        var path = Array("/tmp/steward-fuzz-XXXXXX".utf8CString)
        guard mkdtemp(&path) != nil else { fatalError("no temporary directory") }
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    @Sendable static func json(_ bytes: [UInt8]) { self.run(bytes, "json") }
    @Sendable static func ini(_ bytes: [UInt8]) { self.run(bytes, "conf") }
    @Sendable static func yaml(_ bytes: [UInt8]) { self.run(bytes, "yaml") }

    private static func run(_ bytes: [UInt8], _ end: String) {
        let path = "\(self.directory)/worker.\(end)"
        guard let file = fopen(path, "wb") else { fatalError("the file cannot be opened") }
        let count = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        claim(count == bytes.count && fclose(file) == 0, "the file cannot be written")
        let formats: [ConfigurationFormat] = [.json, .ini, .yaml]
        let problems = ServiceConfiguration.problems(
            options: self.options,
            environment: [:],
            files: [path],
            formats: formats
        )
        claim(problems.allSatisfy { !$0.description.isEmpty }, "a problem says nothing")
        do {
            let configuration = try ServiceConfiguration(
                options: self.options,
                environment: [:],
                files: [path],
                formats: formats
            )
            let report = configuration.report
            claim(try configuration.readAgain().report == report, "a file says something else the second time")
            for name in configuration.enabledBackends {
                // A backend without a section is refused, and the others are not.
                if let backend = try? configuration.backend(name) { _ = backend.report.description }
            }
        } catch {
            claim(problems.contains(where: \.isError), "refused for no reason: \(error)")
        }
    }
}
