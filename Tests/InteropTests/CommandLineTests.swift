import Foundation
import Messaging
import Testing

/// The command line against a real oslo.messaging server.
@Suite(.pythonServers, .serialized, .timeLimit(.minutes(3))) struct CommandLineTests {
    /// Runs a command for the suite's topic.
    private func steward(
        _ command: String,
        _ arguments: String...,
        input: String = "",
        url: String? = nil
    ) async throws -> StewardProgram.Run {
        let topic = try #require(PythonServer.current).topic
        return try await StewardProgram.run([command, "--topic", topic] + arguments, input: input, url: url)
    }

    // MARK: Results

    @Test func `a call prints its result, as text or as a line of JSON`() async throws {
        let text = try await self.steward("call", "--server", "one", "whoami")
        #expect(text.output == "one\n")
        #expect(text.errors == "")
        #expect(text.code == 0)
        let json = try await self.steward("call", "--server", "two", "--output", "json", "whoami")
        #expect(json.output == #"{"result": "two"}"# + "\n")
        #expect(json.code == 0)
    }

    @Test func `big integers, NaN and unicode pass`() async throws {
        let arguments = #"{"value": [1208925819614629174706176, NaN, -Infinity, "größer 😀\n"]}"#
        let run = try await self.steward("call", "--output", "json", "echo", arguments)
        #expect(run.output == #"{"result": [1208925819614629174706176,NaN,-Infinity,"größer 😀\n"]}"# + "\n")
    }

    @Test func `arguments come from standard input and from a file`() async throws {
        let input = try await self.steward("call", "--output", "json", "add", "-", input: #"{"a": 1, "b": 2}"#)
        #expect(input.output == #"{"result": 3}"# + "\n")
        let file = FileManager.default.temporaryDirectory.appending(path: "steward-\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }  // Left behind, it disturbs nobody.
        let text = String(repeating: "ü", count: 1 << 19)
        try Data(#"{"value": "\#(text)"}"#.utf8).write(to: file)
        let large = try await self.steward("call", "echo", "@\(file.path)")
        #expect(large.output == text + "\n")
    }

    @Test func `context, namespace and version are sent`() async throws {
        let context = try await self.steward(
            "call",
            "--output",
            "json",
            "--context",
            #"{"user": "u", "is_admin": true}"#,
            "context"
        )
        #expect(try context.json()["result"]?["user"] == "u")
        #expect(try context.json()["result"]?["is_admin"] == true)
        let alpha = try await self.steward(
            "call",
            "--output",
            "json",
            "--namespace",
            "alpha",
            "--version",
            "2.3",
            "echo",
            #"{"value": 1}"#
        )
        #expect(try alpha.json()["result"] == ["alpha", 1])
    }

    @Test func `casts and fanouts are sent`() async throws {
        let mark = InteropEnvironment.uniqueTopic("mark")
        let cast = try await self.steward(
            "cast",
            "--server",
            "one",
            "--output",
            "json",
            "record",
            #"{"mark": "\#(mark)"}"#
        )
        #expect(cast.output == #"{"sent": true}"# + "\n")
        #expect(cast.code == 0)
        let fanout = try await self.steward("fanout", "record", #"{"mark": "\#(mark)-all"}"#)
        #expect(fanout.output == "sent\n")
        for (host, expected) in [("one", ["\(mark)", "\(mark)-all"]), ("two", ["\(mark)-all"])] {
            let received = try await self.steward(
                "call",
                "--server",
                host,
                "--output",
                "json",
                "received",
                #"{"count": \#(expected.count)}"#
            )
            let marks = try received.json()["result"]?.arrayValue?.compactMap { $0["mark"]?.stringValue }
            #expect(marks?.sorted() == expected, "\(host)")
        }
    }

    // MARK: Failures

    @Test func `a remote failure is exit code 1, and its traceback is for those who ask`() async throws {
        let json = try await self.steward("call", "--output", "json", "fail", #"{"kind": "custom"}"#)
        #expect(json.code == 1)
        #expect(
            try json.json()["error"]
                == [
                    "kind": "remote", "class": "PeerError", "module": "peer_exceptions",
                    "message": "peer error about volumes",
                ]
        )
        #expect(json.errors == "")
        let text = try await self.steward("call", "fail", #"{"kind": "value"}"#)
        #expect(text.code == 1)
        #expect(text.output == "")
        #expect(text.errors == "steward: ValueError (builtins): bad value\n")
        let verbose = try await self.steward("call", "--verbose", "fail", #"{"kind": "value"}"#)
        #expect(verbose.errors.contains("Traceback (most recent call last)"))
        #expect(!verbose.errors.contains("guest:guest"))
    }

    @Test func `a timeout is exit code 3 and comes in time`() async throws {
        let run = try await self.steward(
            "call",
            "--timeout",
            "2.5",
            "--output",
            "json",
            "slow",
            #"{"seconds": 6}"#
        )
        #expect(run.code == 3)
        #expect(try run.json()["error"]?["kind"] == "timeout")
        #expect(run.duration < .seconds(6))
    }

    @Test func `the call monitor keeps a long call and its timeout ends it`() async throws {
        let kept = try await self.steward(
            "call",
            "--call-monitor-timeout",
            "2",
            "--output",
            "json",
            "slow",
            #"{"seconds": 4}"#
        )
        #expect(kept.output == #"{"result": 4}"# + "\n")
    }

    @Test(arguments: ["call", "cast"])
    func `a host that does not exist is exit code 4 within a second or so`(_ command: String) async throws {
        let run = try await self.steward(command, "--server", "nobody", "--output", "json", "whoami")
        #expect(run.code == 4)
        #expect(try run.json()["error"]?["kind"] == "undeliverable")
        #expect(run.duration < .seconds(6))
    }

    @Test func `a broker that is not there is exit code 5 within the timeout`() async throws {
        // Port 1 of the loopback: refused at once, and tried until the time is over.
        for command in ["call", "cast", "fanout"] {
            let run = try await self.steward(
                command,
                "--timeout",
                "1.5",
                "--output",
                "json",
                "whoami",
                url: "rabbit://u:s3cret@127.0.0.1:1/"
            )
            #expect(run.code == 5)
            #expect(try run.json()["error"]?["kind"] == "other")
            #expect(run.duration < .seconds(3.5))
            #expect(try run.json()["error"]?["message"]?.stringValue?.contains("127.0.0.1:1") == true)
            #expect(!(run.output + run.errors).contains("s3cret"))
        }
    }

    @Test func `a broker that says nothing is exit code 5 within the timeout, unless there is another one`()
        async throws
    {
        let silent = try SilentServer()
        let alone = try await self.steward(
            "call",
            "--timeout",
            "1",
            "--output",
            "json",
            "whoami",
            url: "rabbit://127.0.0.1:\(silent.port)/"
        )
        #expect(alone.code == 5)
        #expect(try alone.json()["error"]?["kind"] == "other")
        #expect(alone.duration < .seconds(8))
        let broker = try InteropEnvironment.brokerURL()
        let rest = try #require(broker.range(of: "://")).upperBound
        let second = try await self.steward(
            "call",
            "--timeout",
            "30",
            "--server",
            "one",
            "whoami",
            url: "rabbit://127.0.0.1:\(silent.port),\(broker[rest...])"
        )
        #expect(second.output == "one\n")
        #expect(second.duration < .seconds(30))
        withExtendedLifetime(silent) {}
    }

    @Test func `a refused log-in is exit code 5 at once`() async throws {
        let broker = try InteropEnvironment.brokerURL()
        let address = try #require(broker.split(separator: "@").last)
        let run = try await self.steward(
            "call",
            "--output",
            "json",
            "whoami",
            url: "amqp://guest:s3cret@\(address)"
        )
        #expect(run.code == 5)
        #expect(run.duration < .seconds(8))
        #expect(!(run.output + run.errors).contains("s3cret"))
    }

    @Test(arguments: [[], ["call"], ["call", "--topic", "T"], ["shout"], ["call", "--topic", "T", "m", "[]"]])
    func `wrong usage is exit code 2, with nothing on standard output`(_ arguments: [String]) async throws {
        let run = try await StewardProgram.run(arguments)
        #expect(run.code == 2)
        #expect(run.output == "")
        #expect(run.errors.lowercased().contains("usage"))
    }

    @Test func `help and version are exit code 0`() async throws {
        let help = try await StewardProgram.run(["call", "--help"])
        #expect(help.code == 0)
        #expect(help.output.contains("EXAMPLES"))
        let version = try await StewardProgram.run(["--version"])
        #expect(version.code == 0)
        #expect(version.output.contains("."))
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)])
    func `an interruption ends it at once, and says so`(_ signal: Int32, _ code: Int) async throws {
        let topic = try #require(PythonServer.current).topic
        let process = try StewardProgram.start([
            "call", "--topic", topic, "--server", "two", "--verbose", "--timeout", "20", "--output", "json", "slow",
            #"{"seconds": 30}"#,
        ])
        // What it says of its connections on standard error, until both are there.
        while !(try #require(await process.errors.next())).contains("state=open") {}
        process.send(signal: signal)
        let start = ContinuousClock.now
        let output = try JSONValue(parsing: await process.output.remainder())
        #expect(await process.exit() == Int32(code))
        #expect(output["error"]?["kind"] == "other")
        #expect(ContinuousClock.now - start < .seconds(10))
    }
}
