internal import Messaging
internal import Testing

extension TransportConformance {
    /// Questions about a server: see `ControlRPC`.
    static let control = [
        Check("ping and stats are answered while every handler slot is busy and more requests wait") { bench in
            let started = EventRecorder<Void>()
            let gate = EventRecorder<Void>()
            let work = RPCMethod<Void, Void>("work", since: "1.3")
            let endpoint = RPCEndpoint(version: "1.4") {
                work.handled { _ in
                    started.record(())
                    try await gate.first(1)
                }
            }
            var configuration = RPCServer.Configuration()
            configuration.concurrency = 2
            configuration.prefetch = 5
            configuration.serviceVersion = "7.1"
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [endpoint],
                configuration: configuration
            ) { _ in
                for _ in 1...9 { try await client.cast(work) }
                try await started.first(2)
                let control = try await bench.control("a")
                let ping = try await control.call(ControlRPC.ping)
                #expect(ping.topic == bench.topic)
                #expect(ping.host == "a")
                #expect(ping.state == .accepting)
                #expect(ping.versions == ["1.4"])
                #expect(ping.serviceVersion == "7.1")
                #expect(ping.running == 2)
                #expect(ping.concurrency == 2)
                #expect(ping.waiting <= 5)
                #expect(ping.incarnation.utf8.count == 32)
                let stats = try await control.call(ControlRPC.stats)
                #expect(stats.methods.map(\.name) == ["work"])
                #expect(stats.methods.first?.inFlight == 2)
                #expect(stats.methods.first?.calls == 2)
                #expect(stats.incarnation == ping.incarnation)
                #expect(stats.uptime >= ping.uptime)
                gate.record(())
                try await started.first(9)
            }
        },
        Check("stats tell results, errors, refusals and times apart") { bench in
            try await bench.withServer("a") { client in
                _ = try await client.call("echo", ["value": 1])
                _ = try await client.call(Echo.nothing)
                _ = await #expect(throws: RPCError.self) { try await client.call(Echo.fail, .init(value: "x")) }
                _ = await #expect(throws: RPCError.self) { try await client.call("unknown") }
                _ = await #expect(throws: RPCError.self) {
                    try await client.prepare { $0.version = "9.0" }.call("echo")
                }
                try await client.call(Echo.sleep, .init(seconds: 0.2))
                let stats = try await bench.control("a").call(ControlRPC.stats)
                let methods = Dictionary(uniqueKeysWithValues: stats.methods.map { ($0.name, $0) })
                #expect(methods["echo"]?.succeeded == 1)
                #expect(methods["echo"]?.refusals == ["unsupported_version": 1])
                #expect(methods["nothing"]?.calls == 1)
                #expect(methods["fail"]?.errors.expected == 1)
                #expect(methods["fail"]?.errors.unexpected == 0)
                #expect(methods["fail"]?.succeeded == 0)
                #expect(methods["notes"]?.calls == 0)
                #expect(methods["notes"]?.runTime == nil)
                #expect(stats.refusals == ["no_such_method": 1])
                let slept = methods["sleep"]?.runTime
                #expect(try #require(slept).p50 >= 0.19)
                #expect(slept?.count == 1)
            }
        },
        Check("info describes what is served") { bench in
            try await bench.withServer("a") { _ in
                let info = try await bench.control("a").call(ControlRPC.info)
                #expect(info.endpoints.count == 1)
                #expect(info.endpoints.first?.version == "1.5")
                #expect(info.endpoints.first?.methods.contains { $0.name == "host" && $0.since == "1.5" } == true)
                #expect(info.limits.concurrency == 64)
                #expect(info.limits.gracePeriod == 0.5)
                #expect(info.state == .accepting)
                #expect(!info.libraryVersion.isEmpty)
            }
        },
        Check("a server that drains says so until its last handler has ended, and is gone afterwards") { bench in
            let started = EventRecorder<Void>()
            let gate = EventRecorder<Void>()
            let endpoint = RPCEndpoint {
                RPCHandler("work") { _, _ in
                    started.record(())
                    try await gate.first(1)
                    return .null
                }
            }
            let transport = try await bench.transport()
            let target = Target.topic(bench.topic, server: "a")
            let server = RPCServer(transport, target: target, endpoints: [endpoint])
            let ready = EventRecorder<Void>()
            let control = try await bench.control("a")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run { ready.record(()) } }
                try await ready.first(1)
                try await RPCClient(transport, target: target).cast("work")
                try await started.first(1)
                #expect(try await control.call(ControlRPC.ping).state == .accepting)
                server.stop()
                var ping = try await control.call(ControlRPC.ping)
                #expect(ping.state == .draining)
                #expect(ping.running == 1)
                ping = try await control.call(ControlRPC.ping)
                #expect(ping.state == .draining)
                gate.record(())
                try await group.waitForAll()
            }
            let start = ContinuousClock.now
            let error = await #expect(throws: RPCError.self) { _ = try await control.call(ControlRPC.ping) }
            #expect(error?.code == .noSuchServer)
            #expect(ContinuousClock.now - start < .seconds(5))
            let looker = try await bench.transport()
            for destination: Destination in [
                .topic(target.control.topic, exchange: nil), .server("a", topic: target.control.topic, exchange: nil),
            ] {
                #expect(try await looker.status(of: destination, deadline: .now + .seconds(20)) == nil)
            }
        },
        Check("a server that is told not to answers no questions") { bench in
            var configuration = RPCServer.Configuration()
            configuration.answersControl = false
            try await withRPCServer(
                on: try await bench.transport(),
                target: .topic(bench.topic, server: "a"),
                endpoints: [],
                configuration: configuration
            ) { _ in
                let control = try await bench.control("a")
                let error = await #expect(throws: RPCError.self) { _ = try await control.call(ControlRPC.ping) }
                #expect(error?.code == .noSuchServer)
            }
        },
    ]
}

extension TransportConformance.Bench {
    /// A client that asks a server about itself, over a transport of its own.
    func control(_ host: String) async throws -> RPCClient {
        RPCClient(try await self.transport(), target: Target.topic(self.topic, server: host).control)
            .prepare { $0.timeout = .seconds(20) }
    }
}
