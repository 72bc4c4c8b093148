public import Messaging

/// The values of a program's options: from the command line, else the environment, else files, else their defaults.
///
/// ```swift
/// let configuration = try ServiceConfiguration(
///     options: ServiceConfiguration.standardOptions + [ServiceOption.volumesDirectory],
///     overrides: ["host": "node-1"], files: ["/etc/steward/volume.yaml"])
/// let interval = configuration[.reportInterval]
/// ```
public struct ServiceConfiguration: Sendable {
    /// The options that every service has.
    public static let standardOptions: [any ServiceOptionDeclaration] = [
        ServiceOption<String>.host,
        ServiceOption<Secret>.transportURL,
        ServiceOption<String>.controlExchange,
        ServiceOption<String>.topic,
        ServiceOption<String>.schedulerTopic,
        ServiceOption<Duration>.rpcResponseTimeout,
        ServiceOption<Duration>.reportInterval,
        ServiceOption.logLevel,
        ServiceOption<String>.logFormat,
        ServiceOption<Bool>.debug,
        ServiceOption<Duration>.gracefulShutdownTimeout,
        ServiceOption<Int>.executorThreadPoolSize,
        ServiceOption<Int>.rpcPrefetch,
        ServiceOption<Bool>.rpcPingEnabled,
        ServiceOption<Bool>.refuseSameHost,
        ServiceOption<Secret>.databaseConnection,
        ServiceOption<String>.availabilityZone,
        ServiceOption<String>.healthAddress,
        ServiceOption<Int?>.healthPort,
        ServiceOption<Duration>.livenessLimit,
        ServiceOption<Duration>.selfProbeInterval,
    ]

    /// The declared options, in their order.
    public let options: [any ServiceOptionDeclaration]
    /// What is worth a word: names that are not known in files of OpenStack's, deprecated ones, what has no effect.
    public internal(set) var warnings: [ConfigurationProblem] = []
    /// The backend whose values these are; `nil` where they are the program's.
    public internal(set) var backendName: String?

    var values: [ServiceOptionName: any ServiceOptionValue]
    var backends: [String: ConfigurationReading.Backend] = [:]
    private var given: Set<ServiceOptionName> = []
    /// Where the values came from; `nil` where nothing was read.
    private let sources: ConfigurationSources?

    /// The standard options with their defaults; neither environment nor file is read.
    public init() {
        self.options = Self.standardOptions
        self.sources = nil
        self.values = Dictionary(uniqueKeysWithValues: self.options.map { ($0.fullName, $0.reader.fallback) })
    }

    /// Reads the values of options.
    ///
    /// - Parameters:
    ///   - options: What may be configured; the standard options by default. Two of one name are a programmer's mistake
    ///     and trap.
    ///   - defaults: Other defaults than the options' own, as texts by name, such as a program's own topic.
    ///   - overrides: What the command line says, as texts by name; `section.name` outside of `DEFAULT`.
    ///   - environment: The environment; `nil`, the default, for that of the process.
    ///   - files: The paths of files; a later one goes before an earlier one. None by default.
    ///   - directories: Directories whose files are read in the order of their names, after the other files.
    ///   - formats: What files may be written in; JSON and oslo's INI by default.
    /// - Throws: `invalidConfiguration`, with everything that is wrong, each with its place: values that do not fit, names
    ///   that are not declared, files that cannot be read.
    public init(
        options: [any ServiceOptionDeclaration] = standardOptions,
        defaults: [String: String] = [:],
        overrides: [String: String] = [:],
        environment: [String: String]? = nil,
        files: [String] = [],
        directories: [String] = [],
        formats: [ConfigurationFormat] = [.json, .ini]
    ) throws(ServiceError) {
        try self.init(
            options: options,
            ConfigurationSources(
                defaults: defaults,
                overrides: overrides,
                environment: environment,
                files: files,
                directories: directories,
                formats: formats
            )
        )
    }

    private init(options: [any ServiceOptionDeclaration], _ sources: ConfigurationSources) throws(ServiceError) {
        let reading = ConfigurationReading(options, sources)
        let errors = reading.problems.filter(\.isError)
        guard errors.isEmpty else {
            throw ServiceError(.invalidConfiguration, errors.map(\.description).joined(separator: "; "))
        }
        self.options = options
        self.sources = sources
        self.warnings = reading.problems
        self.values = reading.values
        self.given = reading.given
        self.backends = reading.backends
    }

