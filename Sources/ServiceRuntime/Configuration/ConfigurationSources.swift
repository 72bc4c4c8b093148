internal import Configuration
internal import Messaging

/// Where values come from, to be asked again.
///
/// There are secrets among them as they were given, so `dump` finds nothing.
struct ConfigurationSources: Sendable, CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: [:]) }

    var defaults: [String: String] = [:]
    var overrides: [String: String] = [:]
    /// `nil` for that of the process.
    var environment: [String: String]?
    var files: [String] = []
    var directories: [String] = []
    var formats: [ConfigurationFormat] = []
}

/// One source of values.
struct ConfigurationLayer: Sendable {
    private let provider: any ConfigProvider
    private let isEnvironment: Bool
    private let places: [ServiceOptionName: ConfigurationPlace]
    private let values: [ServiceOptionName: JSONValue]

    /// What a source gives for a name.
    enum Given {
        /// A text, which may refer to other options where `refers` says so.
        case text(String, refers: Bool)
        /// A value of some type.
        case value(JSONValue)
    }

    /// Variables of the environment.
    init(environment: [String: String]) {
        self.provider = EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "steward")
        self.isEnvironment = true
        (self.places, self.values) = ([:], [:])
    }

    /// Texts by the names of options, from one place.
    init(_ texts: [String: String], from place: ConfigurationPlace) {
        let named = texts.map { (ServiceOptionName(parsing: $0), $1) }
        let values = named.map { (Self.key($0), ConfigValue(.string($1), isSecret: true)) }
        self.provider = InMemoryProvider(name: place.name, values: Dictionary(values) { $1 })
        self.isEnvironment = false
        self.places = Dictionary(named.map { ($0.0, place) }) { $1 }
        self.values = [:]
    }

    /// What a file says; of several values for an option the last one counts.
    init(_ document: ConfigurationDocument, file: String) {
        var texts: [AbsoluteConfigKey: ConfigValue] = [:]
        var places: [ServiceOptionName: ConfigurationPlace] = [:]
        var values: [ServiceOptionName: JSONValue] = [:]
        for entry in document.entries {
            places[entry.name] = ConfigurationPlace(file, line: entry.line)
            switch entry.content {
            case .text(let text): texts[Self.key(entry.name)] = ConfigValue(.string(text), isSecret: true)
            case .value(let value): values[entry.name] = value
            }
        }
        self.provider = InMemoryProvider(name: file, values: texts)
        self.isEnvironment = false
        self.places = places
        self.values = values
    }

    /// What the source gives for a name, if it does.
    func given(_ name: ServiceOptionName) throws -> Given? {
        if let value = self.values[name] { return .value(value) }
        guard self.isEnvironment || self.places[name] != nil,
            case .string(let text) = try self.provider.value(forKey: Self.key(name), type: .string).value?.content
        else { return nil }
        // Only files have lines, and only texts of files are oslo's.
        return .text(text, refers: self.places[name]?.line != nil)
    }

    /// Where the source has a name.
    func place(of name: ServiceOptionName) -> ConfigurationPlace {
        self.places[name] ?? ConfigurationPlace("environment variable \(Self.variable(name))")
    }

    /// The variable for a name.
    static func variable(_ name: ServiceOptionName) -> String {
        let text = Self.component(name).uppercased().unicodeScalars.map { scalar in
            ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) ? Character(scalar) : "_"
        }
        return self.variablePrefix + String(text)
    }

    /// What all variables begin with.
    static let variablePrefix = "STEWARD_"

    private static func key(_ name: ServiceOptionName) -> AbsoluteConfigKey {
        AbsoluteConfigKey([self.component(name)])
    }

    /// One for both, in lower case, so that a section is told from a name by two underscores.
    private static func component(_ name: ServiceOptionName) -> String {
        let isDefault = name.section == ServiceOptionName.defaultSection
        return isDefault ? name.name : "\(name.section.lowercased())__\(name.name)"
    }
}
