import MessagingTesting
import Testing

@testable import Messaging

/// What a client can be prepared with, and what it refuses: wire contract 5.2.
@Suite(.timeLimit(.minutes(3))) struct PrepareTests {
    /// A broker with listeners that only note what arrives.
    private struct Bench {
        let broker = InMemoryBroker()
        let transport: InMemoryTransport

        init() { self.transport = InMemoryTransport(self.broker) }

        func listen(_ topic: String, _ server: String, exchange: String? = nil) async throws -> EventRecorder<Delivery>
        {
            let received = EventRecorder<Delivery>()
            let target = Target.topic(topic, server: server, exchange: exchange)
            _ = try await InMemoryTransport(self.broker).listen(on: .server(target), prefetch: 10) {
                received.record($0)
            }
            return received
        }

        var client: RPCClient { RPCClient(self.transport, target: .topic("t")) }
    }

    private func request(_ delivery: Delivery?) throws -> RequestPayload {
        try RequestPayload(try #require(delivery))
    }

    /// Calls without waiting for a server, which is not there, and answers the error.
    private func call(_ client: RPCClient, _ method: String = "m", timeout: Duration = .milliseconds(500)) async
        -> RPCError?
    {
        await #expect(throws: RPCError.self) { _ = try await client.call(method, timeout: timeout) }
    }

    @Test func `wire contract 5.2: exchange, topic and server can be overridden`() async throws {
        let bench = Bench()
        let home = try await bench.listen("t", "a")
        let abroad = try await bench.listen("u", "a", exchange: "abroad")
        let other = try await bench.listen("other", "a")
        let far = RPCClient(bench.transport, target: .topic("u"))
        let unbound = await #expect(throws: RPCError.self) { try await far.cast("one") }
        #expect(unbound?.code == .noSuchServer)
        try await far.addressing { $0.exchange = "abroad" }.cast("one")
        try await bench.client.addressing { $0.topic = "other" }.cast("two")
        try await bench.client.on(host: "a").cast("three")
        #expect(try request(try await abroad.first(1).first).method == "one")
        #expect(try request(try await other.first(1).first).method == "two")
        let third = try await home.first(1).first
        #expect(try request(third).method == "three")
        #expect(third?.queue == "t.a")
        let nobody = await #expect(throws: RPCError.self) { try await bench.client.on(host: "b").cast("four") }
        #expect(nobody?.code == .noSuchServer)
    }

    @Test func `wire contract 5.2: a fanout reaches all, and cannot be called`() async throws {
        let bench = Bench()
        let both = [try await bench.listen("t", "a"), try await bench.listen("t", "b")]
        let fanout = bench.client.addressing { $0.isFanout = true }
        try await fanout.cast("m")
        for received in both { #expect(try request(try await received.first(1).first).method == "m") }
        #expect(await call(fanout)?.code == .invalidTarget)
        // A server, once chosen, is what is meant.
        try await fanout.on(host: "a").cast("n")
        #expect(try request(try await both[0].first(2).last).method == "n")
        #expect(both[1].events.count == 1)
    }

    @Test func `wire contract 5.2: namespace and version can be overridden`() async throws {
        let bench = Bench()
        let received = try await bench.listen("t", "a")
        let method = RPCMethod<Void, Void>("m", namespace: "new", since: "2.1")
        try await bench.client.cast(method)
        try await bench.client.prepare { $0.namespace = "old" }.cast(method)
        try await bench.client.prepare { $0.version = "2.4" }.cast(method)
        try await bench.client.prepare { $0.namespace = "old" }.cast("m")
        try await bench.client.prepare { $0.namespace = "old" }.cast("m", namespace: "own")
        let requests = try await received.first(5).map { try request($0) }
        #expect(requests.map(\.namespace) == ["new", "old", "new", "old", "own"])
        #expect(requests.map(\.version) == [.text("2.1"), .text("2.1"), .text("2.4"), .absent, .absent])
    }

    @Test func `wire contract 5.2: timeout and call monitor timeout can be overridden`() async throws {
        let bench = Bench()
        let received = try await bench.listen("t", "a")
        let prepared = bench.client.prepare {
            $0.timeout = .milliseconds(730)
            $0.callMonitorTimeout = .seconds(7)
        }
        let error = await #expect(throws: RPCError.self) { _ = try await prepared.call("m") }
        #expect(error?.code == .timeout)
        let delivery = try #require(try await received.first(1).first)
        #expect(delivery.timeToLive == .milliseconds(730))
        #expect(try request(delivery).monitorInterval == .seconds(7))
        // oslo: 0 is not usable; here it is said at once.
        #expect(await call(bench.client, timeout: .zero)?.code == .timeout)
        #expect(received.events.count == 1)
    }

    @Test(
        arguments: [
            ("1.0", true), ("1.4", true), ("1.5", false), ("1.4.1", false), ("2.0", false), ("0.9", false),
        ] as [(RPCVersion, Bool)]
    )
    func `wire contract 5.2: the version cap is a server's rule, and can be asked`(
        version: RPCVersion,
        isAllowed: Bool
    ) async throws {
        let bench = Bench()
        let received = try await bench.listen("t", "a")
        let capped = bench.client.prepare {
            $0.versionCap = "1.4"
            $0.version = version
        }
        let method = RPCMethod<Void, Void>("m", since: version)
        #expect(capped.canSend(version) == isAllowed)
        #expect(bench.client.prepare { $0.versionCap = "1.4" }.canSend(method) == isAllowed)
        do {
            try await capped.cast("m")
            #expect(isAllowed)
        } catch let error as RPCError {
            #expect(!isAllowed && error.code == .versionCapExceeded)
            #expect(error.message.contains("1.4"))
        }
        #expect(received.events.count == (isAllowed ? 1 : 0))
        #expect(bench.client.canSend(version))
    }

    @Test func `wire contract 5.2: a request without a version is refused under a cap`() async throws {
        let bench = Bench()
        let received = try await bench.listen("t", "a")
        let error = await #expect(throws: RPCError.self) {
            try await bench.client.prepare { $0.versionCap = "1.4" }.cast("m")
        }
        #expect(error?.code == .versionCapExceeded)
        #expect(received.events.isEmpty)
    }

    @Test(arguments: ["1", "x.y", "", "1.", "1.x", "-1.0"])
    func `wire contract 5.2: a version that is none is refused before anything is sent`(text: String) {
        let error = #expect(throws: RPCError.self) { _ = try RPCVersion(parsing: text) }
        #expect(error?.code == .invalidVersion)
    }

    @Test func `wire contract 5.2: without a topic nothing is sent`() async throws {
        let bench = Bench()
        let nowhere = bench.client.addressing { $0.topic = "" }
        #expect(await call(nowhere)?.code == .invalidTarget)
        let cast = await #expect(throws: RPCError.self) { try await nowhere.cast("m") }
        #expect(cast?.code == .invalidTarget)
        // Nor is there a server without a name.
        let server = RPCServer(bench.transport, target: .topic("t"), endpoints: [])
        let refused = await #expect(throws: RPCError.self) { try await server.run() }
        #expect(refused?.code == .invalidTarget)
    }

    @Test func `wire contract 5.2: a request that the broker refuses is offered again as often as is said`()
        async throws
    {
        let bench = Bench()
        let received = try await bench.listen("t", "a")
        let faulty = FaultyTransport(bench.transport)
        let client = RPCClient(faulty, target: .topic("t"))
        faulty.inject(.refused, .first(2)) { $0.method == "twice" }
        try await client.prepare { $0.retry = 2 }.cast("twice")
        #expect(try request(try await received.first(1).first).method == "twice")
        faulty.inject(.refused, .always) { $0.method == "always" }
        for retry in [0, 1] {
            let error = await #expect(throws: RPCError.self) {
                try await client.prepare { $0.retry = retry }.cast("always")
            }
            #expect(error?.code == .rejected)
        }
        // Not beyond its timeout.
        let hasty = client.prepare {
            $0.retry = 1_000
            $0.timeout = .seconds(1)
        }
        let start = ContinuousClock.now
        let error = await #expect(throws: RPCError.self) { _ = try await hasty.call("always") }
        #expect(error?.code == .rejected)
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(received.events.count == 1)
    }

    @Test func `wire contract 5.2: what was prepared stays when more is prepared`() async throws {
        let bench = Bench()
        let received = try await bench.listen("other", "a", exchange: "x")
        let method = RPCMethod<Void, Void>("m", since: "1.0")
        let client = bench.client
            .addressing { $0.exchange = "x" }
            .prepare { $0.version = "1.2" }
            .addressing { $0.topic = "other" }
            .prepare { $0.namespace = "n" }
            .on(host: "a")
            .prepare { $0.versionCap = "1.3" }
        try await client.cast(method)
        let delivery = try await received.first(1).first
        #expect(delivery?.queue.hasSuffix("other.a") == true)
        #expect(try request(delivery).version == .text("1.2"))
        #expect(try request(delivery).namespace == "n")
        // The first client is as it was.
        #expect(bench.client.target == .topic("t"))
    }
}
