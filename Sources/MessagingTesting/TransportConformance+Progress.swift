internal import Messaging
internal import Testing

extension TransportConformance {
    /// Calls that end without a reply end quickly, say how far they got, and leave nothing running.
    static let progress: [Check] = [
        Check("a timeout says that nobody consumes the queue") { bench in
            let transport = try await bench.transport()
            let (listener, _) = try await bench.listener("a", on: transport)
            await listener.close()
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic, server: "a"))
            let error = await #expect(throws: RPCError.self) {
                try await client.call(Echo.nothing, timeout: .seconds(3))
            }
            #expect(error?.code == .timeout)
            #expect(error?.progress == CallProgress(isRouted: true, consumers: 0, waitingRequests: 1))
            #expect(error?.message.contains("nobody consumes") == true)
        },
        Check("a timeout says how many wait where all servers are busy") { bench in
            let transport = try await bench.transport()
            let (_, received) = try await bench.listener("a", on: transport, prefetch: 1)
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic, server: "a"))
            try await client.cast(Echo.nothing)
            try await received.first(1)
            let error = await #expect(throws: RPCError.self) {
                try await client.call(Echo.nothing, timeout: .seconds(3))
            }
            #expect(error?.progress == CallProgress(isRouted: true, consumers: 1, waitingRequests: 1))
        },
        Check("a timeout names the host that took the request and when it was heard of, and ends its handler") {
            bench in
            let ended = EventRecorder<String>()
            try await bench.withSleeper(ended: ended) { client in
                let start = ContinuousClock.now
                let error = await #expect(throws: RPCError.self) {
                    try await client.call(Sleeper.sleep, timeout: .seconds(3))
                }
                let taken = ContinuousClock.now - start
                #expect(error?.code == .timeout)
                #expect(error?.progress?.host == "sleeper")
                #expect(error?.progress?.silence.map { (.zero)...taken ~= $0 } == true)
                #expect(error?.message.contains("host 'sleeper' took the request") == true)
                let ends = try await ended.first(1)
                #expect(ends == ["sleep: cancelled"])
            }
        },
        Check("a handler that is to end at least once is not cancelled with its caller's patience") { bench in
            let ended = EventRecorder<String>()
            // A request that is taken at all is taken within the timeout, and ends after it.
            try await bench.withSleeper(ended: ended, for: .seconds(2.5)) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.call(Sleeper.sleepOn, timeout: .seconds(2))
                }
                #expect(error?.code == .timeout)
                let ends = try await ended.first(1)
                #expect(ends == ["sleep_on: done"])
            }
        },
        Check("a request to nobody was not routed, and its error says so") { bench in
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            let error = await #expect(throws: RPCError.self) { try await client.call(Echo.nothing) }
            #expect(error?.code == .noSuchServer)
            #expect(error?.progress?.isRouted == false)
        },
        Check("a call made by a handler ends with the request that the handler serves") { bench in
            let transport = try await bench.transport()
            let slow = RPCClient(transport, target: .topic(bench.topic + "-slow"))
            let inner = EventRecorder<Duration>()
            let outer = RPCMethod<Void, Void>("outer", since: "1.0", delivery: .atLeastOnce)
            let endpoint = RPCEndpoint {
                outer.handled { _ in
                    let start = ContinuousClock.now
                    do {
                        try await slow.call(Sleeper.sleepOn, timeout: .seconds(60))
                    } catch {
                        inner.record(ContinuousClock.now - start)
                        throw error
                    }
                }
            }
            let (listener, _) = try await bench.listener(on: transport, topic: bench.topic + "-slow")
            try await withRPCServer(
                on: transport,
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint]
            ) { _ in
                let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
                await #expect(throws: RPCError.self) { try await client.call(outer, timeout: .seconds(3)) }
                #expect(try await inner.first(1)[0] < .seconds(10))
            }
            await listener.close()
        },
        Check("casts return a receipt that says whether the request was routed") { bench in
            let ran = EventRecorder<String?>()
            let note = RPCMethod<Void, Void>("note", since: "1.0")
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            #expect(try await client.fanout(note).isRouted == false)
            #expect(try await client.prepare { $0.requiresRoute = false }.cast(note).isRouted == false)
            let endpoint = RPCEndpoint { note.handled { context in ran.record(context.request?.uniqueID) } }
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint]
            ) { _ in
                let receipts = [
                    try await client.cast(note), try await client.on(host: "a").cast(note),
                    try await client.fanout(note),
                ]
                for receipt in receipts { #expect(receipt.isRouted) }
                let seen = try await ran.first(3)
                #expect(Set(seen) == Set(receipts.map(\.uniqueID)))
            }
        },
        Check("all servers of a topic can be asked at once") { bench in
            try await bench.withServer("a") { client in
                try await bench.withServer("b") { _ in
                    let answers = try await client.gather(Echo.host, within: .seconds(20), upTo: 2)
                    let hosts = try answers.map { try $0.result.get() }
                    #expect(Set(hosts) == ["a", "b"])
                    let failures = try await client.gather(Echo.fail, .init(value: "x"), within: .seconds(20), upTo: 2)
                    #expect(failures.count == 2)
                    for failure in failures {
                        #expect(throws: RPCError.self) { try failure.result.get() }
                    }
                }
            }
        },
        Check("asking all servers of a topic that has none answers at once") { bench in
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            let start = ContinuousClock.now
            #expect(try await client.gather(Echo.host, within: .seconds(60)).isEmpty)
            #expect(ContinuousClock.now - start < .seconds(20))
        },
        Check("cancelling a call cancels its handler, wherever it runs") { bench in
            let started = EventRecorder<String>()
            let ended = EventRecorder<String>()
            try await bench.withSleeper(started: started, ended: ended) { client in
                for (number, client) in [client, client.on(host: "sleeper")].enumerated() {
                    let called = EventRecorder<Void>()
                    let call = Task {
                        called.record(())
                        try await client.call(Sleeper.sleep, timeout: .seconds(60))
                    }
                    try await called.first(1)
                    // The first runs. Whether the second does by then or not, it must not be left running.
                    if number == 0 { try await started.first(1) }
                    try await ContinuousClock().sleep(for: .milliseconds(5))
                    call.cancel()
                    await #expect(throws: CancellationError.self) { try await call.value }
                }
                let ends = try await ended.first(1)
                #expect(ends == ["sleep: cancelled"])
                try await bench.eventually {
                    let running = try await bench.running(client.on(host: "sleeper"))
                    if running.contains("sleep") { throw RPCError(.timeout, "\(running) still run") }
                }
            }
        },
        Check("a call that was cancelled before its start is not started") { bench in
            let ran = EventRecorder<String>()
            let endpoint = RPCEndpoint {
                Sleeper.sleep.handled { _ in
                    ran.record("sleep")
                    try await bench.gate.first(1, within: .seconds(60))
                }
                Sleeper.other.handled { _ in ran.record("other") }
                Sleeper.sleepOn.handled { _ in ran.record("sleep_on") }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic, server: "a"))
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                let control = try await bench.control("a")
                func waits(_ count: Int) async throws {
                    try await bench.eventually {
                        let waiting = try await control.call(ControlRPC.ping).waiting
                        if waiting < count { throw RPCError(.timeout, "\(waiting) wait in the server") }
                    }
                }
                try await client.cast(Sleeper.sleep)
                try await ran.first(1)
                // The cast holds the only slot, so that the call waits in the server.
                let call = Task { try await client.call(Sleeper.other, timeout: .seconds(60)) }
                try await waits(1)
                call.cancel()
                await #expect(throws: CancellationError.self) { try await call.value }
                try await client.cast(Sleeper.sleepOn)
                // These questions come to the server after the word of the cancelled call.
                try await waits(2)
                bench.gate.record(())
                try await ran.first(1) { $0 == "sleep_on" }
                #expect(ran.events == ["sleep", "sleep_on"])
            }
        },
    ]

    /// A service whose methods take long.
    enum Sleeper {
        static let sleep = RPCMethod<Void, Void>("sleep", since: "1.0")
        static let other = RPCMethod<Void, Void>("other", since: "1.0")
        static let sleepOn = RPCMethod<Void, Void>("sleep_on", since: "1.0", delivery: .atLeastOnce)
    }
}

