import FaultHarness
import Messaging
import MessagingRabbitMQ
import Synchronization
import Testing

/// Messages that their handlers fail at, and that kill whoever handles them.
@Suite(.serialized, .timeLimit(.minutes(4))) struct MessageFaultTests {
    struct Broken: Error {}
    struct Item: Codable, Sendable { var id: String }

    static let work = RPCMethod<Item, Void>(
        "work",
        since: "1.0",
        delivery: .atLeastOnce(attempts: 3, backoff: .constant(.milliseconds(500)))
    )

    @Test func `fault 27: what always fails is tried three times, put aside with its reason, and holds up nobody`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let checker = Checker()
                let attempts = Mutex<[ContinuousClock.Instant]>([])
                let endpoint = RPCEndpoint {
                    Self.work.handled { _, item in
                        checker.executed(item.id)
                        guard item.id == "poison" else { return checker.effect(item.id) }
                        attempts.withLock { $0.append(.now) }
                        throw Broken()
                    }
                }
                var configuration = RPCServer.Configuration()
                configuration.concurrency = 1
                configuration.prefetch = 2
                let ids = ["poison"] + (1...50).map { "\($0)" }
                try await withRPCServer(
                    on: transport,
                    target: stage.target,
                    endpoints: [endpoint],
                    configuration: configuration
                ) { _ in
                    let client = RPCClient(transport, target: stage.target)
                    for id in ids {
                        checker.offered(id, .atLeastOnce)
                        try await client.cast(Self.work, Item(id: id))
                        checker.confirmed(id)
                    }
                    let others = try await stage.until("the others are done") { checker.executions == ids.count }
                    // There is one slot, and it is not kept for the pauses between attempts.
                    let letters = DeadLetterQueue(transport, topic: stage.topic)
                    try await stage.until("it is put aside") { try await !letters.list().isEmpty }
                    let letter = try #require(try await letters.list().first)
                    #expect(letter.reason == .failed)
                    #expect(letter.attempts == 3)
                    #expect(letter.error?.contains("Broken") == true)
                    #expect(letter.arguments == ["id": "poison"])
                    FaultFigures.record(fault: 27, "fifty others done beside it", others)
                }
                let times = attempts.withLock { $0 }
                #expect(times.count == 3)
                for (earlier, later) in zip(times, times.dropFirst()) {
                    #expect(later - earlier >= .milliseconds(490))
                    FaultFigures.record(fault: 27, "next attempt", later - earlier)
                }
                #expect(checker.violations == [])
                #expect(try await stage.depth(stage.queue, transport) == 0)
            }
        }
    }

    /// Starts workers one after another, as a supervisor does, until the message that kills them is put aside; answers
    /// how many died.
    private func supervise(
        _ stage: Stage,
        _ arguments: [String],
        options: String,
        _ letters: DeadLetterQueue,
        _ body: (_ deaths: Int) async throws -> Void
    ) async throws {
        for deaths in 0...20 {
            let hasSurvived = try await stage.withWorker(arguments, options: options) { worker in
                if deaths == 0 { try await body(-1) }
                try await stage.until("it dies, or the message is put aside", within: .seconds(40)) {
                    if worker.end != nil { return true }
                    return try await !letters.list().isEmpty
                }
                guard worker.end == nil else { return false }
                try await body(deaths)
                #expect(worker.end == nil)
                return true
            }
            if hasSurvived { return }
        }
        Issue.record("it kills its workers for ever")
    }

    @Test(arguments: ["", "rabbit_quorum_queue=true"])
    func `fault 28: what kills its process is put aside after three starts, and nobody's work with it`(
        options: String
    ) async throws {
        try await Stage.with { stage in
            try await stage.withTransport(options) { transport in
                let checker = Checker()
                let client = RPCClient(transport, target: stage.target)
                let letters = DeadLetterQueue(transport, topic: stage.topic)
                let arguments = stage.arguments("executor_thread_pool_size=8", "rpc_prefetch=16")
                try await self.supervise(stage, arguments, options: options, letters) { deaths in
                    guard deaths >= 0 else {
                        // Seven are in the midst of their work when it dies, each time.
                        for number in [1000] + Array(1...30) {
                            checker.offered("\(number)", .atLeastOnce)
                            let method = number == 1000 ? "abort" : "act"
                            let pause: [String: JSONValue] = number == 1000 ? [:] : ["milliseconds": 300]
                            try await client.cast(method, ["number": .integer(number)].merging(pause) { $1 })
                            checker.confirmed("\(number)")
                        }
                        return
                    }
                    #expect(deaths == 3)
                    FaultFigures.record(fault: 28, "workers lost to it", count: deaths)
                    let done = try await stage.until("the others are done") {
                        try stage.counts(of: "effect").count == 30
                    }
                    FaultFigures.record(fault: 28, "the others done after it was put aside", done)
                }
                let found = try await letters.list()
                #expect(found.map(\.reason) == [.workerDied])
                #expect(found.map(\.method) == ["abort"])
                #expect(found.map(\.attempts) == [3])
                try stage.report(to: checker)
                #expect(checker.violations == [])
                #expect(try stage.counts(of: "started")[1000] == 3)
            }
        }
    }

    @Test func `fault 28: without a journal that lasts, what kills its process is put aside after its redeliveries`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let client = RPCClient(transport, target: stage.target)
                let letters = DeadLetterQueue(transport, topic: stage.topic)
                let arguments = ["bare", stage.topic, stage.host, stage.database, "6"]
                try await self.supervise(stage, arguments, options: "", letters) { deaths in
                    guard deaths >= 0 else {
                        try await client.cast("abort", ["number": 1000])
                        for number in 1...10 {
                            try await client.cast("act", ["number": .integer(number), "milliseconds": 200])
                        }
                        return
                    }
                    // The first start, and one for each redelivery that was counted.
                    #expect(deaths == 7)
                    FaultFigures.record(fault: 28, "workers lost to it, journal in memory", count: deaths)
                    try await stage.until("the others are done") { try stage.counts(of: "effect").count == 10 }
                }
                let found = try await letters.list()
                #expect(found.map(\.reason) == [.workerDied])
                #expect(found.map(\.method) == ["abort"])
            }
        }
    }
}
