internal import Messaging
internal import Testing

extension TransportConformance {
    static let routing = [
        Check("a message to a topic reaches one of its listeners, in turn") { bench in
            let transport = try await bench.transport()
            let (_, first) = try await bench.listener("a", on: transport)
            let (_, second) = try await bench.listener("b", on: try await bench.transport())
            for number in 1...10 {
                try await bench.send("\(number)", to: .topic(bench.topic, exchange: nil), over: transport)
            }
            try await first.first(5)
            try await second.first(5)
            #expect(Set((first.events + second.events).map(\.text)) == Set((1...10).map(String.init)))
        },
        Check("a message to a host reaches that host only") { bench in
            let transport = try await bench.transport()
            let (_, first) = try await bench.listener("a", on: transport)
            let (_, second) = try await bench.listener("b", on: transport)
            try await bench.send("x", to: .server("b", topic: bench.topic, exchange: nil), over: transport)
            try await bench.send("y", to: .server("a", topic: bench.topic, exchange: nil), over: transport)
            #expect(try await second.first(1).map(\.text) == ["x"])
            #expect(try await first.first(1).map(\.text) == ["y"])
            #expect(first.events.count == 1 && second.events.count == 1)
        },
        Check("a fanout reaches every listener of the topic once") { bench in
            let transport = try await bench.transport()
            let (_, first) = try await bench.listener("a", on: transport)
            let (_, second) = try await bench.listener("b", on: try await bench.transport())
            try await transport.send(Message(body: Array("all".utf8)), to: .fanout(bench.topic), options: SendOptions())
            #expect(try await first.first(1).map(\.text) == ["all"])
            #expect(try await second.first(1).map(\.text) == ["all"])
        },
        Check("a mandatory message that no queue takes is an error") { bench in
            let transport = try await bench.transport()
            let error = await #expect(throws: RPCError.self) {
                try await bench.send("x", to: .server("nobody", topic: bench.topic, exchange: nil), over: transport)
            }
            #expect(error?.code == .noSuchServer)
        },
        Check("a message that need not arrive, and a fanout to nobody, are no errors") { bench in
            let transport = try await bench.transport()
            try await transport.send(Message(body: [1]), to: .topic(bench.topic, exchange: nil), options: SendOptions())
            try await transport.send(Message(body: [1]), to: .fanout(bench.topic), options: SendOptions())
        },
        Check("messages to another exchange go their own way") { bench in
            let transport = try await bench.transport()
            let received = EventRecorder<Delivery>()
            let exchange = "exchange-" + makeUniqueID()
            _ = try await transport.listen(
                on: .server(.topic(bench.topic, server: "a", exchange: exchange)),
                prefetch: 10
            ) { received.record($0) }
            let error = await #expect(throws: RPCError.self) {
                try await bench.send("x", to: .topic(bench.topic, exchange: nil), over: transport)
            }
            #expect(error?.code == .noSuchServer)
            try await bench.send("y", to: .topic(bench.topic, exchange: exchange), over: transport)
            #expect(try await received.first(1).map(\.text) == ["y"])
        },
        Check("a target that cannot be listened on is refused") { bench in
            let transport = try await bench.transport()
            for target in [Target.topic(bench.topic), .topic("", server: "a"), .topic("a.*", server: "b")] {
                let error = await #expect(throws: RPCError.self) {
                    _ = try await transport.listen(on: .server(target), prefetch: 1) { _ in }
                }
                #expect(error?.code == .invalidTarget)
            }
        },
    ]
}
