import Synchronization
import Testing

@testable import Messaging

@Suite struct ReplyRouterTests {
    @Test func `only replies that nobody waits for are counted as late`() async throws {
        let router = ReplyRouter()
        // The reply may be faster than the end of the sending.
        _ = try await self.wait(for: "1", at: router, until: .now + .seconds(60)) {
            router.receive([Self.reply(to: "1")])
        }
        #expect(router.lateReplies == 0)
        router.receive([Self.reply(to: "1"), Self.reply(to: "unknown")])
        #expect(router.lateReplies == 2)
        #expect(router.waitingCalls == 0)
    }

    @Test func `a call whose task is cancelled withdraws its request, or does not send it at all`() async {
        let router = ReplyRouter()
        let sending = Sending()
        let started = Eventual<Void>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: CallWithdrawn.self) {
                    _ = try await self.wait(for: "1", at: router, until: .now + .seconds(60), sending) {
                        started.fulfil()
                    }
                }
                await #expect(throws: CallWithdrawn.self) {
                    _ = try await self.wait(for: "2", at: router, until: .now + .seconds(60)) {
                        Issue.record("sent for a task that was cancelled before")
                    }
                }
            }
            await started.wait()
            group.cancelAll()
        }
        #expect(sending.isWithdrawn)
        #expect(router.waitingCalls == 0)
    }

    @Test func `a call ends with what its sending ended with, also a little after its deadline`() async throws {
        let router = ReplyRouter()
        let sending = Sending(isConfirmed: false)
        let deadline = ContinuousClock.now + .milliseconds(20)
        let error = await #expect(throws: RPCError.self) {
            _ = try await router.reply(
                to: "1",
                deadline: deadline,
                monitorTimeout: nil,
                destination: .topic("t", exchange: nil),
                inspector: nil
            ) { completion in
                Task {
                    try await ContinuousClock().sleep(for: .milliseconds(80))
                    completion(RPCError(.unreachable, "no broker"))
                }
                return sending
            }
        }
        #expect(error?.code == .unreachable)
    }

    @Test func `a transport is gone when its calls are over and nobody holds it`() async throws {
        weak var observed: InMemoryTransport?
        let broker = InMemoryBroker()
        broker.declare("t", boundTo: .init(exchange: "openstack", key: "t"))
        do {
            let transport = InMemoryTransport(broker)
            observed = transport
            let client = RPCClient(transport, target: .topic("t"))
            let error = await #expect(throws: RPCError.self) {
                _ = try await client.call("x", timeout: .milliseconds(500))
            }
            #expect(error?.progress?.consumers == 0)
            await transport.close()
        }
        // The task that has looked at the queue may be about to end.
        for _ in 1...1_000 where observed != nil { try await Task.sleep(for: .milliseconds(10)) }
        #expect(observed == nil)
    }

    @Test(.timeLimit(.minutes(3)))
    func `calls end at their own deadlines, whatever order they come in`() async {
        let router = ReplyRouter()
        let start = ContinuousClock.now
        await withTaskGroup(of: Void.self) { group in
            for milliseconds in [400, 50, 200, 100, 300] {
                group.addTask {
                    let deadline = start + .milliseconds(milliseconds)
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await self.wait(for: "\(milliseconds)", at: router, until: deadline)
                    }
                    #expect(error?.code == .timeout)
                    #expect(ContinuousClock.now >= deadline)
                }
            }
        }
        #expect(router.waitingCalls == 0)
    }

    @Test func `a closed transport ends the calls that wait and those to come`() async {
        let router = ReplyRouter()
        for id in ["1", "2"] {
            let error = await #expect(throws: RPCError.self) {
                _ = try await self.wait(for: id, at: router, until: .now + .seconds(60)) {
                    router.close(with: RPCError(.closed, "closed"))
                }
            }
            #expect(error?.code == .closed)
        }
    }

    private final class Sending: PendingSend {
        let isConfirmed: Bool
        private let withdrawal = Mutex(false)
        var isWithdrawn: Bool { self.withdrawal.withLock(\.self) }

        init(isConfirmed: Bool = true) {
            self.isConfirmed = isConfirmed
        }

        func withdraw() {
            self.withdrawal.withLock { $0 = true }
        }
    }

    private func wait(
        for id: String,
        at router: ReplyRouter,
        until deadline: ContinuousClock.Instant,
        _ sending: Sending = Sending(),
        sent: () -> Void = {}
    ) async throws -> ReplyPayload {
        try await router.reply(
            to: id,
            deadline: deadline,
            monitorTimeout: nil,
            destination: .topic("t", exchange: nil),
            inspector: nil
        ) { _ in
            sent()
            return sending
        }
    }

    private static func reply(to id: String) -> Delivery {
        Delivery(body: ReplyPayload.result(.null).encoded(messageID: id), token: Delivery.Token(tag: 1))
    }
}

extension ReplyRouterTests {
    @Test func `a reply that arrives twice counts once among the answers of all`() {
        let router = ReplyRouter()
        router.gather("1")
        let body = ReplyPayload.result(.null).encoded(messageID: "1", uniqueID: "a")
        let other = ReplyPayload.result(.null).encoded(messageID: "1", uniqueID: "b")
        router.receive([body, body, other].map { Delivery(body: $0, token: .init(tag: 1)) })
        #expect(router.gatheredCount("1") == 2)
        #expect(router.gathered("1").map(\.uniqueID) == ["a", "b"])
    }
}
