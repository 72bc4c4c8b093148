import Testing

@testable import Messaging

@Suite struct ReplyRouterTests {
    @Test func `only replies that nobody waits for are counted as late`() async {
        let router = ReplyRouter()
        router.expect("1", deadline: .now + .seconds(60), monitorTimeout: nil)
        router.receive([self.reply(to: "1")])
        // A cancellation that comes after the reply is no reply.
        await withTaskGroup(of: Void.self) { group in
            group.cancelAll()
            group.addTask {
                do {
                    _ = try await router.reply(to: "1")
                } catch {
                    Issue.record(error, "the reply was there")
                }
            }
        }
        #expect(router.lateReplies == 0)
        router.receive([self.reply(to: "1"), self.reply(to: "unknown")])
        #expect(router.lateReplies == 2)
        router.forget("1")
        #expect(router.waitingCalls == 0)
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
                _ = try await client.call("x", timeout: .milliseconds(50))
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
                    let id = "\(milliseconds)"
                    router.expect(id, deadline: deadline, monitorTimeout: nil)
                    let error = await #expect(throws: RPCError.self) { _ = try await router.reply(to: id) }
                    #expect(error?.code == .timeout)
                    #expect(ContinuousClock.now >= deadline)
                    router.forget(id)
                }
            }
        }
        #expect(router.waitingCalls == 0)
    }

    @Test func `a closed transport ends the calls that wait and those to come`() async {
        let router = ReplyRouter()
        router.expect("1", deadline: .now + .seconds(60), monitorTimeout: nil)
        router.close(with: RPCError(.closed, "closed"))
        router.expect("2", deadline: .now + .seconds(60), monitorTimeout: nil)
        for id in ["1", "2"] {
            let error = await #expect(throws: RPCError.self) { _ = try await router.reply(to: id) }
            #expect(error?.code == .closed)
        }
    }

    private func reply(to id: String) -> Delivery {
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
