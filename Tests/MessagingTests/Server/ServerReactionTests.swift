import MessagingTesting
import Testing

@testable import Messaging

/// Wire contract 3.1, 3.2, 4.1 and 4.2: each message that was tried on a Python server is given to ours.
@Suite(.timeLimit(.minutes(3))) struct ServerReactionTests {
    private static let probes: [JSONValue] = {
        do {
            return try Fixture("server_reactions").value["probes"]?.arrayValue ?? []
        } catch {
            return []  // The first test counts them.
        }
    }()

    static let names = Self.probes.compactMap { $0["probe"]?.stringValue }

    /// Refused as Python does, but with what is wrong with the request, and not what an implementation stumbles over.
    private static let named: [String: (class: String, module: String)] = [
        "missing_method": ("ValueError", "builtins"),
        "args_null": ("ValueError", "builtins"),
        "version_single": ("ValueError", "builtins"),
        "version_int": ("ValueError", "builtins"),
        // What Python finds there is not callable; here nothing is there that was not declared.
        "method_target": ("NoSuchMethod", "oslo_messaging.rpc.dispatcher"),
        "method_attribute": ("NoSuchMethod", "oslo_messaging.rpc.dispatcher"),
    ]

    /// The endpoints of the server that the probes were tried on.
    private func endpoints(_ called: EventRecorder<String>) -> [RPCEndpoint] {
        [
            RPCEndpoint(version: "1.5") {
                RPCHandler("echo") { _, arguments in
                    called.record("echo")
                    return arguments["value"] ?? .null
                }
                RPCHandler("nothing") { _, _ in
                    called.record("nothing")
                    return .null
                }
            },
            RPCEndpoint(namespace: "alpha", version: "2.3", legacyNamespaces: ["old-alpha"]) {
                RPCHandler("where", namespace: "alpha") { _, _ in "alpha 2.3" }
            },
            RPCEndpoint(namespace: "alpha", version: "3.1") {
                RPCHandler("where", namespace: "alpha") { _, _ in "alpha 3.1" }
            },
            RPCEndpoint { RPCHandler("plain") { _, _ in "plain" } },
        ]
    }

    @Test func `wire contract 3.1: there are probes`() {
        #expect(Self.names.count == 58)
    }

    private func body(_ probe: JSONValue) -> [UInt8] {
        Array((probe["sent_body"]?.stringValue ?? "").utf8)
    }

    @Test(arguments: names)
    func `wire contract 3.1, 3.2, 4.2: the server reacts as Python's`(name: String) async throws {
        let index = try #require(Self.names.firstIndex(of: name))
        let probe = Self.probes[index]
        let transport = ScriptedTransport()
        // The queue that a caller took with it.
        transport.refuse { _, destination in
            destination == .queue("gone_queue") ? RPCError(.noSuchServer, "no such queue") : nil
        }
        let called = EventRecorder<String>()
        var configuration = RPCServer.Configuration()
        configuration.replyRetryLimit = .milliseconds(300)
        // What came before it, where that matters: the same id.
        let earlier = name == "duplicate_second" ? [Self.probes[index - 1]] : []
        try await withRPCServer(
            on: transport,
            target: .topic("t", server: "s"),
            endpoints: self.endpoints(called),
            configuration: configuration
        ) { _ in
            for probe in earlier + [probe] {
                transport.deliver(
                    body(probe),
                    contentType: probe["sent_properties"]?["content_type"]?.stringValue,
                    contentEncoding: probe["sent_properties"]?["content_encoding"]?.stringValue
                )
            }
            try await transport.settled.first(earlier.count + 1)
        }
        // The server has stopped: what it had to say is said.
        // Python acknowledges what is no request and has nobody to be told; here a policy of the broker may keep it.
        let isRejected = probe["server_sent"]?[0]?[0] == "Basic.Reject" || name == "empty_body"
        #expect(transport.settled.events.last == (isRejected ? .rejected : .acknowledged))
        if let method = try? RequestPayload(decoding: body(probe), contentType: "application/json").method,
            ["echo", "nothing"].contains(method)
        {
            let isCalled = called.events.count > earlier.count
            #expect(.bool(isCalled) == probe["endpoint_called"])
        }
        let replies = transport.sent.events.dropFirst(earlier.count)
        guard let expected = probe["reply"], expected != .null else {
            #expect(replies.isEmpty)
            return
        }
        #expect(replies.count == 1)
        let sent = try #require(replies.first)
        #expect(sent.destination == .queue("probe_reply"))
        let reply = try ReplyPayload(decoding: sent.message.body, contentType: "application/json")
        #expect(reply.isEnding)
        #expect(reply.messageID == expected["_msg_id"]?.stringValue)
        #expect(reply.uniqueID != nil && reply.uniqueID != expected["_unique_id"]?.stringValue)
        #expect(try reply.result?.value() ?? .null == expected["result"])
        guard let failure = expected["failure"], failure != .null else {
            #expect(reply.failure == nil)
            return
        }
        let python =
            failure.stringValue.map { RemoteFailure(decoding: RawJSON(.string($0))) }
            ?? RemoteFailure(decoding: RawJSON(failure))
        let ours = try #require(reply.failure)
        if let named = Self.named[name] {
            #expect(ours.className == named.class && ours.module == named.module)
        } else {
            #expect(ours.className == python.className)
            #expect(ours.module == python.module)
            if python.module == "oslo_messaging.rpc.dispatcher" { #expect(ours.message == python.message) }
        }
        #expect(!ours.message.isEmpty)
    }
}
