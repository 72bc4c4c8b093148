internal import Messaging
internal import Testing

/// What the wire contract says of servers, seen by a peer that reads and writes raw messages.
extension TransportConformance {
    static let serverContract = [
        Check("wire contract 4.1: a repetition is recognised after hundreds of other requests, where oslo knows 16") {
            bench in
            let ran = EventRecorder<String>()
            try await bench.withContractServer(ran) { _, peer in
                try await peer.request("note", ["value": "once"], at: bench.topic, uniqueID: "repeated")
                for number in 1...200 {
                    try await peer.request("note", ["value": "other"], at: bench.topic, uniqueID: "other-\(number)")
                }
                try await peer.request("note", ["value": "once"], at: bench.topic, uniqueID: "repeated")
                try await peer.request("note", ["value": "last"], at: bench.topic)
                try await ran.first(1) { $0 == "last" }
            }
            #expect(ran.events.count { $0 == "once" } == 1)
            #expect(ran.events.count == 202)
        },
        Check("wire contract 4.1: a repetition is recognised over a reconnect of the server") { bench in
            let ran = EventRecorder<String>()
            try await bench.withContractServer(ran) { transport, peer in
                try await peer.request("note", ["value": "once"], at: bench.topic, uniqueID: "repeated")
                try await ran.first(1)
                try await bench.harness.interrupt(transport)
                try await bench.eventually {
                    try await peer.request("note", ["value": "once"], at: bench.topic, uniqueID: "repeated")
                }
                try await bench.eventually {
                    try await peer.request("note", ["value": "last"], at: bench.topic, uniqueID: "last")
                }
                try await ran.first(2)
            }
            #expect(ran.events == ["once", "last"])
        },
        Check("wire contract 4.1: requests without an id are no repetitions of each other") { bench in
            let ran = EventRecorder<String>()
            try await bench.withContractServer(ran) { _, peer in
                for _ in 1...3 {
                    try await peer.request("note", ["value": "x"], at: bench.topic, uniqueID: nil)
                }
                #expect(try await ran.first(3) == ["x", "x", "x"])
            }
        },
        Check("wire contract 4.1: a request that waited in the server beyond its caller's patience is not started") {
            bench in
            let ran = EventRecorder<String>()
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            try await bench.withContractServer(ran, configuration) { _, peer in
                try await peer.request("wait", at: bench.topic)
                try await ran.first(1)
                try await peer.request(
                    "note",
                    ["value": "expired"],
                    at: bench.topic,
                    timeToLive: .milliseconds(500)
                )
                try await peer.request("note", ["value": "patient"], at: bench.topic, timeToLive: .seconds(60))
                // Long enough for a busy machine to have delivered it by then; what is not is dropped by the broker.
                try await ContinuousClock().sleep(for: .seconds(2))
                bench.gate.record(())
                try await ran.first(1) { $0 == "patient" }
            }
            #expect(ran.events == ["waiting", "patient"])
        },
        Check("wire contract 4.3: a cast is never answered, be it run, failed or refused") { bench in
            let peer = try await bench.withContractServer(EventRecorder()) { transport, peer in
                for method in ["note", "fail", "unknown"] {
                    let body = """
                        {"method": "\(method)", "args": {"value": "x"}, "_reply_q": "\(peer.queue)", "_msg_id": null}
                        """
                    try await bench.send(body, to: .topic(bench.topic, exchange: nil), over: transport)
                }
                try await peer.request("note", ["value": "call"], at: bench.topic, messageID: "m1")
                try await peer.ending(of: "m1")
            }
            // The server has stopped, which it does not before everything is answered.
            #expect(try peer.replies.map(\.messageID) == ["m1"])
        },
        Check("wire contract 4.3: a call without a reply queue is run and holds nothing up") { bench in
            let ran = EventRecorder<String>()
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 1
            try await bench.withContractServer(ran, configuration) { transport, peer in
                let body = #"{"method": "note", "args": {"value": "deaf"}, "_msg_id": "m0"}"#
                try await bench.send(body, to: .topic(bench.topic, exchange: nil), over: transport)
                try await peer.request("note", ["value": "next"], at: bench.topic, messageID: "m1")
                try await peer.ending(of: "m1")
            }
            #expect(ran.events == ["deaf", "next"])
        },
        Check("wire contract 4.3: what cannot be written as a result is answered with a failure") { bench in
            try await bench.withContractServer(EventRecorder()) { _, peer in
                try await peer.request("unwritable", at: bench.topic, messageID: "m1")
                #expect(try await peer.ending(of: "m1").failure != nil)
            }
        },
        Check("wire contract 4.3: a reply waits for a reply queue that is missing, and comes when it is there") {
            bench in
            let ran = EventRecorder<String>()
            try await bench.withContractServer(ran) { _, peer in
                let late = bench.topic + "-late"
                try await peer.request(
                    "note",
                    ["value": "x"],
                    at: bench.topic,
                    messageID: "m1",
                    replyQueue: "\(late).raw"
                )
                try await ran.first(1)
                // The first offer has failed, or is about to.
                try await ContinuousClock().sleep(for: .milliseconds(100))
                let caller = try await RawPeer(try await bench.transport(), topic: late)
                #expect(try await caller.ending(of: "m1").summary == "null")
            }
        },
        Check("wire contract 4.4: signs of life come while a method runs and end with it, however it ends") { bench in
            try await bench.withContractServer(EventRecorder()) { _, peer in
                for method in ["wait", "fail", "unknown", "limited"] {
                    try await peer.request(method, at: bench.topic, messageID: method, monitorTimeout: 0.6)
                }
                try await peer.heartbeats(2, of: "wait")
                bench.gate.record(())
                #expect(try await peer.ending(of: "wait").summary == "null")
                #expect(try await peer.ending(of: "fail").summary == "Refused")
                #expect(try await peer.ending(of: "unknown").summary == "NoSuchMethod")
                #expect(try await peer.ending(of: "limited").summary == "TimeLimitExceeded")
                let count = peer.received.events.count
                // Four times the interval: nothing but time can show that nothing comes.
                try await ContinuousClock().sleep(for: .milliseconds(1_200))
                #expect(peer.received.events.count == count)
                for id in ["wait", "limited"] {
                    let replies = try peer.replies.filter { $0.messageID == id }
                    #expect(replies.last?.isEnding == true && replies.count { $0.isEnding } == 1, "\(id)")
                }
            }
        },
        Check("wire contract 4.5: what is sent after a stop, while handlers still run, is kept for the next server") {
            bench in
            let ran = EventRecorder<String>()
            let transport = try await bench.transport()
            let peer = try await RawPeer(transport, topic: bench.topic + "-peer")
            let server = try await bench.contractServer(ran)
            let ready = EventRecorder<Void>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run { ready.record(()) } }
                try await ready.first(1)
                try await peer.request("wait", at: bench.topic)
                try await ran.first(1)
                server.stop()
                // oslo takes these from the broker and drops them.
                for number in 1...5 {
                    try await peer.request("note", ["value": "\(number)"], at: bench.topic)
                }
                bench.gate.record(())
                try await group.waitForAll()
            }
            try await bench.withContractServer(ran) { _, _ in try await ran.first(6) }
            #expect(Set(ran.events) == ["waiting", "1", "2", "3", "4", "5"])
        },
    ]
}

