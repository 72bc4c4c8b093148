internal import Messaging
internal import Testing

extension TransportConformance {
    static let servers = [
        Check("wire contract 4.5: a stopped server finishes what runs and gives back what it had not started") {
            bench in
            let started = EventRecorder<String>()
            let gate = EventRecorder<Void>()
            let ended = EventRecorder<String>()
            let work = RPCMethod<Echo.Value, Void>("work", since: "1.0")
            let endpoint = RPCEndpoint {
                work.handled { _, arguments in
                    started.record(arguments.value)
                    try await gate.first(1)
                    ended.record(arguments.value)
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 2
            let server = RPCServer(
                try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            )
            let ready = EventRecorder<Void>()
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run { ready.record(()) } }
                try await ready.first(1)
                for number in 1...6 { try await client.cast(work, .init(value: "\(number)")) }
                try await started.first(2)
                server.stop()
                gate.record(())
                try await group.waitForAll()
            }
            #expect(Set(ended.events) == Set(started.events))
            #expect(ended.events.count == 2)
            // A second server finds the other four.
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "b"),
                endpoints: [endpoint]
            ) { _ in try await ended.first(6) }
            #expect(Set(ended.events) == ["1", "2", "3", "4", "5", "6"])
        },
        Check("at most so many handlers run at once") { bench in
            let running = EventRecorder<Int>()
            let gate = EventRecorder<Void>()
            let work = RPCMethod<Void, Void>("work", since: "1.0")
            let endpoint = RPCEndpoint {
                work.handled { _ in
                    running.record(1)
                    try await gate.first(1)
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 3
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            ) { server in
                for _ in 1...10 { try await client.cast(work) }
                try await running.first(3)
                #expect(server.runningHandlers == 3)
                #expect(running.events.count == 3)
                gate.record(())
                try await running.first(10)
            }
        },
        Check("wire contract 4.1: a lost connection loses nothing and repeats nothing") { bench in
            let transport = try await bench.transport()
            let ran = EventRecorder<String>()
            let gate = EventRecorder<Void>()
            let work = RPCMethod<Echo.Value, Void>("work", since: "1.0")
            let endpoint = RPCEndpoint {
                work.handled { _, arguments in
                    ran.record(arguments.value)
                    try await gate.first(1)
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 2
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic, server: "a"))
            try await withRPCServer(
                on: transport,
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                let texts = (1...40).map(String.init)
                for text in texts { try await client.cast(work, .init(value: text)) }
                try await ran.first(2)
                // Two run, the others wait unacknowledged in the server, and come a second time.
                try await bench.harness.interrupt(transport)
                try await bench.eventually { try await client.cast(work, .init(value: "last")) }
                gate.record(())
                try await ran.first(41)
                #expect(Set(ran.events) == Set(texts + ["last"]))
            }
            // The last one was perhaps sent twice, where the connection was lost before its confirm.
            #expect(ran.events.filter { $0 != "last" }.count == 40)
        },
        Check("wire contract 4.1: a request that is delivered twice runs once") { bench in
            let transport = try await bench.transport()
            let ran = EventRecorder<String>()
            let endpoint = RPCEndpoint {
                RPCHandler("work") { context, arguments in
                    ran.record(arguments["name"]?.stringValue ?? "-")
                    return .null
                }
            }
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint]
            ) { _ in
                let body = #"{"method": "work", "args": {"name": "once"}, "_unique_id": "0123"}"#
                for _ in 1...3 { try await bench.send(body, to: .topic(bench.topic, exchange: nil), over: transport) }
                let last = #"{"method": "work", "args": {"name": "last"}, "_unique_id": "4567"}"#
                try await bench.send(last, to: .topic(bench.topic, exchange: nil), over: transport)
                let names = try await ran.first(2)
                #expect(Set(names) == ["once", "last"])
            }
            #expect(ran.events.count == 2)
        },
        Check("an at-least-once method is acknowledged after its handler, and not run twice in one server") { bench in
            let transport = try await bench.transport()
            let started = EventRecorder<Bool>()
            let gate = EventRecorder<Void>()
            let work = RPCMethod<Void, Void>("work", since: "1.0", delivery: .atLeastOnce)
            let endpoint = RPCEndpoint {
                work.handled { context in
                    started.record(context.request?.isRedelivered ?? false)
                    try await gate.first(1)
                }
            }
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            try await withRPCServer(
                on: transport,
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint]
            ) { _ in
                try await client.cast(work)
                try await started.first(1)
                // Not acknowledged yet: the broker delivers it again, and it is held while the first runs.
                try await bench.harness.interrupt(transport)
                try await bench.eventually { try await client.on(host: "a").cast(work) }
                try await started.first(2)
                #expect(started.events == [false, false])
                gate.record(())
            }
            #expect(started.events.count == 2)
        },
        Check("an at-least-once method that its server's end cuts short is run by another server") { bench in
            let started = EventRecorder<String>()
            let work = RPCMethod<Void, Void>("work", since: "1.0", delivery: .atLeastOnce)
            let endless = RPCEndpoint {
                work.handled { _ in
                    started.record("a")
                    try await ContinuousClock().sleep(for: .seconds(3600))
                }
            }
            let brief = RPCEndpoint { work.handled { _ in started.record("b") } }
            var configuration = RPCServer.Configuration()
            configuration.gracePeriod = .milliseconds(100)
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endless],
                configuration: configuration
            ) { _ in
                try await client.cast(work)
                try await started.first(1)
            }
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "b"),
                endpoints: [brief]
            ) { _ in try await started.first(2) }
            #expect(started.events == ["a", "b"])
        },
        Check("wire contract 3.1, 4.3: bad requests do not stop a server, and are answered where they name who asks") {
            bench in
            let transport = try await bench.transport()
            let replies = EventRecorder<Delivery>()
            // A listener's host queue serves as reply queue, so that the raw replies can be looked at.
            _ = try await transport.listen(
                on: .server(.topic(bench.topic + "-replies", server: "r")),
                prefetch: 100
            ) {
                replies.record($0)
            }
            let queue = "\(bench.topic)-replies.r"
            try await bench.withServer("a") { client in
                let nesting = String(repeating: "[", count: 10_000)
                let answered = [
                    #"{"args": {}, "_msg_id": "m1", "_reply_q": "\#(queue)"}"#,
                    #"{"method": 7, "args": {}, "_msg_id": "m2", "_reply_q": "\#(queue)"}"#,
                    #"{"method": "echo", "args": [1], "_msg_id": "m3", "_reply_q": "\#(queue)"}"#,
                    #"{"method": "echo", "version": "x", "_msg_id": "m4", "_reply_q": "\#(queue)"}"#,
                    #"{"method": "echo", "version": 1, "_msg_id": "m5", "_reply_q": "\#(queue)"}"#,
                    #"{"method": "echo", "version": null, "_msg_id": "m6", "_reply_q": "\#(queue)"}"#,
                    #"{"method": "echo", "namespace": "", "_msg_id": "m7", "_reply_q": "\#(queue)"}"#,
                    #"{"oslo.version": "2.0", "oslo.message": "{\"_msg_id\": \"m8\", \"_reply_q\": \"\#(queue)\", "#
                        + #"\"method\": \"echo\", \"args\": {\"value\": \#(nesting)}}"}"#,
                ]
                let silent = [
                    "", "{", "[1, 2]", "nothing", "\u{FEFF}{}", #"{"oslo.version": "3.0", "oslo.message": "{}"}"#,
                    #"{"oslo.version": "2.0", "oslo.message": 7}"#, #"{"oslo.version": "2.0", "oslo.message": "{"}"#,
                    nesting, #"{"method": "echo", "_msg_id": "m", "_reply_q": 7}"#, #"{"method": "echo"}"#,
                    #"{"method": "echo", "_msg_id": {}, "_reply_q": []}"#,
                ]
                for body in silent + answered {
                    try await bench.send(body, to: .topic(bench.topic, exchange: nil), over: transport)
                }
                let bodies = try await replies.first(answered.count)
                for id in (1...answered.count).map({ "m\($0)" }) {
                    #expect(
                        bodies.contains { $0.text.contains(#"\"\#(id)\""#) && $0.text.contains("failure") },
                        "\(id)"
                    )
                }
                #expect(try await client.call(Echo.host) == "a")
            }
        },
        Check("wire contract 4.3: a caller that has vanished holds nothing up") { bench in
            let transport = try await bench.transport()
            try await bench.withServer("a") { client in
                for number in 1...100 {
                    let body = """
                        {"method": "host", "version": "1.5", "args": {}, \
                        "_msg_id": "m\(number)", "_reply_q": "reply_gone"}
                        """
                    try await bench.send(
                        body,
                        to: .topic(bench.topic, exchange: nil),
                        over: transport,
                        timeToLive: .seconds(2)
                    )
                }
                #expect(try await client.call(Echo.host, timeout: .seconds(10)) == "a")
            }
        },
        Check("wire contract 4.5: a server without a host, and a second run of a server, are refused") { bench in
            let transport = try await bench.transport()
            let error = await #expect(throws: RPCError.self) {
                try await RPCServer(transport, target: .topic(bench.topic), endpoints: []).run()
            }
            #expect(error?.code == .invalidTarget)
            let server = RPCServer(transport, target: .topic(bench.topic, server: "a"), endpoints: [])
            server.stop()
            try await server.run()
            await #expect(throws: RPCError.self) { try await server.run() }
        },
    ]
}
