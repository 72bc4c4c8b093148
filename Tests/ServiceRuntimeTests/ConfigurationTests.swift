import Logging
import Messaging
import Testing

@testable import ServiceRuntime

extension ServiceOption where Value == Secret {
    fileprivate static var token: Self { Self("token", default: Secret(""), help: "a token") }
}

extension ServiceOption where Value == Double {
    fileprivate static var ratio: Self {
        Self("ratio", default: 1, help: "a share") { $0 > 1 ? "must not be above 1" : nil }
    }
}

extension ServiceOption where Value == Bool {
    fileprivate static var verbose: Self { Self("verbose", default: false, help: "more words") }
}

struct ConfigurationTests {
    private static let options: [any ServiceOptionDeclaration] =
        ServiceConfiguration.standardOptions
        + [ServiceOption<Secret>.token, ServiceOption<Double>.ratio, ServiceOption<Bool>.verbose]

    private func read(
        defaults: [String: String] = [:],
        overrides: [String: String] = [:],
        environment: [String: String] = [:],
        file: String? = nil
    ) throws -> ServiceConfiguration {
        try ServiceConfiguration(
            options: Self.options,
            defaults: defaults,
            overrides: overrides,
            environment: environment,
            files: file.map { [$0] } ?? []
        )
    }

    private func message(_ body: () throws -> Void) throws -> String {
        let error = try #require(throws: ServiceError.self, performing: body)
        #expect(error.code == .invalidConfiguration)
        return error.message
    }

    @Test func `the defaults are oslo's`() throws {
        let configuration = try read()
        #expect(configuration[.host] == HostName.current)
        #expect(configuration[.controlExchange] == "openstack")
        #expect(configuration[.schedulerTopic] == "cinder-scheduler")
        #expect(configuration[.rpcResponseTimeout] == .seconds(60))
        #expect(configuration[.reportInterval] == .seconds(60))
        #expect(configuration[.gracefulShutdownTimeout] == .seconds(60))
        #expect(configuration[.executorThreadPoolSize] == 64)
        #expect(configuration[.logLevel] == .info)
    }

    @Test func `command line comes before environment before file before the program's defaults`() throws {
        try withConfigurationFile(#"{"host": "file", "topic": "file", "rpc_prefetch": 7, "report_interval": 0.5}"#) {
            file in
            let configuration = try read(
                defaults: ["topic": "program", "scheduler_topic": "program"],
                overrides: ["host": "command"],
                environment: ["STEWARD_HOST": "environment", "STEWARD_TOPIC": "environment", "HOST": "other"],
                file: file
            )
            #expect(configuration[.host] == "command")
            #expect(configuration[.topic] == "environment")
            #expect(configuration[.rpcPrefetch] == 7)
            #expect(configuration[.reportInterval] == .milliseconds(500))
            #expect(configuration[.schedulerTopic] == "program")
        }
    }

    @Test func `all types are read from text and from JSON`() throws {
        let text = try read(
            overrides: ["ratio": "0.25", "verbose": "yes", "log_level": "DEBUG", "rpc_response_timeout": "1.5"])
        #expect(text[.ratio] == 0.25 && text[.verbose] && text[.logLevel] == .debug)
        #expect(text[.rpcResponseTimeout] == .milliseconds(1500))
        try withConfigurationFile(#"{"ratio": 0, "verbose": true, "log_level": "trace", "rpc_response_timeout": 2}"#) {
            file in
            let configuration = try read(file: file)
            #expect(configuration[.ratio] == 0 && configuration[.verbose] && configuration[.logLevel] == .trace)
            #expect(configuration[.rpcResponseTimeout] == .seconds(2))
        }
    }

