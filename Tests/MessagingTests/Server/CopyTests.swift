import MessagingTesting
import Testing

@testable import Messaging

/// What copies of requests carry, who is believed to have sent them, and what becomes of those that are refused.
@Suite(.timeLimit(.minutes(3))) struct CopyTests {
    typealias Bench = AtLeastOnceTests.Bench
    struct Down: Error {}

    /// One character, and many bytes.
    static let long = "a" + String(repeating: "\u{301}", count: 100_000)

    @Test func `headers made of what a peer has sent are cut by bytes`() async throws {
        struct Wordy: Error, CustomStringConvertible {
            var description: String { CopyTests.long }
        }
        let bench = Bench()
        try await bench.serve { _, _ in
            throw Wordy()
        } _: { _ in
            try await bench.send("x", id: "id")
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.attempts == 3)
            let error = try #require(letter.error)
            #expect((900...1000).contains(error.utf8.count))
        }
    }

    @Test func `a text is cut between its scalars`() {
        #expect("abc".prefix(bytes: 3) == "abc")
        #expect("aé".prefix(bytes: 2) == "a")
        #expect("a\u{301}".prefix(bytes: 1) == "a")
        #expect("😀".prefix(bytes: 3) == "")
    }

    @Test func `a name that is no user of a broker is not handed on`() {
        #expect(RequestTrail(["steward-user": "nova"]).user == "nova")
        #expect(RequestTrail(["steward-user": String(repeating: "n", count: 256)]).user == nil)
    }

    @Test func `a request whose copy does not fit comes again after pauses that grow`() async throws {
        let bench = Bench()
        let transport = AtLeastOnceFaultTests.Refusing(InMemoryTransport(bench.broker), code: .tooLarge)
        let times = EventRecorder<ContinuousClock.Instant>()
        try await bench.serve(over: transport) { _, _ in
            times.record(.now)
            throw Down()
        } _: { _ in
            try await bench.send("x", id: nil)
            let seen = try await times.first(3)
            #expect(seen.count == 3)
            #expect(seen[0].duration(to: seen[1]) > .milliseconds(700))
            #expect(seen[1].duration(to: seen[2]) > .milliseconds(1400))
            // One try each: another one would have the same end.
            #expect(transport.refused.events.count <= 3)
        }
        #expect(bench.broker.depth(of: "t") == 1)
    }

    @Test(arguments: [["steward-attempts": "1"], ["steward-replays": "1"], ["steward-deferrals": "1"]])
    func `a copy that is refused is put among the dead letters`(_ headers: [String: String]) async throws {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        configuration.limits.bodySize = 1000
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            let bodies = [
                #"{"method": "gone", "args": {}, "_unique_id": "method"}"#,
                #"{"method": "work", "args": {"text": ""}, "version": "9.0", "_unique_id": "version"}"#,
                #"{"method": "work", "args": {"text": "\#(String(repeating: "x", count: 1000))"}, "_unique_id": "limit"}"#,
            ]
            for body in bodies {
                for headers in [headers, [:]] {
                    try await bench.transport.send(
                        Message(body: Array(body.utf8), headers: headers),
                        to: .queue("t"),
                        options: SendOptions(isMandatory: true)
                    )
                }
            }
            let letters = try await bench.given(up: 3)
            #expect(Set(letters.map(\.id)) == ["method", "version", "limit"])
            #expect(letters.allSatisfy { $0.reason == .refused && $0.queue == "t" && $0.error?.isEmpty == false })
            try await bench.settled()
        }
        // What is no copy has a sender who can be told, or who did not ask.
        #expect(bench.broker.depth(of: "t_dead_letters") == 3)
        #expect(bench.runs.events.isEmpty)
    }

    @Test func `another request under the same id is run, and not answered with the first one's reply`() async throws {
        let bench = Bench()
        let endpoint = RPCEndpoint {
            RPCHandler("create", delivery: .atLeastOnce) { _, _ in "created" }
            RPCHandler("delete", delivery: .atLeastOnce) { _, _ in "deleted" }
        }
        let replies = try await bench.replies()
        try await withRPCServer(
            on: InMemoryTransport(bench.broker),
            target: .topic("t", server: "a"),
            endpoints: [endpoint]
        ) { _ in
            let requests: [(method: String, namespace: String?)] = [
                ("create", nil), ("delete", nil), ("create", nil),
            ]
            for (count, request) in requests.enumerated() {
                let payload = RequestPayload(
                    method: request.method,
                    args: RawJSON([:]),
                    namespace: request.namespace,
                    messageID: makeUniqueID(),
                    replyQueue: "r.r",
                    uniqueID: "same"
                )
                try await bench.transport.send(
                    Message(body: payload.encoded()),
                    to: .queue("t"),
                    options: SendOptions(isMandatory: true)
                )
                try await replies.first(count + 1)
            }
        }
        let texts = replies.events.map { $0.result?.stringValue }
        #expect(texts == ["created", "deleted", "created"])
    }

    // MARK: Senders

    @Test func `a copy has a sender only where it comes from the server's own log-in`() async throws {
        let bench = Bench()
        let users = EventRecorder<String?>()
        try await bench.serve { context, _ in
            users.record(context.request?.userID)
            return ""
        } _: { _ in
            let copy = ["steward-replays": "1", "steward-user": "root"]
            for (user, headers) in [
                ("guest", copy), ("operator", copy), ("guest", ["steward-replays": "1"]), ("eve", [:]),
            ] {
                let payload = RequestPayload(method: "work", args: RawJSON(["text": ""]))
                let before = users.events.count
                try await InMemoryTransport(bench.broker, user: user).send(
                    Message(body: payload.encoded(), headers: headers),
                    to: .queue("t"),
                    options: SendOptions(isMandatory: true)
                )
                try await users.first(before + 1)
            }
        }
        #expect(users.events == ["root", nil, nil, "eve"])
    }

    @Test func `a stranger's letter does not gain the rights of the operator who replays it`() async throws {
        let bench = Bench()
        let users = EventRecorder<String?>()
        let payload = RequestPayload(method: "work", args: RawJSON(["text": ""]))
        try await InMemoryTransport(bench.broker, user: "eve").send(
            Message(
                body: payload.encoded(),
                headers: ["steward-attempts": "3", "steward-user": "root", "steward-queue": "t"]
            ),
            to: .deadLetters(topic: "t"),
            options: SendOptions()
        )
        try await bench.serve { context, _ in
            users.record(context.request?.userID)
            return ""
        } _: { _ in
            let outcomes = try await bench.deadLetters.replay(.all)
            #expect(outcomes.count == 1 && outcomes.allSatisfy { $0.error == nil })
            let seen = try await users.first(1)
            #expect(seen == [nil])
        }
    }

    @Test(arguments: ["other", "t2", "t_dead_letters", "t_fanouts", "reply_1", "", Self.long])
    func `a letter is sent back to a queue of its topic only`(_ queue: String) async throws {
        let bench = Bench()
        let payload = RequestPayload(method: "work", args: RawJSON(["text": ""]))
        try await bench.transport.send(
            Message(body: payload.encoded(), headers: ["steward-queue": queue]),
            to: .deadLetters(topic: "t"),
            options: SendOptions()
        )
        for isDryRun in [true, false] {
            let outcome = try #require(try await bench.deadLetters.replay(.all, isDryRun: isDryRun).first)
            #expect(outcome.error?.code == .invalidTarget)
        }
        #expect(bench.broker.depth(of: "t_dead_letters") == 1)
    }
}
