import Logging
import Messaging
import Testing

@testable import ServiceRuntime

#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#endif

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

    private func withFile<Value>(_ text: String, _ body: (String) throws -> Value) throws -> Value {
        var path = Array("/tmp/steward-configuration-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        try #require(descriptor >= 0)
        let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(name) }
        let bytes = Array(text.utf8)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        return try body(name)
    }

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
            file: file
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
        try withFile(#"{"host": "file", "topic": "file", "rpc_prefetch": 7, "report_interval": 0.5}"#) { file in
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
        try withFile(#"{"ratio": 0, "verbose": true, "log_level": "trace", "rpc_response_timeout": 2}"#) { file in
            let configuration = try read(file: file)
            #expect(configuration[.ratio] == 0 && configuration[.verbose] && configuration[.logLevel] == .trace)
            #expect(configuration[.rpcResponseTimeout] == .seconds(2))
        }
    }

    @Test func `a value that does not fit names the option, its source and what is wanted`() throws {
        #expect(
            try message { _ = try read(overrides: ["rpc_prefetch": "many"]) }
                == "option 'rpc_prefetch' from the command line is 'many'; it must be a whole number"
        )
        #expect(
            try message { _ = try read(environment: ["STEWARD_REPORT_INTERVAL": "-1"]) }
                == "option 'report_interval' from environment variable STEWARD_REPORT_INTERVAL is '-1'; it must be positive"
        )
        #expect(try message { _ = try read(overrides: ["ratio": "1.5"]) }.hasSuffix("it must not be above 1"))
        for text in ["nan", "inf", "1e300", ""] {
            #expect(try message { _ = try read(overrides: ["report_interval": text]) }.contains("'report_interval'"))
        }
    }

    @Test(
        arguments: [
            (#"{"rpc_prefetch": "64"}"#, "option 'rpc_prefetch' from file '%' is a string; it must be a whole number"),
            (#"{"rpc_prefetch": 0}"#, "option 'rpc_prefetch' from file '%' is '0'; it must be between 1 and 65535"),
            (#"{"rpc_prefetc": 1}"#, "file '%' has an option 'rpc_prefetc' that is not known"),
            (#"{"host": {"name": "a"}}"#, "option 'host' from file '%' is an object; it must be a text"),
            (#"[1]"#, "file '%' holds an array; it must be an object of options"),
        ])
    func `a file's mistakes are named`(text: String, expected: String) throws {
        try withFile(text) { file in
            let message = try message { _ = try read(file: file) }
            #expect(message == expected.replacing("%", with: file))
        }
    }

    @Test func `a file that is not there, not JSON or a directory is an error`() throws {
        #expect(try message { _ = try read(file: "/no/such/file") }.contains("No such file"))
        #expect(try message { _ = try read(file: "/tmp") }.contains("'/tmp' cannot be read"))
        try withFile("{") { file in
            let message = try message { _ = try read(file: file) }
            #expect(message.contains("is not JSON"))
        }
    }

    @Test func `unknown options of the command line are errors, unknown variables are somebody else's`() throws {
        #expect(try message { _ = try read(overrides: ["hosts": "a"]) }.contains("'hosts'"))
        #expect(try read(environment: ["STEWARD_UNKNOWN": "1"])[.verbose] == false)
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
}
