internal import Messaging

extension ServiceLauncher {
    /// All options of the program as a configuration file that sets nothing: what each is for, which values are valid, its
    /// default, whether it may change while the program runs, and its earlier names.
    ///
    /// JSON has no comments: there all defaults are set, but for secrets and what depends on the machine.
    ///
    /// - Parameter format: In what the sample is written.
    /// - Returns: The text of a file, which this program reads.
    public func sample(_ format: ConfigurationSample) -> String {
        format.write(self.name, self.options)
    }

    /// Everything that is wrong with a configuration of the program, or worth a word.
    ///
    /// - Parameters:
    ///   - overrides: What the command line says.
    ///   - environment: The environment; `nil`, the default, for that of the process.
    ///   - files: The paths of files.
    ///   - directories: Directories with files.
    /// - Returns: The problems, by place; the configuration can be used where none of them is an error.
    public func problems(
        overrides: [String: String] = [:],
        environment: [String: String]? = nil,
        files: [String],
        directories: [String] = []
    ) -> [ConfigurationProblem] {
        ServiceConfiguration.problems(
            options: self.options,
            overrides: overrides,
            environment: environment,
            files: files,
            directories: directories,
            formats: self.formats
        )
    }
}

/// How a sample of a configuration is written.
public struct ConfigurationSample: Sendable {
    fileprivate let write: @Sendable (String, [any ServiceOptionDeclaration]) -> String

    /// oslo's INI.
    public static let ini = ConfigurationSample { program, options in
        var text = Self.head(program)
        for (section, options) in Self.sections(options) {
            text += "\n[\(section)]\n"
            for option in options {
                text += Self.comment(option)
                let value = option.sampleText.map { "<\($0)>" } ?? Self.text(option)
                text += "#\(option.name) =\(value.isEmpty ? "" : " ")\(value)\n"
            }
        }
        let backends = options.filter(\.isPerBackend)
        if !backends.isEmpty {
            text += "\n# A section for each name in enabled_backends, such as:\n#[lvm1]\n"
            for option in backends { text += "#\(option.name) = \(Self.text(option))\n" }
        }
        return text
    }

    /// YAML.
    public static let yaml = ConfigurationSample { program, options in
        var text = Self.head(program)
        for (section, options) in Self.sections(options) {
            let isDefault = section == ServiceOptionName.defaultSection
            if !isDefault { text += "\n#\(section):\n" }
            for option in options {
                text += Self.comment(option)
                let value = option.sampleText.map { "\(JSONValue.string("<\($0)>"))" } ?? "\(option.shownDefault)"
                text += "#\(isDefault ? "" : "  ")\(option.name): \(value)\n"
            }
        }
        let backends = options.filter(\.isPerBackend)
        if !backends.isEmpty {
            text += "\n# A section for each name in enabled_backends, such as:\n#lvm1:\n"
            for option in backends { text += "#  \(option.name): \(option.shownDefault)\n" }
        }
        return text
    }

    /// JSON.
    public static let json = ConfigurationSample { _, options in
        var text = "{"
        var separator = "\n"
        for (section, options) in Self.sections(options) {
            let isDefault = section == ServiceOptionName.defaultSection
            let margin = isDefault ? "  " : "    "
            let members = options.filter { !$0.isSecret && $0.sampleText == nil }
                .map { "\(margin)\(JSONValue.string($0.name)): \($0.shownDefault)" }.joined(separator: ",\n")
            guard !members.isEmpty else { continue }
            text += separator + (isDefault ? members : "  \(JSONValue.string(section)): {\n\(members)\n  }")
            separator = ",\n"
        }
        return text + "\n}\n"
    }

    private static func head(_ program: String) -> String {
        "# \(program): every option, with its default.\n"
    }

    /// The options by section, in the order of their declaration, `DEFAULT` first.
    private static func sections(
        _ options: [any ServiceOptionDeclaration]
    ) -> [(name: String, options: [any ServiceOptionDeclaration])] {
        let bySection = Dictionary(grouping: options, by: \.section)
        return bySection.sorted { ServiceOptionName("", in: $0.key) < ServiceOptionName("", in: $1.key) }
            .map { ($0.key, $0.value) }
    }

    private static func comment(_ option: any ServiceOptionDeclaration) -> String {
        var lines = [option.help, option.wanted]
        if option.isMutable { lines.append("may change while the program runs") }
        if option.isPerBackend { lines.append("each backend may have a value of its own") }
        if !option.deprecatedNames.isEmpty {
            let names = option.deprecatedNames.map { "[\($0.section)] \($0.name)" }.joined(separator: ", ")
            lines.append("earlier called \(names)")
        }
        return "\n" + lines.map { "# \($0)\n" }.joined()
    }

    /// The default as text; a secret's masked.
    private static func text(_ option: any ServiceOptionDeclaration) -> String {
        option.isSecret ? option.shownDefault.shownText : option.reader.fallback.optionText
    }
}
