import Logging
import MessagingTesting
import Synchronization
import Testing

@testable import Messaging

/// What becomes of requests that are acknowledged at their end; each branch, in memory.
@Suite(.timeLimit(.minutes(3))) struct AtLeastOnceTests {
    struct Broken: Error {}

    struct Refused: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure { RemoteFailure(className: "Refused", module: "tests", message: "no") }
    }

    struct Text: Codable, Sendable { var text: String }

    static let quick = DeliveryContract.atLeastOnce(attempts: 3, backoff: .constant(.milliseconds(250)))
    static let work = RPCMethod<Text, String>("work", since: "1.0", delivery: Self.quick)

    /// A topic with one server `a`; what the handler was given is recorded.
    final class Bench: Sendable {
        let broker = InMemoryBroker()
        let transport: InMemoryTransport
        let client: RPCClient
        let runs = EventRecorder<String>()

        init() {
            self.transport = InMemoryTransport(self.broker)
            self.client = RPCClient(self.transport, target: .topic("t"))
        }

        var deadLetters: DeadLetterQueue { DeadLetterQueue(self.transport, topic: "t") }

        func serve(
            host: String = "a",
            over transport: (any Transport)? = nil,
            configuration: RPCServer.Configuration = RPCServer.Configuration(),
            handler: @escaping @Sendable (RPCContext, Text) async throws -> String,
            _ body: @Sendable (RPCServer) async throws -> Void
        ) async throws {
            let note = RPCMethod<Text, Void>("note", since: "1.0")
            let endpoint = RPCEndpoint {
                AtLeastOnceTests.work.handled { [runs] context, arguments in
                    runs.record("\(arguments.text) \(context.request?.attempt ?? 0)")
                    return try await handler(context, arguments)
                }
                note.handled { [runs] _, arguments in runs.record(arguments.text) }
            }
            try await withRPCServer(
                on: transport ?? InMemoryTransport(self.broker),
                target: .topic("t", server: host),
                endpoints: [endpoint],
                configuration: configuration,
                body
            )
        }

        /// A message as a caller with this id would send it.
        func send(
            _ text: String,
            id: String?,
            headers: [String: String] = [:],
            replyTo: String? = nil,
            queue: String = "t"
        ) async throws {
            let payload = RequestPayload(
                method: "work",
                args: RawJSON(["text": .string(text)]),
                messageID: replyTo == nil ? nil : makeUniqueID(),
                replyQueue: replyTo,
                uniqueID: id
            )
            try await self.transport.send(
                Message(body: payload.encoded(), headers: headers),
                to: .queue(queue),
                options: SendOptions(isMandatory: true)
            )
        }

        /// Waits until there are so many dead letters.
        func given(up count: Int) async throws -> [DeadLetter] {
            for _ in 1...400 where self.broker.depth(of: "t_dead_letters") ?? 0 < count {
                try await Task.sleep(for: .milliseconds(25))
            }
            return try await self.deadLetters.list()
        }

        /// Waits until nothing is in the queues, handed out or not.
        func settled() async throws {
            for _ in 1...200 {
                if self.broker.depth(of: "t") ?? 0 == 0, self.broker.depth(of: "t.a") ?? 0 == 0 { return }
                try await Task.sleep(for: .milliseconds(25))
            }
        }
    }

    // MARK: Retries

    @Test func `FAULTS 27: a poison message is tried three times and put aside, and holds up nobody`() async throws {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 1
        configuration.prefetch = 1
        let areSent = EventRecorder<Void>()
        try await bench.serve(configuration: configuration) { _, arguments in
            guard arguments.text == "poison" else { return "" }
            try await areSent.first(1)
            throw Broken()
        } _: { _ in
            try await bench.client.cast(Self.work, .init(text: "poison"))
            for number in 1...5 { try await bench.client.cast(Self.work, .init(text: "\(number)")) }
            areSent.record(())
            let runs = try await bench.runs.first(8)
            #expect(runs.filter { $0.hasPrefix("poison") } == ["poison 1", "poison 2", "poison 3"])
            #expect(runs.filter { !$0.hasPrefix("poison") } == ["1 1", "2 1", "3 1", "4 1", "5 1"])
            // Those behind it have its delay to themselves: how many of them run in it depends on the machine.
            #expect(runs[1] == "1 1")
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.method == "work")
            #expect(letter.reason == .failed)
            #expect(letter.error?.contains("Broken") == true)
            #expect(letter.attempts == 3)
            #expect(letter.queue == "t")
            #expect(letter.host == "a")
            #expect(letter.arguments == ["text": "poison"])
            let first = try #require(letter.firstFailure.flatMap { UTCTime($0) })
            let last = try #require(letter.lastFailure.flatMap { UTCTime($0) })
            #expect(last.milliseconds - first.milliseconds >= 450)
        }
        #expect(bench.runs.events.count == 8)
        #expect(bench.broker.depth(of: "t") == 0)
    }

    @Test func `a cast that succeeds at its second attempt is done`() async throws {
        let bench = Bench()
        try await bench.serve { context, _ in
            if context.request?.attempt == 1 { throw Broken() }
            return ""
        } _: { _ in
            try await bench.client.cast(Self.work, .init(text: "x"))
            #expect(try await bench.runs.first(2) == ["x 1", "x 2"])
            try await bench.settled()
        }
        #expect(bench.broker.depth(of: "t_dead_letters") == nil)
    }

    @Test func `an expected error is the end of a cast`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            throw Refused()
        } _: { _ in
            try await bench.client.cast(Self.work, .init(text: "x"))
            try await bench.runs.first(1)
            try await Task.sleep(for: .milliseconds(600))
        }
        #expect(bench.runs.events == ["x 1"])
        #expect(bench.broker.depth(of: "t_dead_letters") == nil)
        #expect(bench.broker.depth(of: "t") == 0)
    }

    @Test func `any error is the end of a call`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            throw Broken()
        } _: { _ in
            let error = await #expect(throws: RPCError.self) {
                _ = try await bench.client.call(Self.work, .init(text: "x"))
            }
            #expect(error?.failure?.className == "AtLeastOnceTests.Broken")
            try await Task.sleep(for: .milliseconds(600))
        }
        #expect(bench.runs.events == ["x 1"])
        #expect(bench.broker.depth(of: "t_dead_letters") == nil)
    }

    @Test func `arguments that do not fit are not tried again`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            ""
        } _: { _ in
            try await bench.client.cast("work", ["other": 1])
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.reason == .invalidArguments)
            #expect(letter.attempts == 1)
            #expect(letter.error?.contains("text") == true)
        }
        #expect(bench.runs.events.isEmpty)
    }

    @Test func `a handler that takes too long is tried again`() async throws {
        let bench = Bench()
        let runs = EventRecorder<Int>()
        let endpoint = RPCEndpoint {
            RPCHandler("slow", delivery: Self.quick, timeLimit: .milliseconds(50)) { context, _ in
                runs.record(context.request?.attempt ?? 0)
                try await Task.sleep(for: .seconds(30))
                return .null
            }
        }
        try await withRPCServer(
            on: InMemoryTransport(bench.broker),
            target: .topic("t", server: "a"),
            endpoints: [endpoint]
        ) { _ in
            try await bench.client.cast("slow")
            #expect(try await runs.first(3) == [1, 2, 3])
            #expect(try await bench.given(up: 1).first?.error?.contains("TimeLimitExceeded") == true)
        }
    }

    @Test func `a fanout is tried again by the server that failed, and by no other`() async throws {
        let bench = Bench()
        let runs = EventRecorder<String>()
        @Sendable func endpoint(_ host: String) -> RPCEndpoint {
            RPCEndpoint {
                Self.work.handled { context, _ in
                    runs.record("\(host) \(context.request?.attempt ?? 0)")
                    if host == "b", context.request?.attempt == 1 { throw Broken() }
                    return ""
                }
            }
        }
        // One journal for both, as two services of one process may have it.
        var configuration = RPCServer.Configuration()
        configuration.journal = InMemoryRequestJournal()
        try await withRPCServer(
            on: InMemoryTransport(bench.broker),
            target: .topic("t", server: "a"),
            endpoints: [endpoint("a")],
            configuration: configuration
        ) { [configuration] _ in
            try await withRPCServer(
                on: InMemoryTransport(bench.broker),
                target: .topic("t", server: "b"),
                endpoints: [endpoint("b")],
                configuration: configuration
            ) { _ in
                try await bench.client.fanout(Self.work, .init(text: "x"))
                #expect(Set(try await runs.first(3)) == ["a 1", "b 1", "b 2"])
                try await Task.sleep(for: .milliseconds(400))
            }
        }
        #expect(runs.events.count == 3)
    }

    @Test func `a request without an id is counted by its copies`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            throw Broken()
        } _: { _ in
            try await bench.send("x", id: nil)
            #expect(try await bench.runs.first(3) == ["x 1", "x 2", "x 3"])
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.id.hasPrefix("body-"))
        }
    }

    // MARK: Repetitions

    @Test func `FAULTS 28: a message that kills its worker is put aside after so many starts`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        // Three workers were told that they may start, and none came to an end.
        for attempt in 1...3 {
            #expect(await journal.begin(.init(key: "work id", method: "work")) == .run(attempt: attempt))
        }
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            try await bench.send("x", id: "id")
            let letter = try #require(try await bench.given(up: 1).first)
            #expect(letter.reason == .workerDied)
            #expect(letter.attempts == 3)
            #expect(letter.id == "id")
        }
        #expect(bench.runs.events.isEmpty)
    }

    @Test func `FAULTS 28: a call that kills its worker is answered as well as put aside`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        for _ in 1...3 { _ = await journal.begin(.init(key: "work id", method: "work")) }
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            let replies = try await bench.replies()
            try await bench.send("x", id: "id", replyTo: "r.r")
            #expect(try await replies.first(1)[0].failure?.className == "RequestGivenUp")
            #expect(try await bench.given(up: 1).map(\.isCall) == [true])
        }
        #expect(bench.runs.events.isEmpty)
    }

    @Test func `FAULTS 32: a repetition after the end is not run, and a repeated call gets the same answer`()
        async throws
    {
        let bench = Bench()
        try await bench.serve { _, arguments in
            "done " + arguments.text
        } _: { _ in
            let replies = try await bench.replies()
            for count in 1...3 {
                try await bench.send("x", id: "id", replyTo: "r.r")
                #expect(try await replies.first(count).last?.result?.stringValue == "done x")
            }
            try await bench.send("y", id: "other")
            try await bench.send("y", id: "other")
            try await bench.client.cast("note", ["text": "last"])
            try await bench.runs.first(3)
        }
        #expect(bench.runs.events.sorted() == ["last", "x 1", "y 1"])
    }

    @Test func `a repeated call whose reply had to make room is told so, and is not run`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        _ = await journal.begin(.init(key: "work id", method: "work"))
        await journal.complete("work id", reply: [])
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            let replies = try await bench.replies()
            try await bench.send("x", id: "id", replyTo: "r.r")
            #expect(try await replies.first(1)[0].failure?.className == "ReplyNotKept")
        }
        #expect(bench.runs.events.isEmpty)
    }

    @Test func `FAULTS 32: a failed call that is repeated gets the same failure`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            throw Refused()
        } _: { _ in
            let replies = try await bench.replies()
            for count in 1...2 {
                try await bench.send("x", id: "id", replyTo: "r.r")
                #expect(try await replies.first(count).last?.failure?.className == "Refused")
            }
        }
        #expect(bench.runs.events == ["x 1"])
    }

    @Test func `FAULTS 32: the original does not run beside its copy`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        _ = await journal.begin(.init(key: "work id", method: "work"))
        _ = await journal.leave("work id", for: .retry(attempts: 1))
        await journal.left("work id")
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            try await bench.send("original", id: "id")
            try await bench.send("copy", id: "id", headers: ["steward-attempts": "1"])
            try await bench.client.cast("note", ["text": "last"])
            try await bench.runs.first(2)
            try await bench.settled()
        }
        #expect(Set(bench.runs.events) == ["copy 2", "last"])
    }

    @Test func `FAULTS 40: a copy that was announced and perhaps not sent is sent again`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        _ = await journal.begin(.init(key: "work retry", method: "work"))
        _ = await journal.leave("work retry", for: .retry(attempts: 1))
        _ = await journal.begin(.init(key: "work park", method: "work"))
        _ = await journal.leave("work park", for: .deadLetters(attempts: 1, reason: .invalidArguments))
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            try await bench.send("retry", id: "retry")
            try await bench.send("park", id: "park")
            #expect(try await bench.runs.first(1) == ["retry 2"])
            #expect(try await bench.given(up: 1).map(\.reason) == [.invalidArguments])
        }
        #expect(bench.runs.events == ["retry 2"])
    }

    @Test func `an attempt that the server's end cuts short does not count`() async throws {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        configuration.journal = InMemoryRequestJournal()
        configuration.gracePeriod = .milliseconds(20)
        for _ in 1...5 {
            try await bench.serve(configuration: configuration) { _, _ in
                try await Task.sleep(for: .seconds(60))
                return ""
            } _: { _ in
                let count = bench.runs.events.count
                if count == 0 { try await bench.client.cast(Self.work, .init(text: "x")) }
                try await bench.runs.first(count + 1)
            }
        }
        #expect(bench.runs.events == Array(repeating: "x 1", count: 5))
        #expect(bench.broker.depth(of: "t") == 1)
    }

    @Test func `a handler that has noted its end itself is not run again when it fails afterwards`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await bench.serve(configuration: configuration) { context, _ in
            await journal.complete(try #require(context.request?.journalKey), reply: nil)
            throw Broken()
        } _: { _ in
            try await bench.client.cast(Self.work, .init(text: "x"))
            try await bench.runs.first(1)
            try await Task.sleep(for: .milliseconds(600))
        }
        #expect(bench.runs.events == ["x 1"])
        #expect(bench.broker.depth(of: "t") == 0)
    }

    @Test(arguments: ["-1", "99999999999999999999", "x", "", "1000000"])
    func `attempts that a peer has made up do no harm`(_ attempts: String) async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            ""
        } _: { _ in
            try await bench.send("x", id: "id", headers: ["steward-attempts": attempts, "steward-first-time": "never"])
            if attempts == "1000000" {
                #expect(try await bench.given(up: 1).map(\.id) == ["id"])
            } else {
                #expect(try await bench.runs.first(1) == ["x 1"])
            }
        }
    }
}

extension AtLeastOnceTests.Bench {
    /// What arrives in the queue `r.r`.
    func replies() async throws -> EventRecorder<ReplyPayload> {
        let replies = EventRecorder<ReplyPayload>()
        _ = try await self.transport.listen(on: .server(.topic("r", server: "r")), prefetch: 100) { deliveries in
            for delivery in deliveries {
                do {
                    replies.record(try ReplyPayload(delivery))
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        return replies
    }
}
