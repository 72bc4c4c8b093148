internal import Messaging
internal import Testing

/// What the wire contract says of clients, seen by a server that answers with raw messages.
extension TransportConformance {
    static let clientContract = [
        Check("casts whose confirm nobody awaits are all sent, also when their transport is closed right behind them") {
            bench in
            let receiving = try await bench.transport()
            let (listener, received) = try await bench.listener("a", on: receiving, prefetch: 5_000)
            let transport = try await bench.transport()
            // More than may be under way at the same time.
            let count = 3_000
            let client = RPCClient(transport, target: .topic(bench.topic)).prepare { $0.awaitsConfirm = false }
            for number in 0..<count { try await client.cast("note", ["number": .integer(number)]) }
            await transport.close()
            let deliveries = try await received.first(count)
            let numbers = try deliveries.compactMap { try RequestPayload($0).args.value()["number"]?.intValue }
            #expect(Set(numbers) == Set(0..<count))
            _ = await listener.acknowledge(deliveries)
            await listener.close()
        },
        Check("a cast whose confirm nobody awaits is no error where nobody serves its topic") { bench in
            let client = RPCClient(try await bench.transport(), target: .topic("nobody-" + bench.topic))
            try await client.prepare { $0.awaitsConfirm = false }.cast("note")
            await #expect(throws: RPCError.self) { try await client.cast("note") }
        },
        Check("wire contract 3.3: replies in every form that a server may send are understood") { bench in
            let forms = [
                (#"{"result": 5, "failure": null, "ending": true, "_msg_id": "ID", "_unique_id": "u1"}"#, "5"),
                // Without a unique id, without a result, without a failure.
                (#"{"result": "x", "failure": null, "ending": true, "_msg_id": "ID"}"#, #""x""#),
                (#"{"failure": null, "ending": true, "_msg_id": "ID"}"#, "null"),
                (#"{"result": [1], "ending": true, "_msg_id": "ID"}"#, "[1]"),
                // Falsy failures are none.
                (#"{"result": 1, "failure": "", "ending": true, "_msg_id": "ID"}"#, "1"),
                (#"{"result": 2, "failure": false, "ending": true, "_msg_id": "ID"}"#, "2"),
                (#"{"result": 3, "failure": 0, "ending": 1, "_msg_id": "ID"}"#, "3"),
                (#"{"result": 4, "failure": {}, "ending": true, "_msg_id": "ID"}"#, "4"),
            ]
            try await bench.withRawServer { client, server in
                for (number, (payload, expected)) in forms.enumerated() {
                    async let reply = client.call("any")
                    try await server.answer(try await server.request(number: number + 1), payload)
                    #expect(try await reply.description == expected, "\(payload)")
                }
            }
        },
        Check("wire contract 3.3: a value and its ending in two messages are one reply") { bench in
            try await bench.withRawServer { client, server in
                async let reply = client.call("any")
                let request = try await server.request(number: 1)
                try await server.answer(request, #"{"result": 5, "failure": null, "ending": false, "_msg_id": "ID"}"#)
                try await server.answer(request, #"{"result": null, "failure": null, "ending": true, "_msg_id": "ID"}"#)
                #expect(try await reply == 5)
            }
        },
        Check("wire contract 3.3: a reply without an ending does not end the call") { bench in
            try await bench.withRawServer { client, server in
                async let reply = client.call("any")
                let request = try await server.request(number: 1)
                try await server.answer(request, #"{"result": null, "failure": null, "_msg_id": "ID"}"#)
                try await server.answer(request, #"{"result": 6, "failure": null, "ending": true, "_msg_id": "ID"}"#)
                #expect(try await reply == 6)
            }
        },
        Check("wire contract 3.4: a failure is one, be it text, an object or no JSON") { bench in
            let object = #"{"class": "C", "module": "m", "message": "text", "tb": [], "args": [], "kwargs": {}}"#
            let failures = [
                (RawJSON(.string(object)).text, "m.C: text"), (object, "m.C: text"), (#""no JSON""#, "no JSON"),
                ("[1]", "[1]"),
            ]
            try await bench.withRawServer { client, server in
                for (number, (failure, expected)) in failures.enumerated() {
                    async let reply = client.call("any")
                    try await server.answer(
                        try await server.request(number: number + 1),
                        #"{"result": null, "failure": \#(failure), "ending": true, "_msg_id": "ID"}"#
                    )
                    do {
                        let result = try await reply
                        Issue.record("\(result) came instead of \(failure)")
                    } catch let error as RPCError {
                        #expect(error.code == .remote && error.failure?.description == expected, "\(failure)")
                    }
                }
            }
        },
        Check("wire contract 5.1: late, unknown and repeated replies are dropped and counted") { bench in
            let transport = try await bench.transport()
            try await bench.withRawServer(transport) { client, server in
                let ending = #"{"result": 1, "failure": null, "ending": true, "_msg_id": "ID"}"#
                await #expect(throws: RPCError.self) {
                    _ = try await client.call("any", timeout: .seconds(2))
                }
                let timedOut = try await server.request(number: 1)
                async let reply = client.call("any")
                let answered = try await server.request(number: 2)
                try await server.answer(timedOut, ending)
                try await server.answer(timedOut, #"{"result": 1, "ending": true, "_msg_id": "unknown"}"#)
                try await server.answer(timedOut, "no reply at all")
                try await server.answer(answered, ending)
                #expect(try await reply == 1)
                try await server.answer(answered, ending)
                async let last = client.call("any")
                try await server.answer(try await server.request(number: 3), ending)
                #expect(try await last == 1)
            }
            #expect(transport.replies.lateReplies == 4)
            #expect(transport.replies.waitingCalls == 0)
        },
        Check("wire contract 5.1: a sign of life that nobody asked for does no harm") { bench in
            try await bench.withRawServer { client, server in
                async let reply = client.call("any")
                let request = try await server.request(number: 1)
                #expect(request.monitorInterval == nil)
                for _ in 1...3 {
                    try await server.answer(
                        request,
                        #"{"result": null, "failure": null, "ending": false, "_msg_id": "ID"}"#
                    )
                }
                try await server.answer(request, #"{"result": 7, "failure": null, "ending": true, "_msg_id": "ID"}"#)
                #expect(try await reply == 7)
            }
        },
        Check("wire contract 5.1: a call without signs of life ends by its monitor, long before its timeout") { bench in
            try await bench.withRawServer { client, server in
                let start = ContinuousClock.now
                let error = await #expect(throws: RPCError.self) {
                    _ = try await client.prepare { $0.callMonitorTimeout = .milliseconds(2_500) }
                        .call("any", timeout: .seconds(60))
                }
                #expect(error?.code == .timeout)
                #expect(ContinuousClock.now - start < .seconds(30))
                // What the server gets to know of it is the monitor's time, not the timeout (wire contract 3.2).
                let request = try await server.request(number: 1)
                #expect(request.monitorInterval == .milliseconds(2_500))
            }
        },
        Check("wire contract 5.1: a call's timeout is its message's time to live, and a cast has none") { bench in
            try await bench.withRawServer { client, server in
                await #expect(throws: RPCError.self) { _ = try await client.call("any", timeout: .milliseconds(2_450)) }
                try await client.cast("any")
                let deliveries = try await server.received.first(2)
                #expect(deliveries.map(\.timeToLive) == [.milliseconds(2_450), nil])
                let requests = (try await server.request(number: 1), try await server.request(number: 2))
                #expect(requests.0.isCall && !requests.1.isCall)
            }
        },
        Check("wire contract 5.3: what nobody serves is told to the caller at once") { bench in
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            for send in [
                { _ = try await client.call("any", timeout: .seconds(60)) }, { _ = try await client.cast("any") },
            ] as [@Sendable () async throws -> Void] {
                let error = await #expect(throws: RPCError.self) { try await send() }
                #expect(error?.code == .noSuchServer)
            }
        },
    ]
}

extension TransportConformance.Bench {
    /// A server that says what a check tells it, and a client of it.
    func withRawServer(
        _ transport: (any Transport)? = nil,
        _ body: (RPCClient, RawPeer) async throws -> Void
    ) async throws {
        let server = try await RawPeer(try await self.transport(), topic: self.topic)
        let client: any Transport
        if let transport { client = transport } else { client = try await self.transport() }
        try await body(RPCClient(client, target: .topic(self.topic)).prepare { $0.timeout = .seconds(20) }, server)
    }
}
