internal import FoundationEssentials
internal import Messaging

/// One reading of a configuration: all sources, the values they give, and everything that is wrong with them.
struct ConfigurationReading {
    /// The values of a backend.
    struct Backend: Sendable {
        var values: [String: any ServiceOptionValue] = [:]
        /// The names of the options that the backend's own section sets.
        var own: Set<String> = []
        /// Whether there is a section of its name.
        var hasSection = false
    }

    let options: [any ServiceOptionDeclaration]
    let byName: [ServiceOptionName: any ServiceOptionDeclaration]
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var values: [ServiceOptionName: any ServiceOptionValue] = [:]
    private(set) var given: Set<ServiceOptionName> = []
    private(set) var backends: [String: Backend] = [:]
    private(set) var layers: [ConfigurationLayer] = []
    private var documents: [(file: String, format: ConfigurationFormat, document: ConfigurationDocument)] = []
    private var references = ConfigurationReferences()

    /// Options that backends may have, by name.
    private let perBackend: [String: any ServiceOptionDeclaration]
    private let deprecated: Set<ServiceOptionName>
    private let sections: Set<String>
    /// What has been noted, for a backend meets again what its defaults have.
    private var noted: Set<ConfigurationProblem> = []
    /// A file that is not meant for us at all must not fill a log.
    private static let mostProblems = 1000

    init(_ options: [any ServiceOptionDeclaration], _ sources: ConfigurationSources) {
        self.options = options
        self.byName = Dictionary(options.map { ($0.fullName, $0) }) { one, _ in
            preconditionFailure("option '\(one.fullName)' is declared twice")
        }
        self.perBackend = Dictionary(options.filter(\.isPerBackend).map { ($0.name, $0) }) { $1 }
        self.deprecated = Set(options.flatMap(\.deprecatedNames))
        self.sections = Set(options.map(\.section)).union([ServiceOptionName.defaultSection])
        let environment = sources.environment ?? ProcessInfo.processInfo.environment
        self.open(sources, environment)
        for option in options {
            let (value, place) = self.value(of: option, in: [option.section])
            self.values[option.fullName] = value
            if place != nil { self.given.insert(option.fullName) }
        }
        let enabled = self.values[ServiceOption<[String]>.enabledBackends.fullName] as? [String] ?? []
        for name in enabled { self.readBackend(name) }
        self.checkNames(sources)
        self.checkVariables(environment)
    }

    // MARK: Sources

    private mutating func open(_ sources: ConfigurationSources, _ environment: [String: String]) {
        self.layers.append(ConfigurationLayer(sources.overrides, from: Self.commandLine))
        self.layers.append(ConfigurationLayer(environment: environment))
        var paths = sources.files
        for directory in sources.directories {
            do {
                paths += try ConfigurationFile.files(in: directory, formats: sources.formats)
            } catch {
                self.note(.init(.invalid, at: ConfigurationPlace(directory), error.message))
            }
        }
        for path in paths {
            do {
                let bytes = try ConfigurationFile.contents(of: path)
                let format = ConfigurationFormat.of(path, bytes, among: sources.formats)
                let document = format.read(bytes)
                self.documents.append((path, format, document))
                for complaint in document.complaints {
                    self.note(.init(.invalid, at: ConfigurationPlace(path, line: complaint.line), complaint.message))
                }
            } catch {
                self.note(.init(.invalid, at: ConfigurationPlace(path), error.message))
            }
        }
        // The later file goes before the earlier one.
        self.layers += self.documents.reversed().map { ConfigurationLayer($0.document, file: $0.file) }
        self.layers.append(ConfigurationLayer(sources.defaults, from: ConfigurationPlace("the program's defaults")))
    }

    private static let commandLine = ConfigurationPlace("command line")

    private mutating func note(_ problem: ConfigurationProblem) {
        guard self.noted.count < Self.mostProblems, self.noted.insert(problem).inserted else { return }
        self.problems.append(problem)
    }

    // MARK: Values

    /// The value of an option, and where it came from: the first of some sections that has one, else the default.
    private mutating func value(
        of option: any ServiceOptionDeclaration,
        in sections: [String]
    ) -> (value: any ServiceOptionValue, place: (section: String, ConfigurationPlace)?) {
        for section in sections {
            for layer in self.layers {
                let name = ServiceOptionName(option.name, in: section)
                for candidate in [name] + option.deprecatedNames(in: section) {
                    guard let (text, isINI) = self.text(candidate, of: option, in: layer) else { continue }
                    let place = layer.place(of: candidate)
                    if candidate != name {
                        let message = "option '\(candidate)' is now called '\(name)'"
                        self.note(.init(.deprecated, isError: false, at: place, message))
                    }
                    switch option.reader.read(text) {
                    case .success(let value): return (value, (section, place))
                    case .failure where text.isEmpty && isINI:
                        // As in oslo: a number that is left empty is none.
                        let message = "option '\(candidate)' is empty, which counts as not set"
                        self.note(.init(.remark, isError: false, at: place, message))
                    case .failure(let complaint):
                        self.note(.init(.invalid, at: place, "option '\(candidate)' \(complaint.message)"))
                        return (option.reader.fallback, (section, place))
                    }
                }
            }
        }
        return (option.reader.fallback, nil)
    }

