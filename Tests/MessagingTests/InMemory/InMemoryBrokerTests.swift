import Messaging
import MessagingTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct InMemoryBrokerTests {
    private let clock = VirtualClock()
    private let broker: InMemoryBroker
    private let transport: InMemoryTransport
    private let received = EventRecorder<Delivery>()

    init() {
        self.broker = InMemoryBroker(clock: self.clock)
        self.transport = InMemoryTransport(self.broker)
    }

    private func listen(_ host: String = "h", prefetch: Int = 100) async throws -> any Listener {
        try await self.transport.listen(on: .server(.topic("t", server: host)), prefetch: prefetch) {
            self.received.record($0)
        }
    }

    private func send(_ text: String, timeToLive: Duration? = nil) async throws {
        try await self.transport.send(
            Message(body: Array(text.utf8), timeToLive: timeToLive),
            to: .server("h", topic: "t", exchange: nil),
            options: SendOptions(isMandatory: true)
        )
    }

    private var texts: [String] { self.received.events.map { String(decoding: $0.body, as: UTF8.self) } }

    @Test func `what is given back returns to its place, in whatever order`() async throws {
        let listener = try await self.listen(prefetch: 4)
        for text in ["1", "2", "3", "4", "5"] { try await self.send(text) }
        let deliveries = try await self.received.first(4)
        await listener.stopConsuming()
        for index in [2, 0, 3] { await listener.reject([deliveries[index]], requeue: true) }
        #expect(await listener.acknowledge([deliveries[1]]).count == 1)
        #expect(self.broker.depth(of: "t.h") == 4)
        _ = try await self.listen()
        #expect(self.texts == ["1", "2", "3", "4", "1", "3", "4", "5"])
        #expect(self.received.events.map(\.isRedelivered) == [false, false, false, false, true, true, true, false])
    }

    @Test func `messages expire at the head of their queue, also when nobody listens`() async throws {
        await (try await self.listen()).close()
        try await self.send("short", timeToLive: .seconds(5))
        try await self.send("long", timeToLive: .seconds(50))
        try await self.send("behind", timeToLive: .seconds(5))
        #expect(self.broker.depth(of: "t.h") == 3)
        self.clock.jump(by: .seconds(6))
        // The last one has expired, too, but RabbitMQ looks at the head alone.
        #expect(self.broker.depth(of: "t.h") == 2)
        _ = try await self.listen()
        #expect(self.texts == ["long"])
    }

    @Test func `the queues of a process that has died expire after half an hour, and not those that are shared`()
        async throws
    {
        let other = InMemoryTransport(self.broker)
        _ = try await other.listen(on: .server(.topic("t", server: "h")), prefetch: 1) { _ in }
        let replies = try await other.openReplyQueue(deadline: nil)
        let own = Set(self.broker.queueNames).subtracting(["t", "t.h"])
        #expect(own.count == 2 && own.contains(replies))
        other.crash()
        #expect(Set(self.broker.queueNames).isSuperset(of: own))
        self.clock.jump(by: .seconds(1_799))
        #expect(Set(self.broker.queueNames).isSuperset(of: own))
        self.clock.jump(by: .seconds(1))
        #expect(self.broker.queueNames == ["t", "t.h"])
    }

    @Test func `a queue that is consumed does not expire`() async throws {
        _ = try await self.listen()
        let names = self.broker.queueNames
        self.clock.jump(by: .seconds(86_400))
        #expect(self.broker.queueNames == names)
    }

    @Test func `a listener whose consumers the broker cancels gets all again`() async throws {
        let listener = try await self.listen()
        try await self.send("1")
        self.broker.cancelConsumers(of: "t.h")
        #expect(self.broker.consumers(of: "t.h") == 1)
        try await self.send("2")
        #expect(self.texts == ["1", "1", "2"])
        #expect(self.received.events.map(\.isRedelivered) == [false, true, false])
        // The first was taken back.
        #expect(await listener.acknowledge([self.received.events[0]]).isEmpty)
    }

    @Test func `a delivery that fails is repeated, behind those that overtake it`() async throws {
        self.broker.failDeliveries(1, overtakenBy: 2) { String(decoding: $0.body, as: UTF8.self) == "1" }
        await (try await self.listen()).close()
        for text in ["1", "2", "3", "4"] { try await self.send(text) }
        _ = try await self.listen()
        #expect(self.texts == ["2", "3", "1", "4"])
        #expect(self.received.events.map(\.isRedelivered) == [false, false, true, false])
    }

    @Test func `a delayed message comes when its time has come`() async throws {
        _ = try await self.listen()
        try await self.transport.send(
            Message(body: Array("late".utf8)),
            to: .queue("t.h"),
            options: SendOptions(delay: .seconds(60))
        )
        await self.clock.waitForSleepers(1)
        #expect(self.received.events.isEmpty)
        self.clock.jump(by: .seconds(60))
        #expect(try await self.received.first(1).count == 1)
    }

    @Test func `publishers that an alarm has stopped go on when it is over, or give up`() async throws {
        _ = try await self.listen()
        self.broker.setBlocked(true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.send("patient") }
            group.addTask {
                let error = await #expect(throws: RPCError.self) {
                    try await self.transport.send(
                        Message(body: []),
                        to: .queue("t.h"),
                        options: SendOptions(deadline: self.clock.start + .seconds(5))
                    )
                }
                #expect(error?.code == .blocked)
            }
            await self.clock.waitForSleeper(until: .seconds(5))
            self.clock.jump(by: .seconds(5))
            #expect(self.received.events.isEmpty)
            try await group.next()
            self.broker.setBlocked(false)
            try await group.waitForAll()
        }
        #expect(self.texts == ["patient"])
    }

    @Test func `the broker says who sent a message`() async throws {
        _ = try await self.listen()
        try await InMemoryTransport(self.broker, user: "nova").send(
            Message(body: []),
            to: .queue("t.h"),
            options: SendOptions()
        )
        #expect(try await self.received.first(1)[0].userID == "nova")
    }

    @Test func `ten thousand messages wait and are handed out without ado`() async throws {
        await (try await self.listen()).close()
        for number in 1...10_000 { try await self.send("\(number)") }
        let start = ContinuousClock.now
        _ = try await self.listen(prefetch: 20_000)
        #expect(self.texts == (1...10_000).map { "\($0)" })
        #expect(ContinuousClock.now - start < .seconds(10))
    }
}
