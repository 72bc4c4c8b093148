import Foundation
import Messaging
import Testing

@Suite("wire contract 3.1: the envelope") struct EnvelopeTests {
    private static let json = "application/json"

    /// What was sent to a real server, and how it reacted.
    static let probeNames: [String] = {
        do {
            return try Fixture("server_reactions").value["probes"]?.arrayValue?.compactMap { $0["probe"]?.stringValue }
                ?? []
        } catch {
            return []  // The test below counts the probes.
        }
    }()

    @Test func `there are probes`() {
        #expect(Self.probeNames.count > 40)
    }

    @Test(arguments: probeNames)
    func `a probe is taken or refused as the Python server did`(name: String) throws {
        let probes = try #require(Fixture("server_reactions").value["probes"]?.arrayValue)
        let probe = try #require(probes.first { $0["probe"]?.stringValue == name })
        let result = Result { () throws(WireError) in
            try RequestPayload(
                decoding: Array((probe["sent_body"]?.stringValue ?? "").utf8),
                contentType: probe["sent_properties"]?["content_type"]?.stringValue,
                contentEncoding: probe["sent_properties"]?["content_encoding"]?.stringValue
            )
        }
        let isRejected = probe["server_sent"]?[0]?[0] == "Basic.Reject"
        switch result {
        case .success(let request):
            #expect(!isRejected)
            // A version of another type goes to the dispatcher, which answers it.
            #expect(!request.method.isEmpty)
            if let reply = probe["reply"], reply != .null {
                #expect(request.messageID == reply["_msg_id"]?.stringValue)
            }
        case .failure(let error):
            #expect(isRejected == (error.code != .invalidPayload))
            #expect(probe["reply"]?["failure"] != .null, "Python answered with a result")
            // What Python answered with a failure can be answered here.
            if let reply = probe["reply"], reply != .null {
                #expect(error.messageID == reply["_msg_id"]?.stringValue)
                #expect(error.replyQueue == "probe_reply")
            } else {
                #expect(error.messageID == nil)
            }
        }
    }

    private func error(_ body: String, _ contentType: String? = json, compression: String? = nil) -> WireError? {
        #expect(throws: WireError.self) {
            try Envelope(decoding: Array(body.utf8), contentType: contentType, compression: compression)
        }
    }

    private func payload(_ body: String, _ contentType: String? = json) throws -> String {
        String(decoding: try Envelope(decoding: Array(body.utf8), contentType: contentType).payload, as: UTF8.self)
    }

    @Test func `the inner document is unescaped`() throws {
        let body = #" { "x" : 1 , "oslo.message" : "{\"a\": \"\\u00e9\\n\"}" , "oslo.version" : "2.0" } "#
        #expect(try self.payload(body) == #"{"a": "\u00e9\n"}"#)
        #expect(try self.payload(#"{"oslo.version": "2.0", "oslo.message": "{}"}"#) == "{}")
        #expect(try self.payload(#"{"oslo.version": "2.0.0", "oslo.message": "{}"}"#) == "{}")
        #expect(try self.payload(#"{"\u006fslo.version": "2.0", "oslo.message": "{}"}"#) == "{}")
        #expect(try self.payload(#"{"oslo.version": "1.0", "oslo.version": "2.0", "oslo.message": "{}"}"#) == "{}")
    }

    @Test func `without both keys the object is the payload`() throws {
        for body in ["{}", #"{"method": "m"}"#, #"{"oslo.version": "9.9"}"#, #"{"oslo.message": "{}"}"#] {
            #expect(try self.payload(body) == body)
        }
        #expect(try self.payload("") == "{}")
        #expect(try self.payload("", nil) == "{}")
    }

    @Test(arguments: ["\"2.1\"", "\"3.0\"", "\"1.9\"", "\"2\"", "\"\"", "\"x\"", "null", "2.0", "[]"])
    func `another version of the envelope is refused`(version: String) {
        let error = self.error(#"{"oslo.version": \#(version), "oslo.message": "{}"}"#)
        #expect(error?.code == .unsupportedEnvelope)
        #expect(error?.message.contains("2.0") == true)
    }

    @Test(arguments: [
        "[1]", "1", "null", "\"text\"", "{", "this is { not json", "\u{FEFF}{}", "{} {}",
        #"{"oslo.version": "2.0", "oslo.message": {}}"#,
        #"{"oslo.version": "2.0", "oslo.message": null}"#,
    ])
    func `a body that is no JSON object is refused`(body: String) {
        #expect(self.error(body)?.code == .malformed)
    }

    @Test(arguments: ["[1]", "null", "{nope", "", "\\u0000", "\\ufeff{}", "{}x"])
    func `an inner document that is no JSON object is refused`(inner: String) {
        let body = #"{"oslo.version": "2.0", "oslo.message": "\#(inner)"}"#
        let request = #expect(throws: WireError.self) {
            try RequestPayload(decoding: Array(body.utf8), contentType: Self.json)
        }
        #expect(request?.code == .malformed)
        let reply = #expect(throws: WireError.self) {
            try ReplyPayload(decoding: Array(body.utf8), contentType: Self.json)
        }
        #expect(reply?.code == .malformed)
    }

    @Test func `only JSON is read`() throws {
        for type in ["text/plain", "application/octet-stream", "application/x-python-serialize", "", "json"] {
            #expect(self.error("{}", type)?.code == .unsupportedContentType)
        }
        #expect(self.error("{}", nil)?.code == .unsupportedContentType)
        for type in ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"] {
            #expect(try self.payload("{}", type) == "{}")
        }
    }

    @Test func `a compressed body is refused by name`() throws {
        let fixture = try Fixture("call_gzip").value
        let body = try #require(fixture["body_base64"]?.stringValue.flatMap { Data(base64Encoded: $0) })
        let error = #expect(throws: WireError.self) {
            try Envelope(
                decoding: Array(body),
                contentType: fixture["properties"]?["content_type"]?.stringValue,
                compression: fixture["headers"]?["compression"]?.stringValue
            )
        }
        #expect(error?.code == .unsupportedCompression)
        #expect(error?.message.contains("application/x-gzip") == true)
        let encoding = #expect(throws: WireError.self) {
            try Envelope(decoding: Array(body), contentType: Self.json, contentEncoding: "gzip")
        }
        #expect(encoding?.code == .unsupportedCompression)
    }

    @Test func `depth and size are limited at both levels`() {
        let deep = String(repeating: "[", count: 10_000)
        #expect(self.error(#"{"a": \#(deep)"#)?.code == .tooDeep)
        let inner = #"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"m\", \"args\": \#(deep)"}"#
        let error = #expect(throws: WireError.self) {
            try RequestPayload(decoding: Array(inner.utf8), contentType: Self.json)
        }
        #expect(error?.code == .tooDeep)
        let large = #expect(throws: WireError.self) {
            try Envelope(
                decoding: Array("{\"a\": 1}".utf8),
                contentType: Self.json,
                limits: JSONLimits(maximumSize: 7)
            )
        }
        #expect(large?.code == .tooLarge)
    }
}