extension TransportConformance.Bench {
    /// A server with methods that end in every way.
    func contractServer(
        _ ran: EventRecorder<String>,
        _ configuration: RPCServer.Configuration = RPCServer.Configuration()
    ) async throws -> RPCServer {
        RPCServer(
            try await self.transport(),
            target: .topic(self.topic, server: "a"),
            endpoints: [self.contractEndpoint(ran)],
            configuration: configuration
        )
    }

    /// Runs such a server on a transport of its own, and lends the transport and a raw peer.
    @discardableResult
    func withContractServer(
        _ ran: EventRecorder<String>,
        _ configuration: RPCServer.Configuration = RPCServer.Configuration(),
        _ body: @Sendable (any Transport, RawPeer) async throws -> Void
    ) async throws -> RawPeer {
        let transport = try await self.transport()
        let peer = try await RawPeer(try await self.transport(), topic: self.topic + "-peer")
        var configuration = configuration
        configuration.gracePeriod = .seconds(5)
        try await withRPCServer(
            on: transport,
            target: .topic(self.topic, server: "a"),
            endpoints: [self.contractEndpoint(ran)],
            configuration: configuration
        ) { _ in try await body(transport, peer) }
        return peer
    }

    private func contractEndpoint(_ ran: EventRecorder<String>) -> RPCEndpoint {
        struct Unwritable: Codable, Sendable {
            init() {}
            init(from decoder: any Decoder) throws {}
            func encode(to encoder: any Encoder) throws {
                throw EncodingError.invalidValue(self, .init(codingPath: [], debugDescription: "has no text"))
            }
        }
        let gate = self.gate
        let limited = RPCMethod<Void, Void>("limited", since: "1.0", timeLimit: .milliseconds(700))
        let unwritable = RPCMethod<Void, Unwritable>("unwritable", since: "1.0")
        return RPCEndpoint {
            RPCHandler("note") { _, arguments in
                ran.record(arguments["value"]?.stringValue ?? "-")
                return .null
            }
            RPCHandler("wait") { _, _ in
                ran.record("waiting")
                try await gate.first(1)
                return .null
            }
            RPCHandler("fail") { _, _ in throw TransportConformance.Echo.Refused(value: "x") }
            limited.handled { _ in try await ContinuousClock().sleep(for: .seconds(3_600)) }
            unwritable.handled { _ in Unwritable() }
        }
    }
}
