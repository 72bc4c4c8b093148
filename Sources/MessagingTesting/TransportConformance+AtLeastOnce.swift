internal import Messaging
internal import Testing

extension TransportConformance {
    static let atLeastOnce = [
        Check("a failed cast is tried again after its delay, and holds up nobody meanwhile") { bench in
            let runs = EventRecorder<(name: String, attempt: Int, at: ContinuousClock.Instant)>()
            let transport = try await bench.transport()
            let endpoint = bench.endpoint { context, name in
                let attempt = context.request?.attempt ?? 0
                runs.record((name, attempt, transport.clock.now))
                guard name == "bad" else { return }
                // Not before the others are there, which have only the time of the delay then.
                if attempt == 1 { try await bench.gate.first(1) }
                if attempt < 3 { throw Broken() }
            }
            try await bench.serveOne(endpoint, over: transport) { client in
                try await client.cast(AtLeastOnce.work, .init(value: "bad"))
                for number in 1...3 { try await client.cast(AtLeastOnce.work, .init(value: "\(number)")) }
                bench.gate.record(())
                let events = try await runs.first(6)
                #expect(events.map(\.name) == ["bad", "1", "2", "3", "bad", "bad"])
                let attempts = events.filter { $0.name == "bad" }
                #expect(attempts.map(\.attempt) == [1, 2, 3])
                #expect(attempts[0].at.duration(to: attempts[1].at) >= .milliseconds(1_450))
                #expect(attempts[1].at.duration(to: attempts[2].at) >= .milliseconds(1_450))
            }
            #expect(runs.events.count == 6)
            #expect(try await bench.deadLetters(over: transport).list().isEmpty)
        },
        Check("what fails at each attempt is put among the dead letters, which are listed in place and in order") {
            bench in
            let transport = try await bench.transport()
            let endpoint = bench.endpoint { _, _ in throw Broken() }
            try await bench.serveOne(endpoint, over: transport) { client in
                for number in 1...5 { try await client.cast(AtLeastOnce.once, .init(value: "\(number)")) }
                let letters = try await bench.letters(5, over: transport)
                #expect(letters.map(\.arguments) == (1...5).map { ["value": .string("\($0)")] })
                #expect(letters.allSatisfy { $0.reason == .failed && $0.attempts == 1 && $0.host == "a" })
                #expect(letters.allSatisfy { $0.queue == bench.topic && $0.method == "once" })
                #expect(letters.allSatisfy { $0.error?.contains("Broken") == true })
                let again = try await bench.deadLetters(over: try await bench.transport()).list()
                #expect(again.map(\.id) == letters.map(\.id))
            }
        },
        Check("dead letters are sent back with their attempts counted anew, and dropped") { bench in
            let runs = EventRecorder<String>()
            let transport = try await bench.transport()
            let endpoint = bench.endpoint { context, name in
                runs.record("\(name) \(context.request?.attempt ?? 0)")
                if runs.events.count <= 3 { throw Broken() }
            }
            try await bench.serveOne(endpoint, over: transport) { client in
                for number in 1...3 { try await client.cast(AtLeastOnce.once, .init(value: "\(number)")) }
                let letters = try await bench.letters(3, over: transport)
                let queue = bench.deadLetters(over: try await bench.transport())
                let second = DeadLetterFilter(ids: [letters[1].id])
                #expect(try await queue.replay(second, isDryRun: true).map(\.letter.id) == [letters[1].id])
                #expect(try await queue.list().count == 3)
                #expect(try await queue.replay(second).map(\.error?.code) == [nil])
                #expect(try await runs.first(4).last == "2 1")
                #expect(try await queue.drop(DeadLetterFilter(ids: [letters[0].id])).count == 1)
                #expect(try await queue.list().map(\.id) == [letters[2].id])
                #expect(try await queue.drop(.all).count == 1)
                #expect(try await queue.list().isEmpty)
            }
        },
        Check("a request that waits for its next attempt outlives its server") { bench in
            let runs = EventRecorder<String>()
            let failing = bench.endpoint { _, name in
                runs.record(name)
                throw Broken()
            }
            try await bench.serveOne(failing, over: try await bench.transport()) { client in
                try await client.on(host: "a").cast(AtLeastOnce.work, .init(value: "x"))
                try await runs.first(1)
            }
            let endpoint = bench.endpoint { context, name in runs.record("\(name) \(context.request?.attempt ?? 0)") }
            try await bench.serveOne(endpoint, over: try await bench.transport()) { _ in
                let seen = try await runs.first(2)
                #expect(seen == ["x", "x 2"])
            }
        },
        Check("a request that comes again after its end is not run, whatever connection was lost") { bench in
            let runs = EventRecorder<String>()
            let transport = try await bench.transport()
            let sender = try await bench.transport()
            let endpoint = bench.endpoint { _, name in runs.record(name) }
            try await bench.serveOne(endpoint, over: transport) { client in
                func body(_ name: String) -> String {
                    #"{"method": "work", "args": {"value": "\#(name)"}, "_unique_id": "\#(bench.topic)-\#(name)"}"#
                }
                let topic = Destination.topic(bench.topic, exchange: nil)
                try await bench.send(body("x"), to: topic, over: sender)
                try await runs.first(1)
                try await bench.harness.interrupt(transport)
                try await bench.eventually { try await client.cast(AtLeastOnce.work, .init(value: "between")) }
                try await runs.first(2)
                try await bench.send(body("x"), to: topic, over: sender)
                try await bench.send(body("last"), to: topic, over: sender)
                try await bench.eventually {
                    if !runs.events.contains("last") { throw RPCError(.timeout, "\(runs.events)") }
                }
            }
            #expect(runs.events.filter { $0 == "x" }.count == 1)
        },
        Check("dead letters find their queue again after it was deleted, and so does what waits") { bench in
            let transport = try await bench.transport()
            let (_, received) = try await bench.listener("a", on: transport)
            for round in 1...2 {
                try await bench.send("letter", to: .deadLetters(topic: bench.topic), over: transport)
                let status = try await transport.status(of: .deadLetters(topic: bench.topic), deadline: nil)
                #expect(status?.messages == 1)
                try await bench.harness.deleteQueue("\(bench.topic)_dead_letters")
                try await transport.send(
                    Message(body: Array("\(round)".utf8)),
                    to: .queue("\(bench.topic).a"),
                    options: SendOptions(isMandatory: true, deadline: .now + .seconds(20), delay: .milliseconds(250))
                )
                let seen = try await received.first(round)
                #expect(seen.last?.text == "\(round)")
            }
        },
        Check("a copy that is refused is put among the dead letters") { bench in
            let transport = try await bench.transport()
            let endpoint = bench.endpoint { _, _ in }
            try await bench.serveOne(endpoint, over: transport) { _ in
                try await bench.transport().send(
                    Message(body: Array(#"{"method": "gone", "args": {}}"#.utf8), headers: ["steward-replays": "1"]),
                    to: .queue(bench.topic),
                    options: SendOptions(isMandatory: true, deadline: .now + .seconds(20))
                )
                let letters = try await bench.letters(1, over: transport)
                #expect(letters.map(\.reason) == [.refused])
            }
        },
        Check("a copy is known by who sent its original") { bench in
            let users = EventRecorder<String?>()
            let transport = try await bench.transport()
            let endpoint = bench.endpoint { context, _ in
                users.record(context.request?.userID)
                if context.request?.attempt == 1 { throw Broken() }
            }
            try await bench.serveOne(endpoint, over: transport) { client in
                try await client.cast(AtLeastOnce.work, .init(value: "x"))
                let seen = try await users.first(2)
                #expect(seen[0] == seen[1])
                #expect(seen[0] != nil)
            }
        },
    ]

    /// The methods that the checks of this file call.
    enum AtLeastOnce {
        static let work = RPCMethod<Echo.Value, Void>(
            "work",
            since: "1.0",
            delivery: .atLeastOnce(attempts: 4, backoff: .constant(.milliseconds(1_500)))
        )
        static let once = RPCMethod<Echo.Value, Void>("once", since: "1.0", delivery: .atLeastOnce(attempts: 1))
    }

    struct Broken: Error {}
}

extension TransportConformance.Bench {
    func endpoint(_ body: @escaping @Sendable (RPCContext, String) async throws -> Void) -> RPCEndpoint {
        RPCEndpoint {
            TransportConformance.AtLeastOnce.work.handled { context, arguments in
                try await body(context, arguments.value)
            }
            TransportConformance.AtLeastOnce.once.handled { context, arguments in
                try await body(context, arguments.value)
            }
        }
    }

    /// Serves as host `a`, one request at a time.
    func serveOne(
        _ endpoint: RPCEndpoint,
        over transport: any Transport,
        _ body: @Sendable (RPCClient) async throws -> Void
    ) async throws {
        let client = RPCClient(try await self.transport(), target: .topic(self.topic))
            .prepare { $0.timeout = .seconds(20) }
        var configuration = RPCServer.Configuration()
        configuration.concurrency = 1
        configuration.prefetch = 1
        try await withRPCServer(
            on: transport,
            target: .topic(self.topic, server: "a"),
            endpoints: [endpoint],
            configuration: configuration
        ) { _ in try await body(client) }
    }

    func deadLetters(over transport: any Transport) -> DeadLetterQueue {
        DeadLetterQueue(transport, topic: self.topic)
    }

    /// Waits until there are so many dead letters, and lists them.
    func letters(_ count: Int, over transport: any Transport) async throws -> [DeadLetter] {
        try await self.eventually {
            let status = try await transport.status(of: .deadLetters(topic: self.topic), deadline: nil)
            if status?.messages ?? 0 < count { throw RPCError(.timeout, "there are \(status as Any)") }
        }
        return try await self.deadLetters(over: transport).list()
    }
}
