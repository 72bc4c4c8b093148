import Messaging
import Testing

@Suite("wire contract 3.1 to 3.5: captured messages") struct CapturedMessageTests {
    @Test func `the fixtures hold every kind of message`() {
        #expect(Fixture.requestNames.count == 26)
        #expect(Fixture.replyNames.count == 23)
    }

    @Test(arguments: Fixture.messageNames)
    func `a captured body reads as Python read it`(name: String) throws {
        let fixture = try Fixture(name)
        let envelope = try Envelope(decoding: #require(fixture.body), contentType: "application/json")
        let payload = try JSONValue(parsing: envelope.payload)
        #expect(identical(payload, try #require(fixture.payload)))
    }

    @Test(arguments: Fixture.requestNames)
    func `a captured request is read, written and read again`(name: String) throws {
        let fixture = try Fixture(name)
        let expected = try #require(fixture.payload)
        let request = try RequestPayload(
            decoding: #require(fixture.body),
            contentType: fixture.value["properties"]?["content_type"]?.stringValue,
            contentEncoding: fixture.value["properties"]?["content_encoding"]?.stringValue
        )
        #expect(request.method == expected["method"]?.stringValue)
        #expect(identical(try request.args.value(), try #require(expected["args"])))
        #expect(request.namespace == expected["namespace"]?.stringValue)
        #expect(request.version == expected["version"]?.stringValue.map { .text($0) } ?? .absent)
        #expect(request.messageID == expected["_msg_id"]?.stringValue)
        #expect(request.replyQueue == expected["_reply_q"]?.stringValue)
        #expect(request.uniqueID == expected["_unique_id"]?.stringValue)
        #expect(try request.monitorTimeout?.value() == expected["_timeout"])
        for (key, value) in try #require(expected.objectValue) where key.hasPrefix("_context_") {
            #expect(try request.contextValues()[String(key.dropFirst(9))] == value)
        }

        let written = try Envelope(decoding: request.encoded(), contentType: "application/json")
        #expect(identical(try JSONValue(parsing: written.payload), expected))
    }

    @Test(arguments: Fixture.replyNames)
    func `a captured reply is read, written and read again`(name: String) throws {
        let fixture = try Fixture(name)
        let expected = try #require(fixture.payload)
        let reply = try ReplyPayload(decoding: #require(fixture.body), contentType: "application/json")
        #expect(reply.messageID == expected["_msg_id"]?.stringValue)
        #expect(reply.uniqueID == expected["_unique_id"]?.stringValue)
        #expect(reply.isEnding == expected["ending"]?.boolValue)
        #expect(reply.isHeartbeat == name.contains("heartbeat_"))
        #expect(try reply.result?.value() == expected["result"])
        if let expected = fixture.failure {
            let failure = try #require(reply.failure)
            #expect(failure.className == expected["class"]?.stringValue)
            #expect(failure.module == expected["module"]?.stringValue)
            #expect(failure.message == expected["message"]?.stringValue)
            #expect(failure.args == expected["args"]?.arrayValue)
            #expect(failure.kwargs == expected["kwargs"]?.objectValue)
            #expect(failure.traceback.map { .string($0) } == expected["tb"]?.arrayValue)
        } else {
            #expect(reply.failure == nil)
        }

        let body = reply.encoded(messageID: try #require(reply.messageID), uniqueID: try #require(reply.uniqueID))
        let written = try JSONValue(parsing: Envelope(decoding: body, contentType: "application/json").payload)
        for key in ["result", "ending", "_msg_id", "_unique_id"] { #expect(written[key] == expected[key]) }
        if let failure = fixture.failure {
            #expect(try JSONValue(parsing: #require(written["failure"]?.stringValue)) == failure)
        } else {
            #expect(written["failure"] == .null)
        }
    }
}

/// Equality that takes NaN for equal to itself and tells zero from negative zero.
func identical(_ one: JSONValue, _ other: JSONValue) -> Bool {
    one.serialized(sortedKeys: true) == other.serialized(sortedKeys: true)
}
