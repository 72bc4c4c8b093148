import ArgumentParser
import Messaging
import Testing

@testable import steward

private func parse(_ arguments: String...) throws -> any ParsableCommand {
    try StewardCommand.parseAsRoot([arguments[0], "--url", "rabbit://u:s3cret@h/v"] + arguments.dropFirst())
}

private func message(_ arguments: [String]) -> String? {
    do {
        _ = try StewardCommand.parseAsRoot([arguments[0], "--url", "rabbit://u:s3cret@h/v"] + arguments.dropFirst())
        return nil
    } catch {
        return StewardCommand.fullMessage(for: error)
    }
}

@Suite struct ControlCommandTests {
    @Test func `a question says who is asked, and how long`() throws {
        let ping = try #require(
            try parse("ping", "--topic", "T", "--server", "S", "--exchange", "X", "--timeout", "2.5") as? Ping
        )
        #expect(ping.options.target == .topic("T", server: "S", exchange: "X"))
        #expect(ping.timeLimit == .milliseconds(2500))
        let hosts = try #require(try parse("hosts", "--topic", "T", "--within", "0.5") as? Hosts)
        #expect(hosts.within.duration == .milliseconds(500))
        #expect(hosts.timeLimit > .seconds(5))
    }

    @Test(arguments: ["ping", "info", "stats", "hosts"])
    func `names that say nothing, or that AMQP cannot carry, are a usage error`(_ command: String) {
        #expect(message([command]) != nil)
        #expect(message([command, "--topic", ""])?.contains("no topic") == true)
        #expect(message([command, "--topic", "a#"])?.contains("patterns") == true)
        #expect(message([command, "--topic", "T", "--exchange", ""])?.contains("'--exchange' is empty") == true)
        // With the suffix of the control topic it would be too long.
        #expect(message([command, "--topic", String(repeating: "t", count: 199)])?.contains("200 bytes") == true)
        if command != "hosts" {
            #expect(message([command, "--topic", "T", "--server", ""])?.contains("'--server' is empty") == true)
        }
    }

    @Test func `help shows examples`() {
        let commands: [any ParsableCommand.Type] = [Ping.self, Info.self, Stats.self, Hosts.self]
        for command in commands {
            let help = StewardCommand.helpMessage(for: command)
            #expect(help.contains("EXAMPLES"))
            #expect(help.contains("steward \(command._commandName) --topic"))
        }
    }

    @Test(arguments: [
        (0.0, "0 µs"), (2.3e-6, "2.3 µs"), (850e-6, "850 µs"), (0.0012, "1.2 ms"), (0.25, "250 ms"), (0.9996, "1 s"),
        (3.44, "3.4 s"), (59.97, "1 min 0 s"), (123, "2 min 3 s"), (18_600, "5 h 10 min"), (273_600, "3 d 4 h"),
        (-1, "?"), (.nan, "?"), (.infinity, "?"),
    ])
    func `durations are said as people say them`(_ seconds: Double, _ text: String) {
        #expect(seconds.asDuration == text)
    }

    @Test func `columns stand below one another, and nothing in them commands the terminal`() {
        var table = TextTable([("name", .left), ("count", .right), ("last", .left)])
        table.add(["a", "1", nil])
        table.add(["größer", "12345678", "x\u{1B}[2Jy\n"])
        #expect(
            table.text == """
                NAME       COUNT  LAST
                a              1  -
                größer  12345678  x?[2Jy?
                """
        )
        #expect(listing([("a", "1"), ("long", "2"), ("none", nil)]) == "a     1\nlong  2")
    }

    private static let presence = #"""
        {"topic": "T", "host": "node-1", "incarnation": "8a", "uptime": 7384.5, "state": "accepting",
         "versions": ["3.0", "3.20"], "service_version": "7.1", "running": 3, "concurrency": 64, "waiting": 2,
         "added_later": true}
        """#

    @Test func `a ping is told in one line`() throws {
        let answer = try RawJSON(checking: Array(Self.presence.utf8)).decode(ControlRPC.Presence.self)
        #expect(
            Ping.text(answer, roundTrip: .microseconds(2100)) == """
                node-1 of T is accepting, up 2 h 3 min: 3 of 64 handlers busy, 2 requests waiting; answered in 2.1 ms
                """
        )
    }

    @Test func `hosts are a table`() throws {
        let answer = try RawJSON(checking: Array(Self.presence.utf8)).decode(ControlRPC.Presence.self)
        #expect(
            Hosts.text([answer]) == """
                HOST    STATE      VERSIONS  SERVICE     UPTIME  BUSY  WAITING  INCARNATION
                node-1  accepting  3.0,3.20  7.1      2 h 3 min  3/64        2  8a
                """
        )
    }

    @Test func `a host whose answer came twice is one`() throws {
        let answer = try RawJSON(checking: Array(Self.presence.utf8)).decode(ControlRPC.Presence.self)
        var restarted = answer
        restarted.incarnation = "7f"
        #expect(Hosts.distinct([answer, restarted, answer]).map(\.incarnation) == ["7f", "8a"])
    }

    @Test func `stats are a table with a line for each method`() throws {
        let text = #"""
            {"topic": "T", "host": "h", "incarnation": "8a", "uptime": 60, "running": 1, "concurrency": 4, "waiting": 0,
             "expired": 0, "refusals": {"no_such_method": 3},
             "methods": [{"name": "get", "calls": 12, "in_flight": 1, "succeeded": 9,
               "errors": {"expected": 1, "unexpected": 1}, "cancelled": 0, "expired": 2, "duplicates": 3,
               "refusals": {"access_denied": 4},
               "queue_wait": {"count": 12, "mean": 0.001, "p50": 0.001, "p90": 0.001, "p99": 0.004, "max": 0.004},
               "run_time": {"count": 11, "mean": 0.01, "p50": 0.01, "p90": 0.02, "p99": 0.25, "max": 1.5}},
              {"name": "put", "namespace": "n", "calls": 0, "in_flight": 0, "succeeded": 0,
               "errors": {"expected": 0, "unexpected": 0}, "cancelled": 0, "expired": 0, "duplicates": 0,
               "refusals": {}}]}
            """#
        let answer = try RawJSON(checking: Array(text.utf8)).decode(ControlRPC.Statistics.self)
        let lines = Stats.text(answer, roundTrip: .zero).split(separator: "\n").map(String.init)
        #expect(lines[0] == "h of T, up 1 min 0 s: 1 of 4 handlers busy, 0 requests waiting")
        #expect(lines[1].hasPrefix("METHOD"))
        let words = { (line: String) in line.split(separator: " ").map(String.init) }
        #expect(
            words(lines[2]) == [
                "get", "12", "1", "1", "1", "0", "4", "2", "3", "10", "ms", "20", "ms", "250", "ms", "1.5", "s", "4",
                "ms",
            ]
        )
        #expect(words(lines[3]) == ["n.put", "0", "0", "0", "0", "0", "0", "0", "0", "-", "-", "-", "-", "-"])
        #expect(lines[4] == "refused otherwise: no_such_method 3")
    }
}
