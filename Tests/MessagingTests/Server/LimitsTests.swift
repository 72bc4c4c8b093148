import Testing

@testable import Messaging

/// What a server refuses before it decodes any arguments.
@Suite(.timeLimit(.minutes(3))) struct LimitsTests {
    private func limits(_ change: (inout RPCLimits) -> Void) -> RPCLimits {
        var limits = RPCLimits()
        change(&limits)
        return limits
    }

    private func delivery(_ request: RequestPayload) -> Delivery {
        Delivery(body: request.encoded(), token: Delivery.Token(tag: 1))
    }

    private func request(
        _ method: String = "m",
        _ args: [String: JSONValue] = [:],
        namespace: String? = nil,
        context: [String: JSONValue] = [:]
    ) -> RequestPayload {
        RequestPayload(
            method: method,
            args: RawJSON(.object(args)),
            namespace: namespace,
            messageID: "id",
            replyQueue: "queue",
            context: context
        )
    }

    private func nested(_ depth: Int) -> JSONValue {
        (0..<depth).reduce(.integer(1)) { value, _ in .array([value]) }
    }

    /// The error has a code for a limit, and says whom to tell.
    private func expectRefusal(_ request: RequestPayload, by limits: RPCLimits, because reason: String) {
        let error = #expect(throws: WireError.self) { _ = try limits.read(delivery(request)) }
        #expect(error?.refusalKind == .limitExceeded)
        #expect(error?.remoteFailure.className == "LimitExceeded")
        #expect(error?.remoteFailure.module == "steward.rpc")
        #expect(error?.message.contains(reason) == true)
        #expect(error?.messageID == "id")
        #expect(error?.replyQueue == "queue")
    }

    @Test func `each limit is exact`() throws {
        let body = limits { $0.bodySize = delivery(request("m", ["a": 1])).body.count }
        _ = try body.read(delivery(request("m", ["a": 1])))
        expectRefusal(request("m", ["a": 10]), by: body, because: "bytes")

        let nesting = limits { $0.nesting = 4 }
        _ = try nesting.read(delivery(request("m", ["a": nested(2)])))
        expectRefusal(request("m", ["a": nested(3)]), by: nesting, because: "deeper than the limit of 4")
        expectRefusal(request("m", context: ["a": nested(4)]), by: nesting, because: "deeper")

        let arguments = limits { $0.arguments = 3 }
        _ = try arguments.read(delivery(request("m", ["": 1, "b": 2, "c": 3])))
        expectRefusal(request("m", ["": 1, "b": 2, "c": 3, "d": 4]), by: arguments, because: "more than 3 arguments")

        let context = limits { $0.contextEntries = 2 }
        _ = try context.read(delivery(request("m", context: ["a": 1, "b": 2])))
        expectRefusal(request("m", context: ["a": 1, "b": 2, "c": 3]), by: context, because: "more than 2 entries")

        let names = limits { $0.nameLength = 4 }
        _ = try names.read(delivery(request("four", ["üü": 1, "four": 2], namespace: "four", context: ["four": 1])))
        expectRefusal(request("five5"), by: names, because: "method")
        expectRefusal(request("m", namespace: "five5"), by: names, because: "namespace")
        expectRefusal(request("m", ["five5": 1]), by: names, because: "argument")
        expectRefusal(request("m", ["ok": 1, "\"\"\"\"\"": 1]), by: names, because: "argument")
        expectRefusal(request("m", context: ["five5": 1]), by: names, because: "context entry")
    }

    @Test func `ids that would be remembered are short`() throws {
        let (longest, long) = (String(repeating: "i", count: 255), String(repeating: "i", count: 256))
        var request = self.request()
        (request.uniqueID, request.messageID, request.replyQueue) = (longest, longest, longest)
        let taken = try RPCLimits().read(delivery(request))
        #expect(ReplyAddress(messageID: taken.messageID, queue: taken.replyQueue) != nil)

        request = self.request()
        request.uniqueID = long
        expectRefusal(request, by: RPCLimits(), because: "_unique_id")
        for path in [\RequestPayload.messageID, \.replyQueue] {
            request = self.request()
            request[keyPath: path] = long
            let error = #expect(throws: WireError.self) { _ = try RPCLimits().read(delivery(request)) }
            #expect(error?.refusalKind == .limitExceeded)
            // Nobody can be told without that the id is remembered.
            #expect(ReplyAddress(messageID: error?.messageID, queue: error?.replyQueue) == nil)
        }
    }

    @Test func `questions about a server are short, and so are the ids of calls to cancel`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "a"),
            endpoints: [RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }]
        ) { _ async throws in
            let target = Target.topic("t", server: "a").control
            let control = RPCClient(transport, target: target).prepare { $0.timeout = .seconds(10) }
            #expect(try await control.call("cancel", ["id": .string(String(repeating: "i", count: 255))]) == false)
            for length in [256, 64 << 10] {
                let id = JSONValue.string(String(repeating: "i", count: length))
                let error = await #expect(throws: RPCError.self) { _ = try await control.call("cancel", ["id": id]) }
                #expect(error?.code == .limitExceeded)
            }
            let padding = JSONValue.string(String(repeating: "x", count: 64 << 10))
            let error = await #expect(throws: RPCError.self) {
                _ = try await control.call("ping", ["padding": padding])
            }
            #expect(error?.code == .limitExceeded)
            #expect(error?.failure?.message.contains("bytes") == true)
        }
        await transport.close()
    }

    @Test func `many small arguments are found wherever they stand`() {
        let limits = limits { $0.arguments = 300 }
        let args = Dictionary(uniqueKeysWithValues: (0...300).map { ("\($0)", JSONValue.integer(0)) })
        expectRefusal(request("m", args), by: limits, because: "more than 300 arguments")
    }

    @Test func `what is no request is refused as before`() {
        let error = #expect(throws: WireError.self) {
            _ = try RPCLimits().read(Delivery(body: Array("nonsense".utf8), token: Delivery.Token(tag: 1)))
        }
        #expect(error?.refusalKind == .malformed)
        #expect(error?.remoteFailure.className == "ValueError")
        let large = #expect(throws: WireError.self) {
            let limits = limits { $0.bodySize = 10 }
            _ = try limits.read(Delivery(body: Array("nonsense, and a lot".utf8), token: Delivery.Token(tag: 1)))
        }
        #expect(large?.refusalKind == .limitExceeded)
        #expect(large?.messageID == nil)
    }

    @Test func `a caller is told, and the server goes on`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        var configuration = RPCServer.Configuration()
        configuration.limits = limits {
            $0.bodySize = 2_000
            $0.nesting = 8
            $0.arguments = 4
        }
        let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "a"),
            endpoints: [endpoint],
            configuration: configuration
        ) { server async throws in
            let client = RPCClient(transport, target: .topic("t")).prepare { $0.timeout = .seconds(10) }
            for arguments: [String: JSONValue] in [
                ["a": .string(String(repeating: "x", count: 3_000))], ["a": nested(7)],
                ["a": 1, "b": 2, "c": 3, "d": 4, "e": 5],
            ] {
                let error = await #expect(throws: RPCError.self) { _ = try await client.call("echo", arguments) }
                #expect(error?.code == .limitExceeded)
            }
            #expect(try await client.call("echo", ["a": nested(6)]) == ["a": nested(6)])
            #expect(server.refusals["limit_exceeded"] == 3)
        }
        await transport.close()
    }
}
