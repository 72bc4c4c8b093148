internal import Messaging
internal import Testing

extension TransportConformance {
    /// What a transport does with queues by their names, and beside the way of requests.
    static let queues: [Check] = [
        Check("a delivery says which queue it came from, what its headers are, and who sent it") { bench in
            let transport = try await bench.transport()
            let (_, received) = try await bench.listener("a", on: transport)
            try await transport.send(
                Message(body: Array("1".utf8), headers: ["steward-attempts": "2"]),
                to: .server("a", topic: bench.topic, exchange: nil),
                options: SendOptions(isMandatory: true)
            )
            let delivery = try await received.first(1)[0]
            #expect(delivery.queue == "\(bench.topic).a")
            #expect(delivery.headers == ["steward-attempts": "2"])
            #expect(delivery.userID?.isEmpty == false)
        },
        Check("a message can be held back, and others overtake it") { bench in
            let transport = try await bench.transport()
            let (_, received) = try await bench.listener("a", on: transport)
            let queue = Destination.queue("\(bench.topic).a")
            let start = transport.clock.now
            try await transport.send(
                Message(body: Array("later".utf8), headers: ["steward-attempts": "1"]),
                to: queue,
                options: SendOptions(isMandatory: true, delay: .seconds(2))
            )
            try await bench.send("now", to: queue, over: transport)
            let deliveries = try await received.first(2)
            #expect(deliveries.map(\.text) == ["now", "later"])
            #expect(deliveries[1].receivedAt - start >= .seconds(2))
            #expect(deliveries[1].headers["steward-attempts"] == "1")
        },
        Check("only a message to a queue by its name can be held back") { bench in
            let transport = try await bench.transport()
            let error = await #expect(throws: RPCError.self) {
                try await transport.send(
                    Message(body: [1]),
                    to: .topic(bench.topic, exchange: nil),
                    options: SendOptions(delay: .seconds(1))
                )
            }
            #expect(error?.code == .invalidTarget)
        },
        Check("dead letters are kept without anybody listening, and read without being taken") { bench in
            let transport = try await bench.transport()
            let destination = Destination.deadLetters(topic: bench.topic)
            for text in ["1", "2", "3"] { try await bench.send(text, to: destination, over: transport) }
            #expect(try await transport.status(of: destination, deadline: nil)?.messages == 3)
            for _ in 1...2 {
                let received = EventRecorder<Delivery>()
                let listener = try await transport.listen(on: .deadLetters(topic: bench.topic), prefetch: 10) {
                    received.record($0)
                }
                #expect(try await received.first(3).map(\.text) == ["1", "2", "3"])
                await listener.close()
            }
            let name = try #require(await Self.queue(of: .deadLetters(topic: bench.topic), on: transport))
            try await bench.harness.deleteQueue(name)
        },
        Check("a queue that does not exist has no status and cannot be listened on") { bench in
            let transport = try await bench.transport()
            #expect(try await transport.status(of: .topic(bench.topic, exchange: nil), deadline: nil) == nil)
            let error = await #expect(throws: RPCError.self) {
                _ = try await transport.listen(on: .queue(bench.topic), prefetch: 1) { _ in }
            }
            #expect(error?.code == .noSuchServer)
        },
        Check("the status of a queue says who consumes it and what waits") { bench in
            let transport = try await bench.transport()
            let (listener, received) = try await bench.listener("a", on: transport, prefetch: 1)
            let destination = Destination.server("a", topic: bench.topic, exchange: nil)
            for text in ["1", "2", "3"] { try await bench.send(text, to: destination, over: transport) }
            try await received.first(1)
            let status = try await transport.status(of: destination, deadline: .now + .seconds(10))
            #expect(status == QueueStatus(consumers: 1, messages: 2))
            await listener.close()
        },
        Check("a control listener's queues are gone with it") { bench in
            let transport = try await bench.transport()
            let target = Target.topic(bench.topic, server: "a")
            let received = EventRecorder<Delivery>()
            let listener = try await transport.listen(on: .control(target), prefetch: 10) { received.record($0) }
            let control = Destination.server("a", topic: target.control.topic, exchange: nil)
            try await transport.send(
                Message(body: Array("?".utf8)),
                to: control,
                options: SendOptions(isMandatory: true, lane: .control)
            )
            #expect(try await received.first(1).map(\.queue) == ["\(bench.topic)_control.a"])
            await listener.close()
            let error = await #expect(throws: RPCError.self) {
                try await bench.send("?", to: control, over: transport)
            }
            #expect(error?.code == .noSuchServer)
        },
    ]

    /// The name of a queue in which something waits.
    private static func queue(of source: Source, on transport: any Transport) async throws -> String? {
        let received = EventRecorder<Delivery>()
        let listener = try await transport.listen(on: source, prefetch: 1) { received.record($0) }
        let name = try await received.first(1).first?.queue
        await listener.close()
        return name
    }
}