    /// What a layer gives for an option, as text; `nil` also where that was wrong and is noted.
    private mutating func text(
        _ name: ServiceOptionName,
        of option: any ServiceOptionDeclaration,
        in layer: ConfigurationLayer
    ) -> (text: String, isINI: Bool)? {
        do {
            switch try layer.given(name) {
            case nil: return nil
            case .text(let text, refers: false): return (text, false)
            case .text(let text, refers: true):
                return (try self.references.expand(text, in: name, of: self.layers, options: self.byName), true)
            case .value(let value):
                if let text = option.reader.textFromJSON(value) { return (text, false) }
                let message = "option '\(name)' is \(value.kindDescription); it must be \(option.wanted)"
                self.note(.init(.invalid, at: layer.place(of: name), message))
                return nil
            }
        } catch {
            self.note(.init(.invalid, at: layer.place(of: name), "option '\(name)' cannot be read: \(error)"))
            return nil
        }
    }

    private mutating func readBackend(_ name: String) {
        let section = ServiceOptionName.normal(name)
        guard self.backends[section] == nil else { return }
        var backend = Backend()
        backend.hasSection = self.documents.contains { $0.document.sections[section] != nil }
        for option in self.perBackend.values.sorted(by: { $0.name < $1.name }) {
            let (value, place) = self.value(of: option, in: [section, Self.backendDefaults, option.section])
            backend.values[option.name] = value
            if place?.section == section {
                backend.own.insert(option.name)
                backend.hasSection = true
            }
        }
        self.backends[section] = backend
    }

    /// The section for what all backends have in common, as in cinder.
    static let backendDefaults = "backend_defaults"

    // MARK: Names

    /// Notes what nobody here has declared.
    private mutating func checkNames(_ sources: ConfigurationSources) {
        for (place, texts) in [
            (Self.commandLine, sources.overrides),
            (ConfigurationPlace("the program's defaults"), sources.defaults),
        ] {
            for name in texts.keys.map({ ServiceOptionName(parsing: $0) }).sorted() where !self.isKnown(name) {
                self.note(self.unknown(name, at: place, isError: true))
            }
        }
        for (file, format, document) in self.documents {
            var ofBackends: [String: Bool] = [:]
            for entry in document.entries where !self.isKnown(entry.name) {
                guard self.noted.count < Self.mostProblems else { return }
                let place = ConfigurationPlace(file, line: entry.line)
                let section = entry.name.section
                if format.refusesUnknownNames, let option = self.byName[ServiceOptionName(section)] {
                    let place = ConfigurationPlace(file, line: document.sections[section] ?? nil)
                    let message = "option '\(option.name)' is an object; it must be \(option.wanted)"
                    self.note(.init(.invalid, at: place, message))
                    continue
                }
                let isOfBackend = ofBackends[section] ?? self.isOfBackendNotEnabled(section, document)
                ofBackends[section] = isOfBackend
                if isOfBackend {
                    let place = ConfigurationPlace(file, line: document.sections[section] ?? nil)
                    let message = "section '\(section)' belongs to no enabled backend"
                    self.note(.init(.remark, isError: false, at: place, message))
                } else {
                    self.note(self.unknown(entry.name, at: place, isError: format.refusesUnknownNames))
                }
            }
        }
    }

    /// Notes variables that are nearly an option's.
    ///
    /// One like no option is somebody else's: for a service called `steward` Kubernetes sets `STEWARD_PORT` and more in
    /// every container beside it.
    private mutating func checkVariables(_ environment: [String: String]) {
        let prefix = ConfigurationLayer.variablePrefix
        let ofBackends = (self.backends.keys + [Self.backendDefaults]).flatMap { section in
            self.perBackend.keys.map { ServiceOptionName($0, in: section) }
        }
        let names = self.byName.keys + Array(self.deprecated) + ofBackends
        let known = Set(names.map { String(ConfigurationLayer.variable($0).dropFirst(prefix.count)) })
        for variable in environment.keys.sorted() where variable.hasPrefix(prefix) {
            let name = String(variable.dropFirst(prefix.count))
            guard !known.contains(name), let near = Spelling.nearest(to: name, among: Array(known)) else { continue }
            let place = ConfigurationPlace("environment variable \(variable)")
            let message = "it is no option's, and is not read"
            self.note(.init(.unknown, isError: false, at: place, message, suggestion: prefix + near))
        }
    }

    private func isKnown(_ name: ServiceOptionName) -> Bool {
        if self.byName[name] != nil { return true }
        if self.deprecated.contains(name) { return true }
        guard self.backends[name.section] != nil || name.section == Self.backendDefaults else { return false }
        return self.perBackend[name.name] != nil
    }

    /// Whether a section has what backends have and nothing else.
    private func isOfBackendNotEnabled(_ section: String, _ document: ConfigurationDocument) -> Bool {
        guard self.backends[section] == nil, !self.sections.contains(section), !self.perBackend.isEmpty else {
            return false
        }
        return document.entries.allSatisfy { $0.name.section != section || self.perBackend[$0.name.name] != nil }
    }

    private func unknown(_ name: ServiceOptionName, at place: ConfigurationPlace, isError: Bool) -> ConfigurationProblem
    {
        let isSection = self.sections.contains(name.section)
        let isBackend = self.backends[name.section] != nil || name.section == Self.backendDefaults
        var candidates: [ServiceOptionName] = []
        if isSection {
            candidates = self.byName.keys.filter { $0.section == name.section }
        } else if isBackend {
            candidates = self.perBackend.keys.map { ServiceOptionName($0, in: name.section) }
        } else {
            // The section may be what is mistyped.
            candidates = self.byName.keys.filter { $0.name == name.name }
        }
        let near = Spelling.nearest(to: name.description, among: candidates.map(\.description))
        let message = "option '\(name.description.prefix(100))' is not known"
        return ConfigurationProblem(.unknown, isError: isError, at: place, message, suggestion: near)
    }
}