extension TransportConformance.Bench {
    /// Runs a server whose handlers sleep, and record whether they were cancelled.
    func withSleeper(
        started: EventRecorder<String> = EventRecorder(),
        ended: EventRecorder<String>,
        for duration: Duration = .seconds(30),
        _ body: @Sendable (RPCClient) async throws -> Void
    ) async throws {
        let sleep: @Sendable (RPCContext) async throws -> Void = { context in
            let method = context.request?.method ?? ""
            started.record(method)
            do {
                try await ContinuousClock().sleep(for: duration)
            } catch {
                ended.record("\(method): cancelled")
                throw error
            }
            ended.record("\(method): done")
        }
        var configuration = RPCServer.Configuration()
        configuration.gracePeriod = .milliseconds(500)
        let client = RPCClient(try await self.transport(), target: .topic(self.topic))
        try await withRPCServer(
            on: try await self.transport(),
            target: .topic(self.topic, server: "sleeper"),
            endpoints: [
                RPCEndpoint {
                    TransportConformance.Sleeper.sleep.handled(by: sleep)
                    TransportConformance.Sleeper.sleepOn.handled(by: sleep)
                }
            ],
            configuration: configuration
        ) { _ in try await body(client) }
    }

    /// The methods of which a handler runs at a server.
    func running(_ client: RPCClient) async throws -> Set<String> {
        var client = client
        client.target = client.target.control
        let statistics = try await client.call(ControlRPC.stats, timeout: .seconds(10))
        return Set(statistics.methods.filter { $0.inFlight > 0 }.map(\.name))
    }

    /// A listener on another topic, which takes and does not answer.
    func listener(
        on transport: any Transport,
        topic: String
    ) async throws -> (any Listener, EventRecorder<Delivery>) {
        let received = EventRecorder<Delivery>()
        let listener = try await transport.listen(on: .server(.topic(topic, server: "a")), prefetch: 10) {
            received.record($0)
        }
        return (listener, received)
    }
}
