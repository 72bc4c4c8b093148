import Messaging
import Testing

@testable import steward

@Suite struct OutcomeTests {
    private let notFound = RemoteFailure(
        className: "VolumeNotFound",
        module: "cinder.exception",
        message: "Volume \"7\"\nnot found",
        traceback: ["Traceback:\n", "  line 1\n"]
    )

    @Test func `a result is one line of JSON, big integers and NaN included`() throws {
        let value = try JSONValue(parsing: #"{"n": 1208925819614629174706176, "x": [NaN, -Infinity, 1.0], "t": "ü\n"}"#)
        #expect(
            Outcome.result(value).json
                == #"{"result": {"n":1208925819614629174706176,"t":"ü\n","x":[NaN,-Infinity,1.0]}}"#
        )
        #expect(Outcome.result(.null).json == #"{"result": null}"#)
        #expect(Outcome.sent.json == #"{"sent": true}"#)
        #expect(Outcome.result(.null).exitCode == 0)
        #expect(Outcome.sent.exitCode == 0)
    }

    @Test func `a remote failure keeps its class, module and message`() {
        let outcome = Outcome(RPCError(.remote, "get at T failed: …", failure: self.notFound))
        #expect(outcome.exitCode == 1)
        #expect(
            outcome.json
                == #"{"error": {"kind": "remote", "class": "VolumeNotFound", "module": "cinder.exception", "#
                + #""message": "Volume \"7\"\nnot found"}}"#
        )
        #expect(outcome.text == "VolumeNotFound (cinder.exception): Volume \"7\"\nnot found")
        #expect(outcome.traceback == "Traceback:\n  line 1\n")
    }

    @Test(arguments: [RPCError.Code.noSuchMethod, .unsupportedVersion, .accessDenied, .limitExceeded])
    func `a refusal of the server is a remote failure`(_ code: RPCError.Code) {
        let outcome = Outcome(RPCError(code, "so it is", failure: self.notFound))
        #expect(outcome.exitCode == 1)
        #expect(outcome.text == "VolumeNotFound (cinder.exception): Volume \"7\"\nnot found")
    }

    @Test(arguments: [
        (RPCError.Code.timeout, "timeout", 3), (.noSuchServer, "undeliverable", 4), (.unreachable, "other", 5),
        (.connectionLost, "other", 5), (.rejected, "other", 5), (.blocked, "other", 5), (.invalidReply, "other", 5),
    ])
    func `each failure has its kind and its exit code`(_ code: RPCError.Code, _ kind: String, _ exitCode: Int) {
        let outcome = Outcome(RPCError(code, "so it is"))
        #expect(outcome.exitCode == Int32(exitCode))
        #expect(
            outcome.json == #"{"error": {"kind": "\#(kind)", "class": null, "module": null, "message": "so it is"}}"#
        )
        #expect(outcome.text == "\(kind): so it is")
    }

    @Test func `what a peer sent gives no commands to the terminal`() {
        let hostile = RemoteFailure(
            className: "E\u{1b}[2J",
            module: "m\u{7}",
            message: "\u{1b}]0;title\u{7}one\r\n\ttwo\u{9b}31m",
            traceback: ["Traceback:\n", "  \u{1b}[31mline 1\n"]
        )
        let outcome = Outcome(RPCError(.remote, "failed", failure: hostile))
        #expect(outcome.text == "E?[2J (m?): ?]0;title?one?\n\ttwo?31m")
        #expect(outcome.traceback == "Traceback:\n  ?[31mline 1\n")
        #expect(Outcome.result("a\u{1b}[2J\nb").text == "a?[2J\nb")
        #expect(Outcome.result(["\u{9b}31m"]).text == "[\n  \"?31m\"\n]")
        let timeout = Outcome(RPCError(.timeout, "last heard of: h\u{1b}[2J"))
        #expect(timeout.text == "timeout: last heard of: h?[2J")
    }

    @Test func `an interruption ends as shells know it`() {
        #expect(Outcome.interrupted(by: 2).exitCode == 130)
        #expect(Outcome.interrupted(by: 15).exitCode == 143)
    }

    @Test func `people read strings as they are and structures indented`() throws {
        #expect(Outcome.result("one\ntwo").text == "one\ntwo")
        #expect(Outcome.result(.integer(3)).text == "3")
        #expect(Outcome.result(.null).text == "null")
        let value = try JSONValue(parsing: #"{"b": [1, {"c": []}], "a": {}, "d\"": "e"}"#)
        #expect(
            Outcome.result(value).text == """
                {
                  "a": {},
                  "b": [
                    1,
                    {
                      "c": []
                    }
                  ],
                  "d\\"": "e"
                }
                """
        )
    }
}