    /// Everything that is wrong with a configuration, or worth a word, errors first where they are in one file.
    ///
    /// - Parameters:
    ///   - options: What may be configured.
    ///   - overrides: What the command line says.
    ///   - environment: The environment; `nil`, the default, for that of the process.
    ///   - files: The paths of files.
    ///   - directories: Directories with files.
    ///   - formats: What files may be written in.
    /// - Returns: The problems, by place.
    public static func problems(
        options: [any ServiceOptionDeclaration],
        overrides: [String: String] = [:],
        environment: [String: String]? = nil,
        files: [String],
        directories: [String] = [],
        formats: [ConfigurationFormat] = [.json, .ini]
    ) -> [ConfigurationProblem] {
        let reading = ConfigurationReading(
            options,
            ConfigurationSources(
                overrides: overrides,
                environment: environment,
                files: files,
                directories: directories,
                formats: formats
            )
        )
        let missing = reading.backends.filter { !$0.value.hasSection }.keys.sorted().map { name in
            ConfigurationProblem(.invalid, at: ConfigurationPlace("enabled_backends"), Self.noSection(name))
        }
        return (reading.problems + missing).enumerated().sorted { one, other in
            let (left, right) = (one.element.place, other.element.place)
            if left.name != right.name { return left.name < right.name }
            return (left.line ?? 0, one.offset) < (right.line ?? 0, other.offset)
        }.map(\.element)
    }

    /// Reads all values again from where they came, the files among it.
    ///
    /// - Returns: What is configured now; this value stays as it is.
    /// - Throws: `invalidConfiguration`, as the first reading.
    public func readAgain() throws(ServiceError) -> ServiceConfiguration {
        guard let sources = self.sources else { return self }
        return try ServiceConfiguration(options: self.options, sources)
    }

    /// The value of a declared option; one that was not declared is a programmer's mistake and traps.
    public subscript<Value>(option: ServiceOption<Value>) -> Value {
        let backend = option.isPerBackend ? self.backendName.flatMap { self.backends[$0]?.values[option.name] } : nil
        guard let value = (backend ?? self.values[option.fullName]) as? Value else {
            preconditionFailure("option '\(option.fullName)' is not among the declared options of this configuration")
        }
        return value
    }

    /// Whether somebody gave a value; for a backend's option, whether the backend's own section did.
    ///
    /// - Parameter option: A declared option.
    /// - Returns: Whether the value is not merely the default, or what all backends have.
    public func isSet<Value>(_ option: ServiceOption<Value>) -> Bool {
        guard let backendName, option.isPerBackend else { return self.given.contains(option.fullName) }
        return self.backends[backendName]?.own.contains(option.name) == true
    }

    /// The names of the enabled backends, each once; empty where the program has none.
    public var enabledBackends: [String] {
        let names = self.values[ServiceOption<[String]>.enabledBackends.fullName] as? [String] ?? []
        var seen: Set<String> = []
        return names.filter { seen.insert(ServiceOptionName.normal($0)).inserted }
    }

    /// The configuration of a backend.
    ///
    /// Options that each backend may have for itself (``ServiceOption/perBackend()``) come from the section of its name,
    /// else from `[backend_defaults]`, else they are the program's; all others are the program's.
    ///
    /// - Parameter name: One of ``enabledBackends``.
    /// - Returns: The same options, with the backend's values.
    /// - Throws: `invalidConfiguration` where there is no section of that name, or the backend is not enabled.
    public func backend(_ name: String) throws(ServiceError) -> ServiceConfiguration {
        let section = ServiceOptionName.normal(name)
        guard let backend = self.backends[section] else {
            throw ServiceError(.invalidConfiguration, "backend '\(name)' is not among enabled_backends")
        }
        guard backend.hasSection else { throw ServiceError(.invalidConfiguration, Self.noSection(name)) }
        var configuration = self
        configuration.backendName = section
        return configuration
    }

    static func noSection(_ name: String) -> String {
        "backend '\(name)' is enabled, but there is no section [\(name)]"
    }

    /// All declared options with their values, as the RPC method `service_config` answers them; secrets are masked.
    ///
    /// What does not stand in `DEFAULT` is in an object of its section's name, and so are the values of backends.
    public var report: JSONValue {
        var report: [String: JSONValue] = [:]
        var sections: [String: [String: JSONValue]] = [:]
        for (name, value) in self.values {
            if name.section == ServiceOptionName.defaultSection {
                report[name.name] = value.optionJSON
            } else {
                sections[name.section, default: [:]][name.name] = value.optionJSON
            }
        }
        for (name, backend) in self.backends where backend.hasSection {
            sections[name, default: [:]].merge(backend.values.mapValues(\.optionJSON)) { $1 }
        }
        report.merge(sections.mapValues { .object($0) }) { option, _ in option }
        return .object(report)
    }

    /// A line for each option of the section `DEFAULT`: its name, what its values look like, the default, what it is for.
    public static func help(for options: [any ServiceOptionDeclaration] = standardOptions) -> String {
        options.filter { $0.section == ServiceOptionName.defaultSection }.map { option in
            "  \(option.name): \(option.help) (\(option.wanted); default \(option.sampleText ?? "\(option.shownDefault)")"
                + (option.isMutable ? "; may change while the program runs)" : ")")
        }.joined(separator: "\n")
    }
}

extension ServiceConfiguration: CustomStringConvertible {
    /// The report as text; secrets are masked.
    public var description: String { self.report.description }
}
