import AMQPClient
import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import TestSupport
import Testing

/// Wire contract 5.3 and 5.4: what becomes of requests that find nobody, or lose their connection.
@Suite(.timeLimit(.minutes(3))) struct ReachabilityTests {
    // MARK: 5.3

    @Test func `wire contract 5.3: what nobody serves is said at once, and a fanout to nobody is fine`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                let client = RPCClient(transport, target: .topic("nobody"))
                let started = ContinuousClock.now
                let call = await #expect(throws: RPCError.self) {
                    _ = try await client.call("m", timeout: .seconds(60))
                }
                #expect(call?.code == .noSuchServer)
                // Python is silent about the cast, and waits for the call's whole timeout.
                let cast = await #expect(throws: RPCError.self) { try await client.cast("m") }
                #expect(cast?.code == .noSuchServer)
                #expect(ContinuousClock.now - started < .seconds(20))
                try await client.fanout("m")
            }
        }
    }

    @Test(arguments: ["127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2"])
    func `wire contract 5.3: a broker out of reach costs a call no more than its timeout`(_ hosts: String) async throws
    {
        let transport = RabbitMQTransport(try RabbitMQConfiguration(url: "rabbit://\(hosts)/"))
        let started = ContinuousClock.now
        let error = await #expect(throws: RPCError.self) {
            _ = try await RPCClient(transport, target: .topic("wt")).call("m", timeout: .seconds(2))
        }
        #expect(error?.code == .unreachable && error?.message.contains("127.0.0.1") == true, "\(error as Any)")
        #expect((.seconds(2) ... .seconds(15)).contains(ContinuousClock.now - started))
        await transport.close()
    }

    @Test func `wire contract 5.3: a message that the broker refuses is an error`() async throws {
        try await Place.with { place in
            try await place.withChannel { channel in
                let arguments: AMQPTable = ["x-max-length": 1, "x-overflow": "reject-publish"]
                try await channel.declareQueue("full", arguments: arguments)
                try await channel.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "full")
                try await place.withTransport { transport in
                    let options = SendOptions(deadline: .now + .seconds(20))
                    let error = await #expect(throws: RPCError.self) {
                        try await transport.send(Message(body: [1]), to: .queue("full"), options: options)
                    }
                    #expect(error?.code == .rejected)
                }
            }
        }
    }

    // MARK: 5.4

    @Test func `wire contract 5.4: a call completes although all connections are lost while it runs`() async throws {
        try await Place.with { place in
            let started = EventRecorder<Void>()
            let released = Eventual<Void>()
            let endpoint = RPCEndpoint {
                RPCHandler("wait") { _, arguments in
                    started.record(())
                    await released.wait()
                    return arguments
                }
            }
            try await place.withTransport { serving in
                let target = Target.topic("wt", server: "a")
                try await withRPCServer(on: serving, target: target, endpoints: [endpoint]) { _ in
                    try await place.withTransport { calling in
                        let client = RPCClient(calling, target: .topic("wt"))
                        let queue = try await calling.openReplyQueue(deadline: .now + .seconds(20))
                        async let answer = client.call("wait", ["x": 1], timeout: .seconds(60))
                        _ = try await started.first(1)
                        try await place.cutConnections(4)
                        released.fulfil()
                        let value = try await answer
                        #expect(value == ["x": 1])
                        let after = try await calling.openReplyQueue(deadline: .now + .seconds(20))
                        #expect(after == queue)
                    }
                }
            }
        }
    }

    @Test func `wire contract 5.4: queues that are deleted are there again under the same names`() async throws {
        try await Place.with { place in
            let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
            try await place.withTransport { transport in
                let target = Target.topic("wt", server: "a")
                try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
                    let client = RPCClient(transport, target: .topic("wt"))
                    _ = try await client.call("echo", timeout: .seconds(20))
                    let before = try await place.queues()
                    let work = before.filter { !$0.contains("_control") }
                    for queue in work { try await place.broker.deleteQueue(queue, virtualHost: place.virtualHost) }
                    var after: Set<String> = []
                    for _ in 1...200 where !after.isSuperset(of: work) {
                        try await Task.sleep(for: .milliseconds(50))
                        after = try await place.queues()
                    }
                    #expect(after == before)
                    for host in [nil, "a"] {
                        let scoped = host.map { client.on(host: $0) } ?? client
                        let answer = try await scoped.call("echo", ["x": 1], timeout: .seconds(20))
                        #expect(answer == ["x": 1])
                    }
                }
            }
        }
    }

    @Test func `wire contract 5.4: of several hosts the one that answers is used, whichever it is`() async throws {
        try await Place.with { place in
            let broker = place.broker
            let address = "\(broker.user):\(broker.password)@\(broker.host):\(broker.port)"
            for hosts in ["127.0.0.1:1,\(address)", "\(address),127.0.0.1:1"] {
                let url = "rabbit://\(hosts)/\(place.virtualHost)"
                let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                try await transport.open(timeout: .seconds(20))
                let name = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                #expect(name.hasPrefix("reply_"))
                await transport.close()
            }
        }
    }
}
