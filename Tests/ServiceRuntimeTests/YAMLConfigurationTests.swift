import ConfigurationYAML
import Messaging
import Testing

@testable import ServiceRuntime

extension ServiceOption where Value == Bool? {
    fileprivate static var ssl: Self { Self("ssl", section: "broker", default: nil, help: "encryption") }
}

extension ServiceOption where Value == [Int] {
    fileprivate static var ports: Self { Self("ports", default: [], help: "ports") }
}

struct YAMLConfigurationTests {
    private static let options =
        ServiceConfiguration.standardOptions + [ServiceOption<Bool?>.ssl, ServiceOption<[Int]>.ports]

    private func read(_ text: String) throws -> ServiceConfiguration {
        try withConfigurationFile(text, named: "worker.yaml") { file in
            try ServiceConfiguration(
                options: Self.options,
                environment: [:],
                files: [file],
                formats: [.json, .ini, .yaml]
            )
        }
    }

    private func message(_ text: String) throws -> String {
        try #require(throws: ServiceError.self) { _ = try read(text) }.message
    }

    @Test func `all types are read`() throws {
        let configuration = try read(
            """
            # a comment
            host: node-1
            topic: "17"
            report_interval: 0.5
            rpc_prefetch: 7
            rpc_ping_enabled: true
            ports: [1, 2]
            broker:
              ssl: false
            """
        )
        #expect(configuration[.host] == "node-1")
        #expect(configuration[.topic] == "17")
        #expect(configuration[.reportInterval] == .milliseconds(500))
        #expect(configuration[.rpcPrefetch] == 7)
        #expect(configuration[.rpcPingEnabled])
        #expect(configuration[.ports] == [1, 2])
        #expect(configuration[.ssl] == false)
        #expect(try read("broker:\n  ssl: null\n")[.ssl] == nil)
    }

    @Test(arguments: ["", "# nothing\n", "{}", "---\n", "broker: {}"])
    func `a file that says nothing is one`(text: String) throws {
        #expect(try read(text)[.rpcPrefetch] == 64)
    }

    @Test(
        arguments: [
            ("host: a\nrpc_prefetch: many", ":2: option 'rpc_prefetch' is a string; it must be a whole number"),
            ("\nhots: a", ":2: option 'hots' is not known; did you mean 'host'?"),
            ("broker:\n  slls: true", ":2: option 'broker.slls' is not known"),
            ("- a", ":1: the file must be a mapping"),
            ("topic: 17", ":1: option 'topic' is an integer; it must be a text"),
            ("host: a\nhost: b", ":1: the file is not YAML: an option is set twice"),
            ("host: [", "the file is not YAML"), ("host: *a", ":1: the file is not YAML: found undefined alias"),
            ("[a]: b", ":1: a name must be a text"), ("a: 1\n---\nb: 2", "the file is not YAML"),
        ])
    func `a file's mistakes are named with their lines`(text: String, expected: String) throws {
        let message = try message(text)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func `hostile texts are refused before they are read`() throws {
        let laughs = (1..<40).map {
            "a\($0): &a\($0) [\(Array(repeating: "*a\($0 - 1)", count: 9).joined(separator: ","))]"
        }
        #expect(try message("a0: &a0 lol\n" + laughs.joined(separator: "\n")).contains("too many aliases"))
        #expect(try message("host: " + String(repeating: "[", count: 100_000)).contains("too many open brackets"))
        #expect(try message(String(repeating: "- ", count: 100_000)).contains("indented too far"))
        #expect(try message(String(repeating: "? ", count: 100_000)).contains("indented too far"))
        let nested = (0..<300).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(try message(nested).contains("indented too far"))
    }

    @Test func `no secret stands in an error`() throws {
        #expect(try !message("transport_url: geheim\n  geheim: [").contains("geheim"))
    }
}
