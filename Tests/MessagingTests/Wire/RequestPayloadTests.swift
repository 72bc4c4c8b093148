import Messaging
import Testing

@Suite("wire contract 3.2: the request payload") struct RequestPayloadTests {
    private func decode(_ payload: String) throws(WireError) -> RequestPayload {
        try RequestPayload(decoding: Array(payload.utf8)[...])
    }

    @Test func `keys go out in oslo's order`() throws {
        let call = RequestPayload(
            method: "create",
            args: try RawJSON(checking: #"{"a": "é\n"}"#.utf8),
            namespace: "ns",
            version: "1.5",
            messageID: "m",
            replyQueue: "q",
            monitorTimeout: 5,
            uniqueID: "u",
            context: ["user": "x"]
        )
        let payload = try Envelope(decoding: call.encoded(), contentType: "application/json").payload
        #expect(
            String(decoding: payload, as: UTF8.self)
                == #"{"method":"create","args":{"a": "\u00e9\n"},"namespace":"ns","version":"1.5","_msg_id":"m","_reply_q":"q","_timeout":5,"_unique_id":"u","_context_user":"x"}"#
        )
        let cast = RequestPayload(method: "create", uniqueID: "u")
        let castPayload = try Envelope(decoding: cast.encoded(), contentType: "application/json").payload
        #expect(String(decoding: castPayload, as: UTF8.self) == #"{"method":"create","args":{},"_unique_id":"u"}"#)
    }

    @Test func `typed arguments are written into their place`() throws {
        struct Arguments: Codable, Equatable { var name: String, sizes: [Double] }
        let arguments = Arguments(name: "\"é\\", sizes: [1, .infinity])
        let request = RequestPayload(method: "m", messageID: "1", replyQueue: "q", context: ["k": ["v": 1]])
        let body = try request.encoded(arguments: arguments)
        #expect(body.allSatisfy { 0x20...0x7E ~= $0 })
        let back = try RequestPayload(decoding: body, contentType: "application/json")
        #expect(try back.args.decode(Arguments.self) == arguments)
        #expect(back.messageID == "1")
        #expect(back.uniqueID == request.uniqueID)
        #expect(try back.contextValues() == ["k": ["v": 1]])
        #expect(back.monitorTimeout?.isNull == true)
    }

    @Test func `the forms of version and namespace are told apart`() throws {
        #expect(try self.decode(#"{"method": "m"}"#).version == .absent)
        #expect(try self.decode(#"{"method": "m", "version": null}"#).version == .null)
        #expect(try self.decode(#"{"method": "m", "version": "x"}"#).version == .text("x"))
        #expect(try self.decode(#"{"method": "m", "version": 1}"#).version == .other("a number"))
        #expect(try self.decode(#"{"method": "m"}"#).namespace == nil)
        #expect(try self.decode(#"{"method": "m", "namespace": null}"#).namespace == nil)
        #expect(try self.decode(#"{"method": "m", "namespace": ""}"#).namespace == "")
    }

    @Test func `a request that is no call has no message id`() throws {
        for id in ["null", "\"\"", "0", "false", "[]"] {
            #expect(try !self.decode(#"{"method": "m", "_msg_id": \#(id), "_reply_q": "q"}"#).isCall)
        }
        #expect(try self.decode(#"{"method": "m", "_msg_id": "i"}"#).isCall)
        #expect(try self.decode(#"{"method": "m", "_msg_id": "i"}"#).replyQueue == nil)
        #expect(try self.decode(#"{"method": "m", "_unique_id": 5}"#).uniqueID == nil)
    }

    @Test(arguments: [
        (#""args": {}"#, "no method"), (#""method": null"#, "method is null"), (#""method": 7"#, "method is a number"),
        (#""method": "m", "args": null"#, "args are null"), (#""method": "m", "args": []"#, "args are an array"),
        (#""method": "m", "namespace": 1"#, "namespace is a number"),
    ])
    func `a bad request says whom to answer`(members: String, message: String) {
        let error = #expect(throws: WireError.self) {
            try self.decode(#"{\#(members), "_reply_q": "q", "_msg_id": "i"}"#)
        }
        #expect(error?.code == .invalidPayload)
        #expect(error?.message.contains(message) == true)
        #expect(error?.messageID == "i")
        #expect(error?.replyQueue == "q")
    }

    @Test(arguments: [
        #"{"_msg_id": "i", "_reply_q": "q", "method": nope}"#,
        #"{"_msg_id": "i", "_reply_q": "q", "method": "m", "args": {"a": 1"#,
        #"{"_msg_id": "i", "_reply_q": "q"} x"#,
    ])
    func `a request that is damaged says whom to answer, if that was read before`(payload: String) {
        let error = #expect(throws: WireError.self) { try self.decode(payload) }
        #expect(error?.code == .malformed)
        #expect(error?.messageID == "i")
        #expect(error?.replyQueue == "q")
    }

    @Test(arguments: [true, false])
    func `a request nested too deep says whom to answer`(isEnveloped: Bool) throws {
        let deep = String(repeating: #"[{"a":"#, count: 10_000) + #""]}""# + String(repeating: "}]", count: 10_000)
        let payload = #"{"method": "m", "args": {"a": \#(deep)}, "_msg_id": "i", "_reply_q": "q"}"#
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": .string(payload)]
        let body = isEnveloped ? envelope.serialized() : Array(payload.utf8)
        let error = #expect(throws: WireError.self) {
            try RequestPayload(decoding: body, contentType: "application/json")
        }
        #expect(error?.code == .tooDeep)
        #expect(error?.messageID == "i")
        #expect(error?.replyQueue == "q")
    }

    @Test func `a message id that is no text cannot be answered`() {
        let error = #expect(throws: WireError.self) {
            try self.decode(#"{"method": "m", "_msg_id": 5, "_reply_q": "q"}"#)
        }
        #expect(error?.code == .invalidPayload)
        #expect(error?.messageID == nil)
    }

    @Test func `the context keeps every entry, whatever its name`() throws {
        let request = try self.decode(
            #"{"method": "m", "_context_": "empty", "_context_\u00e9": 1, "\u005fcontext_x": 2, "_contextual": 3, "_context_args": {}}"#
        )
        #expect(try request.contextValues() == ["": "empty", "é": 1, "x": 2, "args": [:]])
        #expect(try request.args.value() == [:])
    }

    @Test(
        arguments: [
            ("5", 5.0), ("2.5", 2.5), ("\"7\"", 7.0), ("0", nil), ("-1", nil), ("null", nil), ("\"abc\"", nil),
            ("true", nil),
            ("[1]", nil), ("NaN", nil), ("-Infinity", nil),
        ] as [(String, Double?)]
    )
    func `the call monitor timeout is read as Python reads it`(json: String, seconds: Double?) throws {
        let request = try self.decode(#"{"method": "m", "_timeout": \#(json)}"#)
        #expect(request.monitorInterval == seconds.map { .seconds($0) })
    }

    @Test(arguments: ["1e300", "Infinity", "1\(String(repeating: "0", count: 500))"])
    func `an endless call monitor timeout does no harm`(json: String) throws {
        let request = try self.decode(#"{"method": "m", "_timeout": \#(json)}"#)
        #expect(request.monitorInterval == .seconds(3_155_760_000))
    }
}
