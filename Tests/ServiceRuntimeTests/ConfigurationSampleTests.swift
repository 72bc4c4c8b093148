import ConfigurationYAML
import Messaging
import Testing

@testable import ServiceRuntime

extension ServiceOption where Value == Int {
    fileprivate static var copies: Self {
        Self("copies", default: 3, in: 1...16, help: "how many copies are kept", deprecated: ["old.replicas"]).mutable()
            .perBackend()
    }
}

extension ServiceOption where Value == String? {
    fileprivate static var mode: Self {
        Self("mode", section: "broker", default: nil, choices: ["fast", "safe"], help: "how it is done")
    }
}

struct ConfigurationSampleTests {
    private static let launcher = ServiceLauncher(
        "test",
        options: ServiceConfiguration.standardOptions + [
            ServiceOption<[String]>.enabledBackends, ServiceOption<Int>.copies, ServiceOption<String?>.mode,
        ],
        formats: [.json, .ini, .yaml]
    )

    @Test func `a sample says all that is known of an option`() {
        #expect(
            Self.launcher.sample(.ini).contains(
                """

                # how many copies are kept
                # a whole number between 1 and 16
                # may change while the program runs
                # each backend may have a value of its own
                # earlier called [old] replicas
                #copies = 3

                """
            )
        )
        #expect(Self.launcher.sample(.ini).contains("[broker]\n\n# how it is done\n# one of fast, safe\n#mode =\n"))
        #expect(
            Self.launcher.sample(.yaml).contains("#broker:\n\n# how it is done\n# one of fast, safe\n#  mode: null\n")
        )
        #expect(Self.launcher.sample(.ini).contains("#host = <the machine's name>\n"))
    }

    @Test func `samples show no secret`() {
        for format in [ConfigurationSample.ini, .yaml, .json] {
            #expect(!Self.launcher.sample(format).contains("guest:guest"))
        }
    }

    @Test(arguments: ["ini", "yaml", "json"])
    func `a sample is read as it is, and with all in force`(name: String) throws {
        let format: ConfigurationSample = name == "ini" ? .ini : name == "yaml" ? .yaml : .json
        let sample = Self.launcher.sample(format)
        // A comment has a space behind its sign, an option none, or two where it is indented.
        let inForce = sample.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("#") && !line.hasPrefix("# ") || line.hasPrefix("#  ")
                ? String(line.dropFirst()) : String(line)
        }.joined(separator: "\n")
        for text in [sample, inForce] {
            try withConfigurationFile(text, named: "sample.\(name)") { file in
                let problems = Self.launcher.problems(environment: [:], files: [file])
                #expect(problems.filter { $0.kind != .remark } == [])
                let configuration = try ServiceConfiguration(
                    options: Self.launcher.options,
                    environment: [:],
                    files: [file],
                    formats: Self.launcher.formats
                )
                for option in Self.launcher.options where !option.isSecret && option.sampleText == nil {
                    let value = try #require(configuration.values[option.fullName])
                    #expect(option.reader.areEqual(value, option.reader.fallback), "\(option.fullName)")
                }
            }
        }
    }
}
