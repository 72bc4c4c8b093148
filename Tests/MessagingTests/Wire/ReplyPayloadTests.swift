import Messaging
import Testing

/// What clients accept, with the replies that were tried on a Python client.
@Suite("wire contract 3.3: the reply payload") struct ReplyPayloadTests {
    private func decode(_ members: String) throws(WireError) -> ReplyPayload {
        try ReplyPayload(decoding: Array(#"{"_msg_id": "i", \#(members)}"#.utf8)[...])
    }

    @Test func `a result needs neither unique id nor failure`() throws {
        for members in [
            #""result": 5, "failure": null, "ending": true, "_unique_id": "u""#,
            #""result": 5, "failure": null, "ending": true"#,
            #""result": 5, "ending": true"#,
        ] {
            let reply = try self.decode(members)
            #expect(try reply.result?.value() == 5)
            #expect(reply.failure == nil)
            #expect(reply.isEnding)
            #expect(!reply.isHeartbeat)
            #expect(reply.messageID == "i")
        }
        let absent = try self.decode(#""failure": null, "ending": true"#)
        #expect(absent.result == nil)
        #expect(absent.isEnding)
        #expect(!absent.isHeartbeat)
    }

    @Test func `a part without an ending is a heartbeat only if it holds nothing`() throws {
        #expect(try self.decode(#""result": null, "failure": null, "ending": false"#).isHeartbeat)
        #expect(try self.decode(#""ending": false"#).isHeartbeat)
        #expect(try self.decode(#""failure": null"#).isHeartbeat)
        let first = try self.decode(#""result": 5, "failure": null, "ending": false"#)
        #expect(!first.isHeartbeat)
        #expect(!first.isEnding)
        #expect(try self.decode(#""result": 5, "failure": null"#).isEnding == false)
        #expect(try self.decode(#""ending": 1"#).isEnding)
        #expect(try !self.decode(#""result": null, "failure": "{}", "ending": false"#).isHeartbeat)
    }

    @Test(arguments: ["null", "\"\"", "false", "0", "{}", "[]"])
    func `a falsy failure is none`(failure: String) throws {
        #expect(try self.decode(#""result": 1, "failure": \#(failure), "ending": true"#).failure == nil)
    }

    @Test func `a reply that names no call is refused`() {
        for payload in [
            "{}", #"{"result": 1, "ending": true}"#, #"{"_msg_id": null}"#, #"{"_msg_id": 7}"#, #"{"_msg_id": ""}"#,
        ] {
            let error = #expect(throws: WireError.self) { try ReplyPayload(decoding: Array(payload.utf8)[...]) }
            #expect(error?.code == .invalidPayload)
        }
    }

    @Test func `a host's name that is too long to be one is ignored`() throws {
        for (length, isTaken) in [(255, true), (256, false)] {
            let host = String(repeating: "h", count: length)
            let reply = try self.decode(#""result": null, "failure": null, "ending": false, "_host": "\#(host)""#)
            #expect(reply.isHeartbeat)
            #expect(reply.host == (isTaken ? host : nil))
        }
    }

    @Test func `a heartbeat goes out as oslo's`() throws {
        let body = ReplyPayload.heartbeat.encoded(messageID: "i", uniqueID: "u")
        let payload = try Envelope(decoding: body, contentType: "application/json").payload
        #expect(
            String(decoding: payload, as: UTF8.self)
                == #"{"result":null,"failure":null,"ending":false,"_msg_id":"i","_unique_id":"u"}"#
        )
    }

    @Test func `a typed result is written into its place`() throws {
        struct Pool: Codable, Equatable { var name: String, free: Double }
        let pools = [Pool(name: "é\"", free: 1)]
        let body = try ReplyPayload.encoded(result: pools, messageID: "i")
        let reply = try ReplyPayload(decoding: body, contentType: "application/json")
        #expect(try reply.result?.decode([Pool].self) == pools)
        #expect(reply.isEnding)
        #expect(reply.uniqueID?.count == 32)
        let nothing = try ReplyPayload(
            decoding: ReplyPayload.encoded(result: Int?.none, messageID: "i"),
            contentType: "application/json"
        )
        #expect(nothing.result?.isNull == true)
    }

    @Test func `ids are random and look like uuid4`() {
        var ids: Set<String> = []
        for _ in 0..<1_000 {
            let id = makeUniqueID()
            #expect(id.utf8.count == 32)
            #expect(id.allSatisfy { $0.isASCII && $0.isHexDigit && !$0.isUppercase })
            #expect(Array(id)[12] == "4")
            #expect("89ab".contains(Array(id)[16]))
            ids.insert(id)
        }
        #expect(ids.count == 1_000)
    }
}
