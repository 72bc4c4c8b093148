import MessagingTesting
import Testing

@testable import Messaging

@Suite(.timeLimit(.minutes(3))) struct DeadLetterQueueTests {
    typealias Bench = AtLeastOnceTests.Bench

    /// Puts letters into the queue as servers do.
    private func fill(_ bench: Bench, _ ids: [String], method: String = "work", at time: UTCTime = .now) async throws {
        for id in ids {
            let payload = RequestPayload(
                method: method,
                args: RawJSON(["text": .string(id)]),
                uniqueID: id,
                context: ["user": "u", "auth_token": "s3cret"]
            )
            try await bench.transport.send(
                Message(
                    body: payload.encoded(),
                    headers: [
                        "steward-attempts": "3", "steward-replays": "1", "steward-reason": "failed",
                        "steward-method": method, "steward-queue": "t", "steward-host": "a",
                        "steward-unique-id": id, "steward-last-time": time.description,
                    ]
                ),
                to: .deadLetters(topic: "t"),
                options: SendOptions(isMandatory: true)
            )
        }
    }

    @Test func `a list leaves the letters in place and in order`() async throws {
        let bench = Bench()
        let ids = (1...50).map { "\($0)" }
        try await self.fill(bench, ids)
        for _ in 1...3 { #expect(try await bench.deadLetters.list().map(\.id) == ids) }
        #expect(bench.broker.depth(of: "t_dead_letters") == 50)
        #expect(try await DeadLetterQueue(bench.transport, topic: "t", maximum: 7).list().map(\.id) == Array(ids[..<7]))
        #expect(try await bench.deadLetters.letter("12")?.arguments == ["text": "12"])
        #expect(try await bench.deadLetters.letter("51") == nil)
    }

    @Test func `a topic without dead letters has none, and no queue is made for looking`() async throws {
        let bench = Bench()
        #expect(try await bench.deadLetters.list().isEmpty)
        #expect(try await bench.deadLetters.replay(.all).isEmpty)
        #expect(bench.broker.queueNames.isEmpty)
    }

    @Test func `filters choose by id, method and age`() async throws {
        let bench = Bench()
        try await self.fill(bench, ["old"], at: UTCTime(milliseconds: UTCTime.now.milliseconds - 7_200_000))
        try await self.fill(bench, ["new"])
        try await self.fill(bench, ["other"], method: "other")
        let letters = bench.deadLetters
        #expect(try await letters.list(DeadLetterFilter(ids: ["new", "x"])).map(\.id) == ["new"])
        #expect(try await letters.list(DeadLetterFilter(method: "other")).map(\.id) == ["other"])
        #expect(try await letters.list(DeadLetterFilter(minimumAge: .seconds(3600))).map(\.id) == ["old"])
        #expect(try await letters.list(DeadLetterFilter(method: "other", minimumAge: .seconds(3600))).isEmpty)
    }

    @Test func `a dry run changes nothing`() async throws {
        let bench = Bench()
        try await self.fill(bench, ["1", "2"])
        #expect(try await bench.deadLetters.drop(.all, isDryRun: true).map(\.letter.id) == ["1", "2"])
        #expect(try await bench.deadLetters.replay(.all, isDryRun: true).map(\.letter.id) == ["1", "2"])
        #expect(bench.broker.depth(of: "t_dead_letters") == 2)
    }

    @Test func `what is dropped is gone, and the others stay in order`() async throws {
        let bench = Bench()
        try await self.fill(bench, ["1", "2", "3", "4"])
        let outcomes = try await bench.deadLetters.drop(DeadLetterFilter(ids: ["2", "4"]))
        #expect(outcomes.map(\.letter.id) == ["2", "4"])
        #expect(outcomes.allSatisfy { $0.error == nil })
        #expect(try await bench.deadLetters.list().map(\.id) == ["1", "3"])
    }

    @Test func `what is replayed runs as a new request would, and its attempts are counted anew`() async throws {
        let bench = Bench()
        var configuration = RPCServer.Configuration()
        configuration.journal = InMemoryRequestJournal()
        try await bench.serve(configuration: configuration) { context, _ in
            throw AtLeastOnceTests.Broken()
        } _: { _ in
            try await bench.client.cast(AtLeastOnceTests.work, .init(text: "x"))
            let first = try #require(try await bench.given(up: 1).first)
            #expect(first.replays == 0)
            #expect(try await bench.deadLetters.replay(DeadLetterFilter(ids: [first.id])).map(\.error?.code) == [nil])
            #expect(try await bench.runs.first(6) == ["x 1", "x 2", "x 3", "x 1", "x 2", "x 3"])
            let second = try #require(try await bench.given(up: 1).first)
            #expect(second.id == first.id)
            #expect(second.replays == 1)
            #expect(second.attempts == 3)
        }
    }

    @Test func `a request that was completed meanwhile is not run by its replay`() async throws {
        let bench = Bench()
        let journal = InMemoryRequestJournal()
        _ = await journal.begin(.init(key: "work 1", method: "work"))
        await journal.complete("work 1", reply: nil)
        var configuration = RPCServer.Configuration()
        configuration.journal = journal
        try await self.fill(bench, ["1"])
        try await bench.serve(configuration: configuration) { _, _ in
            ""
        } _: { _ in
            try await bench.deadLetters.replay(.all)
            try await bench.client.cast("note", ["text": "last"])
            try await bench.runs.first(1)
            try await bench.settled()
        }
        #expect(bench.runs.events == ["last"])
        #expect(bench.broker.depth(of: "t_dead_letters") == 0)
    }

    @Test func `a letter whose queue is gone stays, and says so`() async throws {
        let bench = Bench()
        try await self.fill(bench, ["1"])
        let outcome = try #require(try await bench.deadLetters.replay(.all).first)
        #expect(outcome.error?.code == .noSuchServer)
        #expect(outcome.error?.message.contains("'t'") == true)
        #expect(bench.broker.depth(of: "t_dead_letters") == 1)
    }

    @Test func `a fanout's letter goes to its host when the fanout's queue is gone`() async throws {
        let bench = Bench()
        try await bench.serve { _, _ in
            throw AtLeastOnceTests.Broken()
        } _: { _ in
            try await bench.client.fanout(AtLeastOnceTests.work, .init(text: "x"))
            #expect(try await bench.given(up: 1).first?.queue?.hasPrefix("t_fanout_") == true)
        }
        try await bench.serve { _, _ in
            ""
        } _: { _ in
            let outcomes = try await bench.deadLetters.replay(.all)
            #expect(outcomes.map(\.error?.code) == [nil])
            let runs = try await bench.runs.first(4)
            #expect(runs.last == "x 1")
        }
    }

    @Test func `letters that nobody can read are listed, dropped, and not replayed`() async throws {
        let bench = Bench()
        let bodies: [[UInt8]] = [[], [0xFF, 0xFE], Array("{".utf8), Array(#"{"method": "m", "args": {}}"#.utf8)]
        for body in bodies {
            for headers in [[:], ["steward-attempts": "x", "steward-replays": "-7", "steward-last-time": "soon"]] {
                try await bench.transport.send(
                    Message(body: body, headers: headers),
                    to: .deadLetters(topic: "t"),
                    options: SendOptions()
                )
            }
        }
        let letters = try await bench.deadLetters.list()
        #expect(letters.count == 8)
        #expect(Set(letters.map(\.id)).count == 4)
        #expect(letters.last?.method == "m")
        #expect(letters.allSatisfy { $0.replays == 0 && $0.attempts == nil })
        let outcomes = try await bench.deadLetters.replay(.all)
        #expect(outcomes.allSatisfy { $0.error?.code == .invalidTarget })
        #expect(try await bench.deadLetters.drop(.all).count == 8)
        #expect(bench.broker.depth(of: "t_dead_letters") == 0)
    }

    @Test func `a token is never shown`() async throws {
        let bench = Bench()
        try await self.fill(bench, ["1"])
        let letter = try #require(try await bench.deadLetters.letter("1"))
        #expect(letter.context == ["user": "u"])
        #expect(!"\(letter)".contains("s3cret"))
    }

    @Test func `two who look at the same time lose nothing`() async throws {
        let bench = Bench()
        let ids = (1...20).map { "\($0)" }
        try await self.fill(bench, ids)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1...4 {
                group.addTask { _ = try await DeadLetterQueue(bench.transport, topic: "t").list() }
            }
            try await group.waitForAll()
        }
        #expect(Set(try await bench.deadLetters.list().map(\.id)) == Set(ids))
    }
}
