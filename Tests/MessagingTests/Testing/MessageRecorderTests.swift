import Messaging
import MessagingTesting
import Testing

private struct Nameless: Error, RemoteFailureConvertible {
    let remoteFailure = RemoteFailure(className: "Nameless", module: "greetings", message: "who is it?")
}

@Suite(.timeLimit(.minutes(3)))
struct MessageRecorderTests {
    private let broker = InMemoryBroker()
    private let greet = RPCMethod<Greeting, String>("greet", namespace: "polite", since: "1.1")

    private struct Greeting: Codable, Sendable {
        var name: String
    }

    @Test func `requests are recorded with all that they say, in order`() async throws {
        let transport = RecordingTransport(InMemoryTransport(self.broker))
        let client = RPCClient(transport, target: .topic("t"))
        let context = RPCContext(["user_id": "u"])
        await #expect(throws: RPCError.self) {
            try await client.call(self.greet, Greeting(name: "Ada"), context: context, timeout: .seconds(5))
        }
        await #expect(throws: RPCError.self) { try await client.on(host: "h").cast("note", ["x": [1, nil]]) }
        try await client.fanout("hello")

        let requests = transport.sent.requests
        #expect(requests.map(\.kind) == [.call, .cast, .fanout])
        #expect(requests.map(\.method) == ["greet", "note", "hello"])
        #expect(requests.map(\.arguments) == [["name": "Ada"], ["x": [1, nil]], [:]])
        #expect(requests.map(\.version) == ["1.1", nil, nil])
        #expect(requests.map(\.namespace) == ["polite", nil, nil])
        #expect(requests[0].context == ["user_id": "u"])
        #expect(requests[0].messageID != nil && requests[1].messageID == nil)
        #expect(
            transport.sent.messages.map(\.destination) == [
                .topic("t", exchange: nil), .server("h", topic: "t", exchange: nil), .fanout("t"),
            ]
        )
        #expect(transport.sent.messages[0].message.timeToLive == .seconds(5))
        #expect(transport.sent.messages[1].description == "cast of note to \(transport.sent.messages[1].destination)")
        #expect(transport.sent.refusals.map(\.error.code) == [.noSuchServer, .noSuchServer, .noSuchServer])
    }

    @Test func `replies are recorded, and what a server ran`() async throws {
        let transport = RecordingTransport(InMemoryTransport(self.broker))
        let executed = EventRecorder<Execution>()
        let endpoint = RPCEndpoint(namespace: "polite", version: "1.1") {
            self.greet.handled { _, greeting in
                guard greeting.name != "" else { throw Nameless() }
                return "hello \(greeting.name)"
            }
        }
        try await withRPCServer(
            on: transport,
            target: .topic("t", server: "h"),
            endpoints: [endpoint.observed(by: executed)]
        ) { _ in
            let client = RPCClient(InMemoryTransport(self.broker), target: .topic("t"))
            let answer = try await client.call(self.greet, Greeting(name: "Ada"))
            #expect(answer == "hello Ada")
            await #expect(throws: RPCError.self) { try await client.call(self.greet, Greeting(name: "")) }
        }
        #expect(transport.sent.replies.map(\.result) == ["hello Ada", nil])
        #expect(transport.sent.replies.map { $0.failure?.className } == [nil, "Nameless"])
        #expect(executed.events.map(\.method) == ["greet", "greet"])
        #expect(executed.events.map(\.arguments) == [["name": "Ada"], ["name": ""]])
        #expect(executed.events.map(\.result) == ["hello Ada", nil])
        #expect(executed.events[1].failure?.className == "Nameless")
        #expect(executed.events[0].context.request?.isCall == true)
    }

    @Test func `a test waits for what is sent`() async throws {
        let transport = RecordingTransport(InMemoryTransport(self.broker))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let client = RPCClient(transport, target: .topic("t"))
                for number in 1...3 { try await client.fanout("report", ["number": .integer(number)]) }
            }
            #expect(try await transport.sent.request("report", number: 3).arguments == ["number": 3])
            try await group.waitForAll()
        }
        #expect(transport.sent.first { $0.method == "report" }?.request?.arguments == ["number": 1])
        #expect(transport.sent.first { $0.method == "other" } == nil)
        await #expect(throws: EventRecorder<SentMessage>.NotEnough.self) {
            try await transport.sent.wait(within: .milliseconds(20)) { $0.method == "other" }
        }
    }
}
