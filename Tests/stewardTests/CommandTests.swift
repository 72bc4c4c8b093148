import ArgumentParser
import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

@testable import steward

/// Parses a command line as the program does, arguments' sources included.
private func request(_ arguments: String...) throws -> Request {
    let common = ["--url", "rabbit://u:s3cret@h/v", "--topic", "T"]
    let command = try StewardCommand.parseAsRoot([arguments[0]] + common + arguments.dropFirst())
    return try Request(try #require(command as? any RequestCommand))
}

private func message(_ arguments: String...) -> String? { message(arguments) }

private func message(_ arguments: [String]) -> String? {
    do {
        let command = try StewardCommand.parseAsRoot(arguments)
        if let command = command as? any RequestCommand { _ = try Request(command) }
        return nil
    } catch {
        return StewardCommand.fullMessage(for: error)
    }
}

@Suite struct CommandTests {
    @Test func `a command line says all of a request`() throws {
        let all = try request(
            "call",
            "--exchange",
            "X",
            "--server",
            "S",
            "--namespace",
            "N",
            "--version",
            "3.20",
            "--context",
            #"{"is_admin": true}"#,
            "--timeout",
            "2.5",
            "--call-monitor-timeout",
            "0.5",
            "method",
            #"{"a": [1, NaN]}"#
        )
        #expect(all.kind == .call)
        #expect(all.target == .topic("T", server: "S", exchange: "X"))
        #expect(all.namespace == "N")
        #expect(all.method == "method")
        #expect(all.arguments["a"]?[0] == 1)
        #expect(all.arguments["a"]?[1]?.doubleValue?.isNaN == true)
        #expect(all.timeout == .milliseconds(2500))
        #expect(all.clientOptions.version == "3.20")
        #expect(all.clientOptions.callMonitorTimeout == .milliseconds(500))
        #expect(all.clientOptions.context.values == ["is_admin": true])
    }

    @Test func `what is left out has oslo's defaults`() throws {
        let least = try request("cast", "method")
        #expect(least.kind == .cast)
        #expect(least.target == .topic("T"))
        #expect(least.namespace == nil)
        #expect(least.arguments.isEmpty)
        #expect(least.timeout == .seconds(60))
        #expect(least.clientOptions.version == nil)
        #expect(least.clientOptions.callMonitorTimeout == nil)
        #expect(least.clientOptions.context.values.isEmpty)
        #expect(try request("fanout", "method").target.isFanout)
    }

    @Test func `an empty namespace is not the absence of one`() throws {
        #expect(try request("call", "--namespace", "", "method").namespace == "")
    }

    @Test func `arguments come from a file`() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "steward-\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }  // Left behind, it disturbs nobody.
        try Data(#"{"n": 1208925819614629174706176}"#.utf8).write(to: file)
        let arguments = try request("call", "method", "@\(file.path)").arguments
        #expect(arguments["n"]?.description == "1208925819614629174706176")
        #expect(throws: ValidationError.self) { try request("call", "method", "@\(file.path)x") }
    }

    @Test(arguments: ["[1]", "1", "{", "", "{\"a\":}", "null", "text"])
    func `arguments that are no JSON object are a usage error`(_ arguments: String) {
        #expect(throws: ValidationError.self) { try request("call", "method", arguments) }
        #expect(throws: ValidationError.self) { try request("call", "--context", arguments, "method") }
    }

    @Test(arguments: ["0", "-1", "x", "nan", "inf", "1e300", ""])
    func `seconds are a number above zero that somebody could wait for`(_ seconds: String) {
        #expect(throws: (any Error).self) { try request("call", "--timeout=\(seconds)", "method") }
    }

    @Test(arguments: ["3", "3.", "a.b", "-1.0", ""])
    func `a version is major and minor`(_ version: String) {
        #expect(throws: (any Error).self) { try request("call", "--version=\(version)", "method") }
    }

    @Test func `the version option of a request is never taken for the program's own`() {
        #expect(message("call", "--url", "rabbit://", "--version", "1.0", "method")?.contains("--topic") == true)
    }

    @Test func `a fanout has no server`() {
        #expect(
            message("fanout", "--url", "rabbit://", "--topic", "T", "--server", "S", "method")?.contains("--server")
                == true
        )
    }

    @Test func `names that AMQP cannot carry are a usage error`() {
        #expect(message("call", "--url", "rabbit://", "--topic", "a#", "method")?.contains("patterns") == true)
        #expect(message("call", "--url", "rabbit://", "--topic", "", "method") != nil)
        #expect(message("call", "--url", "rabbit://", "--topic", "T", "") != nil)
    }

    @Test(arguments: ["call", "cast", "fanout"])
    func `an empty server or exchange is a usage error`(_ command: String) {
        let common = [command, "--url", "rabbit://", "--topic", "T"]
        if command != "fanout" {
            #expect(message(common + ["--server", "", "method"])?.contains("'--server' is empty") == true)
        }
        #expect(message(common + ["--exchange", "", "method"])?.contains("'--exchange' is empty") == true)
    }

    @Test func `a wrong URL is explained without its password`() throws {
        let text = try #require(message("call", "--url", "rabbit://u:s3cret/x@h/", "--topic", "T", "method"))
        #expect(text.contains("--url is no URL of a broker"))
        #expect(!text.contains("s3cret"))
        #expect(message("call", "--url", "", "--topic", "T", "method")?.contains("--url is empty") == true)
        #expect(message("call", "--url", "kombu+memory://", "--topic", "T", "method")?.contains("kombu") == true)
    }

    @Test func `the URL may come from the environment`() throws {
        let command = try StewardCommand.parseAsRoot(["call", "--url", "rabbit://option/", "--topic", "T", "method"])
        var options = try #require(command as? Call).broker
        let both = ["STEWARD_URL": "amqp://first", "AMQP_URL": "amqp://second"]
        #expect(try options.transportURL { both[$0] }.hosts[0].name == "option")
        options.url = nil
        #expect(try options.transportURL { both[$0] }.hosts[0].name == "first")
        #expect(try options.transportURL { $0 == "AMQP_URL" ? "amqp://second" : nil }.hosts[0].name == "second")
        #expect(throws: ValidationError.self) { try options.transportURL { _ in nil } }
        #expect(throws: ValidationError.self) { try options.transportURL { _ in "" } }
    }

    @Test(arguments: [["--help"], ["call", "--help"], ["cast", "-h"], ["help", "fanout"]])
    func `help shows examples`(_ arguments: [String]) throws {
        var text: String?
        do {
            var command = try StewardCommand.parseAsRoot(arguments)
            try command.run()
        } catch {
            #expect(StewardCommand.exitCode(for: error) == .success)
            text = StewardCommand.fullMessage(for: error)
        }
        #expect(try #require(text).contains("EXAMPLES"))
        #expect(try #require(text).contains("steward \(arguments.contains("cast") ? "cast" : "")"))
    }
}
