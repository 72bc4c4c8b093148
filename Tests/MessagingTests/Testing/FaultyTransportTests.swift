import Messaging
import MessagingTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct FaultyTransportTests {
    private let clock = VirtualClock()
    private let broker: InMemoryBroker
    private let faulty: FaultyTransport
    private let received = EventRecorder<String>()

    init() {
        self.broker = InMemoryBroker(clock: self.clock)
        self.faulty = FaultyTransport(InMemoryTransport(self.broker), seed: 1)
    }

    /// Sends numbered casts to a listener, and answers the errors that the sender got.
    private func cast(_ count: Int, timeout: Duration = .seconds(5)) async throws -> [RPCError.Code?] {
        let transport = InMemoryTransport(self.broker)
        _ = try await transport.listen(on: .server(.topic("t", server: "h")), prefetch: 1_000) { deliveries in
            for delivery in deliveries {
                self.received.record(Self.number(delivery))
            }
        }
        let client = RPCClient(self.faulty, target: .topic("t")).prepare { $0.timeout = timeout }
        var codes: [RPCError.Code?] = []
        for number in 1...count {
            do {
                try await client.cast("m\(number)")
                codes.append(nil)
            } catch let error as RPCError {
                codes.append(error.code)
            }
        }
        return codes
    }

    /// The method of a request, or `?` of what cannot be read.
    private static func number(_ delivery: Delivery) -> String {
        let text = String(decoding: delivery.body, as: UTF8.self)
        guard text.hasSuffix("}"),
            let start = text.firstRange(of: #"method\": \"m"#)?.upperBound
                ?? text.firstRange(of: #"method\":\"m"#)?.upperBound
        else { return "?" }
        return String(text[start...].prefix { $0.isNumber })
    }

    @Test func `without faults everything arrives`() async throws {
        #expect(try await self.cast(3) == [nil, nil, nil])
        #expect(self.received.events == ["1", "2", "3"])
        #expect(self.faulty.injected.events.isEmpty)
    }

    @Test(
        arguments: [
            (Fault.lost, nil, ["1", "3"]),
            (.unconfirmed(isTaken: true), .connectionLost, ["1", "2", "3"]),
            (.unconfirmed(isTaken: false), .connectionLost, ["1", "3"]),
            (.returned, .noSuchServer, ["1", "3"]),
            (.refused, .rejected, ["1", "3"]),
            (.duplicated(copies: 3), nil, ["1", "2", "2", "2", "3"]),
            (.heldBack, nil, ["1", "3", "2"]),
            (.malformed, nil, ["1", "?", "3"]),
        ] as [(Fault, RPCError.Code?, [String])]
    )
    func `each fault has its effect on the sender and on the queue`(
        _ fault: Fault,
        _ code: RPCError.Code?,
        _ arrived: [String]
    ) async throws {
        self.faulty.inject(fault, .nth(2))
        #expect(try await self.cast(3) == [nil, code, nil])
        #expect(self.received.events == arrived, "\(fault.description)")
        #expect(self.faulty.injected.events.map(\.message.method) == ["m2"])
    }

    @Test func `a returned message that need not arrive is silently gone`() async throws {
        self.faulty.inject(.returned)
        try await RPCClient(self.faulty, target: .topic("t")).fanout("m1")
        #expect(self.faulty.injected.events.count == 1)
    }

    @Test func `a delayed message comes in virtual time`() async throws {
        self.faulty.inject(.delayed(by: .seconds(3)), .once)
        async let codes = self.cast(2)
        #expect(try await self.clock.advanceToNextSleeper() == .seconds(3))
        #expect(try await codes == [nil, nil])
        #expect(self.received.events == ["1", "2"])
    }

    @Test func `a delay and a block end with the sender's patience`() async throws {
        self.faulty.inject(.delayed(by: .seconds(3)), .nth(1))
        self.faulty.inject(.blocked, .nth(2))
        async let codes = self.cast(2, timeout: .seconds(2))
        for _ in 1...2 { #expect(try await self.clock.advanceToNextSleeper() == .seconds(2)) }
        #expect(try await codes == [.timeout, .blocked])
        #expect(self.received.events.isEmpty)
    }

    @Test func `an action is done before its message is sent`() async throws {
        self.faulty.inject(.preceded { self.broker.deleteQueue("t") }, .nth(2))
        #expect(try await self.cast(2) == [nil, nil])
        // The listener has declared its queue again, as after a cancel by the broker.
        #expect(self.received.events == ["1", "2"])
    }

    @Test func `what is held back comes when it is released`() async throws {
        self.faulty.inject(.heldBack)
        #expect(try await self.cast(2) == [nil, nil])
        #expect(self.received.events.isEmpty)
        self.faulty.removeFaults()
        try await self.faulty.releaseHeld()
        #expect(self.received.events == ["1", "2"])
    }

    @Test func `a rule is about the messages that it names, and counts these alone`() async throws {
        self.faulty.inject(.refused, .every(2)) { $0.method != "m2" }
        #expect(try await self.cast(5) == [nil, nil, .rejected, nil, .rejected])
        self.faulty.inject(.returned, .first(1)) { $0.destination == .topic("other", exchange: nil) }
    }

    @Test func `a seed decides what a probability hits`() async throws {
        func hits(_ seed: UInt64) async throws -> [Int] {
            let faulty = FaultyTransport(InMemoryTransport(InMemoryBroker()), seed: seed)
            faulty.inject(.lost, .probability(0.3))
            let client = RPCClient(faulty, target: .topic("t"))
            var hits: [Int] = []
            for number in 1...200 {
                do {
                    try await client.cast("m")
                    hits.append(number)
                } catch {
                    // There is nobody, which only those learn that are not lost before.
                }
            }
            return hits
        }
        let first = try await hits(7)
        #expect(try await hits(7) == first)
        #expect(try await hits(8) != first)
        #expect((30...90).contains(first.count))
    }
}