    @Test func `a value that does not fit names the option, its source and what is wanted`() throws {
        #expect(
            try message { _ = try read(overrides: ["rpc_prefetch": "many"]) }
                == "command line: option 'rpc_prefetch' is 'many'; it must be a whole number between 1 and 65535"
        )
        #expect(
            try message { _ = try read(environment: ["STEWARD_REPORT_INTERVAL": "-1"]) }
                == "environment variable STEWARD_REPORT_INTERVAL: option 'report_interval' is '-1'; it must be at least 0.001"
        )
        #expect(try message { _ = try read(overrides: ["ratio": "1.5"]) }.hasSuffix("it must not be above 1"))
        for text in ["nan", "inf", "1e300", ""] {
            #expect(try message { _ = try read(overrides: ["report_interval": text]) }.contains("'report_interval'"))
        }
    }

    @Test(
        arguments: [
            (
                #"{"rpc_prefetch": "64"}"#,
                "%:1: option 'rpc_prefetch' is a string; it must be a whole number between 1 and 65535"
            ),
            ("{\n\n\"rpc_prefetch\":\n0}", "%:3: option 'rpc_prefetch' is '0'; it must be between 1 and 65535"),
            (#"{"rpc_prefetc": 1}"#, "%:1: option 'rpc_prefetc' is not known; did you mean 'rpc_prefetch'?"),
            ("{\"token\": \"a:\\\"{\",\n\"wat\": 1}", "%:2: option 'wat' is not known"),
            (
                #"{"log_level": "loud"}"#,
                "%:1: option 'log_level' is 'loud'; it must be one of trace, debug, info, notice, warning, error, critical"
            ),
            (#"{"host": {"name": "a"}}"#, "%:1: option 'host' is an object; it must be a text"),
            (#"{"database": {"url": "a"}}"#, "%:1: option 'database.url' is not known"),
            (#"[1]"#, "%: the file holds an array; it must be an object of options"),
        ])
    func `a file's mistakes are named`(text: String, expected: String) throws {
        try withConfigurationFile(text) { file in
            let message = try message { _ = try read(file: file) }
            #expect(message == expected.replacing("%", with: file))
        }
    }

    @Test func `a file that is not there, not JSON or a directory is an error`() throws {
        #expect(try message { _ = try read(file: "/no/such/file") }.contains("No such file"))
        #expect(try message { _ = try read(file: "/tmp") }.contains("/tmp: the file cannot be read"))
        try withConfigurationFile("{\n\n!") { file in
            let message = try message { _ = try read(file: file) }
            #expect(message.contains("\(file):3: the file is not JSON"))
        }
    }

    @Test func `unknown options of the command line are errors, unknown variables are somebody else's`() throws {
        #expect(try message { _ = try read(overrides: ["hosts": "a"]) }.contains("'hosts'"))
        let others = ["STEWARD_UNKNOWN": "1", "STEWARD_PORT": "tcp://10.0.0.1:80", "HOSTS": "a"]
        #expect(try read(environment: others).warnings.isEmpty)
    }

    @Test func `a variable that is nearly an option's is named`() throws {
        let warnings = try read(environment: ["STEWARD_REPORT_INTREVAL": "1", "STEWARD_REPORT_INTERVAL": "2"]).warnings
        #expect(
            warnings.map(\.description) == [
                "environment variable STEWARD_REPORT_INTREVAL: it is no option's, and is not read; "
                    + "did you mean 'STEWARD_REPORT_INTERVAL'?"
            ]
        )
        #expect(warnings.map(\.isError) == [false])
    }

    @Test func `secrets are masked wherever a configuration is shown`() throws {
        let configuration = try read(
            overrides: ["token": "geheim", "transport_url": "rabbit://steward:geheim@node-1:5672/cinder"])
        #expect(configuration[.token].reveal() == "geheim")
        #expect(configuration.report["token"] == "***")
        #expect(configuration.report["transport_url"] == "rabbit://steward:***@node-1:5672/cinder")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", "\(configuration[.token])", String(reflecting: configuration), dumped] {
            #expect(!text.contains("geheim"))
        }
        #expect(try JSONValue(encoding: [Secret("geheim")]) == ["***"])
    }

    @Test func `the report has every declared option`() throws {
        let report = try #require(read().report.objectValue)
        #expect(Set(report.keys) == Set(Self.options.map(\.name)))
        #expect(report["report_interval"] == 60)
    }

    @Test(
        arguments: [
            ("rabbit://guest:guest@localhost:5672/", "rabbit://guest:***@localhost:5672/"),
            ("rabbit://", "rabbit://"),
            ("rabbit://node-1/v", "rabbit://node-1/v"),
            ("rabbit://u@h/", "rabbit://u@h/"),
            ("rabbit://u:p@h1:1,u2:q@[::1]:2/v", "rabbit://u:***@h1:1,u2:***@[::1]:2/v"),
            ("amqps://u:p@h/v?ssl_keyfile_password=p", "amqps://u:***@h/v?***"),
            ("rabbit://u:p/w@h/v", "rabbit://u:***@h/v"),
            ("rabbit://u:p@w@h/v", "rabbit://u:***@h/v"),
            ("rabbit://u:p,w@h/v", "rabbit://u:***@h/v"),
            ("u:p@h", "***"),
        ])
    func `a URL shows all but its passwords`(url: String, masked: String) {
        #expect(Secret(url: url).masked == masked)
    }

    @Test func `help lists every option with its default, and no secret`() {
        let help = ServiceConfiguration.help(for: Self.options)
        for option in Self.options { #expect(help.contains("  \(option.name): ")) }
        #expect(help.contains("rabbit://guest:***@localhost:5672/"))
    }

    @Test func `everything that is wrong is said at once`() throws {
        try withConfigurationFile("{\"ratio\": 2,\n\"verbose\": 1}") { file in
            let message = try message { _ = try read(overrides: ["rpc_prefetch": "x", "nobody": "1"], file: file) }
            #expect(message.split(separator: "; ").count >= 4)
            for name in ["'rpc_prefetch'", "'nobody'", "\(file):1: option 'ratio'", "\(file):2: option 'verbose'"] {
                #expect(message.contains(name), "\(message)")
            }
        }
    }

    @Test func `a later file goes before an earlier one, and a directory's files before both`() throws {
        try withConfigurationDirectory([
            "one.json": #"{"host": "one", "topic": "one", "scheduler_topic": "one", "control_exchange": "one"}"#,
            "two.conf": "[DEFAULT]\nhost = two\ntopic = two\nscheduler_topic = two\n",
            "d/20.conf": "[DEFAULT]\nhost = late\n", "d/10.json": #"{"host": "early", "topic": "early"}"#,
            "d/README": "not for us", "d/.30.conf": "[DEFAULT]\nhost = hidden\n",
            "d/40.conf~": "[DEFAULT]\nhost = old\n",
        ]) { directory in
            let configuration = try ServiceConfiguration(
                environment: [:],
                files: ["\(directory)/one.json", "\(directory)/two.conf"],
                directories: ["\(directory)/d"]
            )
            #expect(configuration[.host] == "late")
            #expect(configuration[.topic] == "early")
            #expect(configuration[.schedulerTopic] == "two")
            #expect(configuration[.controlExchange] == "one")
        }
        let message = try message { _ = try ServiceConfiguration(environment: [:], directories: ["/no/such"]) }
        #expect(message.contains("/no/such: the directory cannot be read"))
    }

    @Test func `debug goes before a log level that says less`() throws {
        #expect(try read(overrides: ["debug": "true", "log_level": "error"]).logLevel == .debug)
        #expect(try read(overrides: ["debug": "true", "log_level": "trace"]).logLevel == .trace)
        #expect(try read(overrides: ["log_level": "error"]).logLevel == .error)
    }
}
