import Messaging
import Testing

@Suite("wire contract 3.4: the failure object") struct RemoteFailureTests {
    private func decode(_ failure: JSONValue) -> RemoteFailure { RemoteFailure(decoding: RawJSON(failure)) }

    private func sent(_ failure: RemoteFailure) throws -> RemoteFailure {
        let body = ReplyPayload.failure(failure).encoded(messageID: "i")
        #expect(body.allSatisfy { 0x20...0x7E ~= $0 })
        return try #require(ReplyPayload(decoding: body, contentType: "application/json").failure)
    }

    @Test func `a failure survives three levels of text`() throws {
        let failure = RemoteFailure(
            className: "VolumeNotFound",
            module: "cinder.exception",
            message: "Volume \"é\" \\ could not\nbe found \u{1F600}",
            args: ["a\\\"", 1, nil, ["k": 1.0]],
            kwargs: ["volume_id": "x\u{1}"],
            traceback: ["Traceback:\n", "  File \"a.py\"\n"]
        )
        #expect(try self.sent(failure) == failure)
        #expect(failure.description == "cinder.exception.VolumeNotFound: \(failure.message)")
    }

    @Test func `the positional arguments are the message by default`() {
        #expect(RemoteFailure(className: "TypeError", module: "builtins", message: "m").args == ["m"])
        #expect(RemoteFailure(className: "TypeError", module: "builtins", message: "m", args: []).args.isEmpty)
    }

    @Test func `the names that a Python client gives are taken back`() throws {
        let renamed = try self.sent(
            RemoteFailure(className: "Bad_Remote", module: "cinder.exception_Remote", message: "")
        )
        #expect(renamed.className == "Bad")
        #expect(renamed.module == "cinder.exception")
        let named = try self.sent(RemoteFailure(className: "Bad_Remote", module: "m", message: ""))
        #expect(named.className == "Bad_Remote")
    }

    @Test func `a failure may be an object`() {
        let failure = self.decode(["class": "X", "module": "m", "message": "hi", "tb": []])
        #expect(failure == RemoteFailure(className: "X", module: "m", message: "hi", args: []))
    }

    @Test func `what is missing or odd is made the best of`() {
        let minimal = self.decode(#"{"class": "ValueError", "module": "builtins"}"#)
        #expect(minimal == RemoteFailure(className: "ValueError", module: "builtins", message: "", args: []))
        let odd = self.decode(
            #"{"class": 1, "module": null, "message": {"a": 1}, "tb": "line", "args": 5, "kwargs": []}"#
        )
        #expect(odd.className == "1")
        #expect(odd.module == "")
        #expect(odd.message == #"{"a":1}"#)
        #expect(odd.traceback == ["line"])
        #expect(odd.args.isEmpty)
        #expect(odd.kwargs.isEmpty)
        #expect(self.decode(#"{"tb": [1, null, "x"]}"#).traceback == ["1", "", "x"])
        #expect(self.decode("not JSON").description == "not JSON")
        #expect(self.decode("[1]").message == "[1]")
        #expect(self.decode(5).message == "5")
        #expect(self.decode(.string(String(repeating: "[", count: 10_000))).message.count == 10_000)
    }
}
