internal import Configuration
public import Messaging

/// The values of a program's options: from the command line, else the environment, else a file, else their defaults.
///
/// ```swift
/// let configuration = try ServiceConfiguration(
///     options: ServiceConfiguration.standardOptions + [ServiceOption.volumesDirectory],
///     overrides: ["host": "node-1"], file: "/etc/steward/volume.json")
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
        ServiceOption<Duration>.gracefulShutdownTimeout,
        ServiceOption<Int>.executorThreadPoolSize,
        ServiceOption<Int>.rpcPrefetch,
        ServiceOption<Bool>.rpcPingEnabled,
        ServiceOption<Bool>.refuseSameHost,
    ]

    /// The declared options, in their order.
    public let options: [any ServiceOptionDeclaration]
    private var values: [String: any ServiceOptionValue]
    /// Where the values came from; `nil` where nothing was read.
    private let sources: Sources?

    /// Where values come from, to be asked again.
    ///
    /// There are secrets among them as they were given, so `dump` finds nothing.
    private struct Sources: Sendable, CustomReflectable {
        var customMirror: Mirror { Mirror(self, children: [:]) }

        let defaults: [String: String]
        let overrides: [String: String]
        let environment: [String: String]?
        let file: String?
    }

    /// The standard options with their defaults; neither environment nor file is read.
    public init() {
        self.options = Self.standardOptions
        self.sources = nil
        self.values = Dictionary(uniqueKeysWithValues: Self.standardOptions.map { ($0.name, $0.reader.fallback) })
    }

    /// Reads the values of options.
    ///
    /// - Parameters:
    ///   - options: What may be configured; the standard options by default. Two of one name are a programmer's mistake
    ///     and trap.
    ///   - defaults: Other defaults than the options' own, as texts by name, such as a program's own topic.
    ///   - overrides: What the command line says, as texts by name.
    ///   - environment: The environment; `nil`, the default, for that of the process.
    ///   - file: The path of a JSON file with one object of values by name; none by default.
    /// - Throws: `invalidConfiguration`, naming the option and where its value came from: a value that does not fit, a
    ///   name that is not declared, a file that cannot be read.
    public init(
        options: [any ServiceOptionDeclaration] = standardOptions,
        defaults: [String: String] = [:],
        overrides: [String: String] = [:],
        environment: [String: String]? = nil,
        file: String? = nil
    ) throws(ServiceError) {
        let byName = Dictionary(options.map { ($0.name, $0) }) { one, _ in
            preconditionFailure("option '\(one.name)' is declared twice")
        }
        let variables =
            environment.map { EnvironmentVariablesProvider(environmentVariables: $0) } ?? EnvironmentVariablesProvider()
        var layers: [(source: @Sendable (String) -> String, provider: any ConfigProvider)] = [
            ({ _ in "the command line" }, try Self.provider(overrides, of: byName, from: "the command line")),
            ({ "environment variable STEWARD_\($0.uppercased())" }, variables.prefixKeys(with: "steward")),
        ]
        if let file {
            let texts = try ConfigurationFile.read(file, options: byName)
            layers.append(({ _ in "file '\(file)'" }, try Self.provider(texts, of: byName, from: "file '\(file)'")))
        }
        layers.append(
            ({ _ in "the program's defaults" }, try Self.provider(defaults, of: byName, from: "the program's defaults"))
        )

        var values: [String: any ServiceOptionValue] = [:]
        for option in options {
            values[option.name] = try Self.value(of: option, in: layers)
        }
        self.options = options
        self.values = values
        self.sources = Sources(defaults: defaults, overrides: overrides, environment: environment, file: file)
    }

    /// Reads all values again from where they came, the file among it.
    ///
    /// - Returns: What is configured now; this value stays as it is.
    /// - Throws: `invalidConfiguration`, as the first reading.
    public func readAgain() throws(ServiceError) -> ServiceConfiguration {
        guard let sources = self.sources else { return self }
        return try ServiceConfiguration(
            options: self.options,
            defaults: sources.defaults,
            overrides: sources.overrides,
            environment: sources.environment,
            file: sources.file
        )
    }

    /// This configuration with the mutable options of a later reading, and in what the two readings differ.
    func taking(
        _ later: ServiceConfiguration
    ) -> (configuration: ServiceConfiguration, changes: [ServiceOptionChange]) {
        var result = self
        var changes: [ServiceOptionChange] = []
        for option in self.options {
            guard let old = self.values[option.name], let new = later.values[option.name],
                !option.reader.areEqual(old, new)
            else { continue }
            changes.append(
                ServiceOptionChange(
                    name: option.name,
                    old: old.optionJSON,
                    new: new.optionJSON,
                    isTakenOver: option.isMutable
                )
            )
            if option.isMutable { result.values[option.name] = new }
        }
        return (result, changes)
    }

    /// The value of a declared option; one that was not declared is a programmer's mistake and traps.
    public subscript<Value>(option: ServiceOption<Value>) -> Value {
        guard let value = self.values[option.name] as? Value else {
            preconditionFailure("option '\(option.name)' is not among the declared options of this configuration")
        }
        return value
    }

    /// All declared options with their values, as the RPC method `service_config` answers them; secrets are masked.
    public var report: JSONValue {
        .object(self.values.mapValues(\.optionJSON))
    }

    /// A line for each option: its name, what its values look like, the default, what it is for.
    public static func help(for options: [any ServiceOptionDeclaration] = standardOptions) -> String {
        options.map { option in
            "  \(option.name): \(option.help) (\(option.kind); default \(option.shownDefault)"
                + (option.isMutable ? "; may change while the program runs)" : ")")
        }.joined(separator: "\n")
    }

    private static func provider(
        _ texts: [String: String],
        of options: [String: any ServiceOptionDeclaration],
        from source: String
    ) throws(ServiceError) -> InMemoryProvider {
        for name in texts.keys.sorted() where options[name] == nil {
            throw ServiceError(.invalidConfiguration, "\(source) has an option '\(name.prefix(100))' that is not known")
        }
        let values = texts.map { name, text in
            (AbsoluteConfigKey([name]), ConfigValue(.string(text), isSecret: options[name]?.isSecret ?? true))
        }
        return InMemoryProvider(name: source, values: Dictionary(uniqueKeysWithValues: values))
    }

    private static func value(
        of option: any ServiceOptionDeclaration,
        in layers: [(source: @Sendable (String) -> String, provider: any ConfigProvider)]
    ) throws(ServiceError) -> any ServiceOptionValue {
        for layer in layers {
            let content: ConfigContent?
            do {
                content = try layer.provider.value(forKey: AbsoluteConfigKey([option.name]), type: .string).value?
                    .content
            } catch {
                throw ServiceError(
                    .invalidConfiguration,
                    "option '\(option.name)' from \(layer.source(option.name)) cannot be read",
                    cause: error
                )
            }
            guard case .string(let text) = content else { continue }
            return try option.reader.read(text, layer.source(option.name))
        }
        return option.reader.fallback
    }
}

extension ServiceConfiguration: CustomStringConvertible {
    /// The report as text; secrets are masked.
    public var description: String { self.report.description }
}
