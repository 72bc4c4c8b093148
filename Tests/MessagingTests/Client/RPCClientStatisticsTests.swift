import MessagingTesting
import Testing

@testable import Messaging

/// What clients count of what they send.
@Suite(.timeLimit(.minutes(1))) struct RPCClientStatisticsTests {
    private struct Unknown: Error {}

    private static let echo = RPCMethod<[String: String], String>("echo", since: "1.0")
    private static let fail = RPCMethod<Void, Void>("fail", since: "1.0")
    private static let hang = RPCMethod<Void, Void>("hang", since: "1.0")
    /// The server answers text.
    private static let misread = RPCMethod<[String: String], Int>("echo", since: "1.0")

    private static var endpoint: RPCEndpoint {
        RPCEndpoint {
            self.echo.handled { _, arguments in arguments["text"] ?? "" }
            self.fail.handled { _ in throw Unknown() }
            self.hang.handled { _ in try await Task.sleep(for: .seconds(60)) }
        }
    }

    private func figures(_ transport: any Transport, _ method: String) throws -> RPCClientFigures.Method {
        try #require(transport.replies.clientFigures.methods.first { $0.name == method })
    }

    private func outcomes(_ transport: any Transport, _ method: String) throws -> [String: Int] {
        Dictionary(uniqueKeysWithValues: try self.figures(transport, method).calls.map { ($0.name, $0.count) })
    }

    @Test func `each call is counted by its method and how it ended`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        let client = RPCClient(transport, target: .topic("t"))
        #expect(transport.replies.clientFigures.methods.isEmpty)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "a"),
            endpoints: [Self.endpoint]
        ) { _ in
            for _ in 0..<3 { _ = try await client.call(Self.echo, ["text": "x"]) }
            #expect(await (try? client.call(Self.misread, ["text": "x"])) == nil)
            #expect(await (try? client.call(Self.fail)) == nil)
            #expect(await (try? client.call("nothing")) == nil)
            #expect(await (try? client.call(Self.hang, timeout: .milliseconds(50))) == nil)
            #expect(await (try? client.call(Self.hang, timeout: .zero)) == nil)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await client.call(Self.hang) }
                while try self.figures(transport, "hang").running == 0 { await Task.yield() }
                group.cancelAll()
                #expect(await group.nextResult() != nil)
            }
        }
        #expect(await (try? client.on(host: "nobody").call(Self.echo, ["text": "x"])) == nil)
        #expect(try self.outcomes(transport, "echo") == ["succeeded": 4, "no_such_server": 1])
        #expect(try self.outcomes(transport, "fail") == ["remote_error": 1])
        #expect(try self.outcomes(transport, "nothing") == ["no_such_method": 1])
        #expect(try self.outcomes(transport, "hang") == ["timeout": 2, "cancelled": 1])
        let echo = try self.figures(transport, "echo")
        #expect(echo.topic == "t")
        #expect(echo.unreadableResults == 1)
        #expect(echo.duration.count == 5)
        #expect(transport.replies.clientFigures.methods.allSatisfy { $0.running == 0 })
    }

    @Test func `casts, fanouts and gatherings are counted by what became of them`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        let client = RPCClient(transport, target: .topic("t"))
        let tolerant = client.prepare { $0.requiresRoute = false }
        let hasty = client.prepare { $0.awaitsConfirm = false }
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("t", server: "a"),
            endpoints: [Self.endpoint]
        ) { _ in
            try await client.cast(Self.echo, ["text": "x"])
            try await hasty.cast(Self.echo, ["text": "x"])
            try await client.fanout(Self.echo, ["text": "x"])
            _ = try await client.gather(Self.echo, ["text": "x"], within: .seconds(5), upTo: 1)
            #expect(await transport.replies.writeCasts(within: .seconds(5)) == 0)
        }
        #expect(await (try? client.on(host: "nobody").cast(Self.echo, ["text": "x"])) == nil)
        try await tolerant.on(host: "nobody").cast(Self.echo, ["text": "x"])
        var nobody = client
        nobody.target.topic = "nobody"
        try await nobody.fanout(Self.echo, ["text": "x"])
        #expect(try await nobody.gather(Self.echo, ["text": "x"], within: .seconds(5)).isEmpty)
        let methods = transport.replies.clientFigures.methods
        #expect(methods.map(\.topic) == ["nobody", "t"])
        #expect(
            methods.map { $0.sent.map { "\($0.way) \($0.outcome) \($0.count)" } } == [
                ["fanout unrouted 1", "gather unrouted 1"],
                [
                    "cast succeeded 2", "cast unrouted 1", "cast no_such_server 1", "fanout succeeded 1",
                    "gather succeeded 1",
                ],
            ]
        )
        #expect(methods.allSatisfy { $0.calls.isEmpty && $0.duration.count == 0 })
    }

    @Test func `however many methods there are, the figures stay few`() {
        let statistics = RPCClientStatistics()
        for number in 0..<10_000 {
            let place = statistics.beginCall("m\(number)", namespace: nil, topic: "t")
            statistics.endCall(place, .succeeded, after: .milliseconds(1))
        }
        let methods = statistics.figures()
        #expect(methods.count == RPCClientStatistics.maximumMethods + 1)
        #expect(methods.last?.name == "")
        #expect(methods.last?.calls.first?.count == 10_000 - RPCClientStatistics.maximumMethods)
        #expect(methods.first?.calls.first?.count == 1)
        // Names of one length share a place in the memory of the last ones.
        for name in ["m1", "m2", "m1", "m3", "m2"] {
            statistics.endCall(statistics.beginCall(name, namespace: nil, topic: "t"), .succeeded, after: .zero)
        }
        let counts = Dictionary(uniqueKeysWithValues: statistics.figures().map { ($0.name, $0.calls.first?.count) })
        #expect(counts["m1"] == 3)
        #expect(counts["m2"] == 3)
        #expect(counts["m3"] == 2)
        #expect(counts["m4"] == 1)
    }
}
