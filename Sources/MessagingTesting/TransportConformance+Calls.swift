internal import Messaging
internal import Testing

extension TransportConformance {
    static let calls = [
        Check("a call returns the method's result") { bench in
            try await bench.withServer("a") { client in
                #expect(try await client.call(Echo.echo, .init(value: "grüße 🌍"), timeout: .seconds(20)) == "grüße 🌍")
                #expect(
                    try await client.call("echo", ["value": [1, nil, 2.5, ["a": true]]]) == [1, nil, 2.5, ["a": true]]
                )
                try await client.call(Echo.nothing, timeout: .seconds(20))
            }
        },
        Check("a call to a host runs on that host") { bench in
            try await bench.withServer("a") { client in
                try await bench.withServer("b") { _ in
                    for host in ["a", "b", "a", "b"] {
                        let answer = try await client.on(host: host).call(Echo.host)
                        #expect(answer == host)
                    }
                }
            }
        },
        Check("a call to a host that does not exist fails within a second and says so") { bench in
            try await bench.withServer("a") { client in
                _ = try await client.call(Echo.host)
                // The fastest of a few: a machine that is busy with other tests may hold up any one of them.
                var fastest = Duration.seconds(30)
                for _ in 1...10 where fastest >= .seconds(1) {
                    let start = ContinuousClock.now
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await client.on(host: "nobody").call(Echo.host, timeout: .seconds(30))
                    }
                    fastest = min(fastest, ContinuousClock.now - start)
                    #expect(error?.code == .noSuchServer)
                    #expect(error?.message.contains("nobody") == true)
                }
                #expect(fastest < .seconds(1))
            }
        },
        Check("a cast to nobody is an error, a cast to a host is run") { bench in
            try await bench.withServer("a") { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.on(host: "nobody").cast(Echo.note, .init(value: "1"))
                }
                #expect(error?.code == .noSuchServer)
                try await client.on(host: "a").cast(Echo.note, .init(value: "2"))
                try await client.fanout(Echo.note, .init(value: "3"))
                try await bench.eventually {
                    let notes = try await client.call(Echo.notes)
                    if Set(notes) != ["2", "3"] { throw RPCError(.timeout, "notes are \(notes)") }
                }
            }
        },
        Check("what a method throws reaches the caller with class, module, message and arguments") { bench in
            try await bench.withServer("a") { client in
                let error = await #expect(throws: RPCError.self) { try await client.call(Echo.fail, .init(value: "é")) }
                #expect(error?.code == .remote)
                #expect(error?.failure?.className == "Refused")
                #expect(error?.failure?.module == "conformance.errors")
                #expect(error?.failure?.message == "refused: é")
                #expect(error?.failure?.kwargs == ["value": "é"])
            }
        },
        Check("unknown methods, namespaces, versions and wrong arguments are answered with typed failures") { bench in
            try await bench.withServer("a") { client in
                func failure(_ body: () async throws -> Void) async -> String? {
                    do {
                        try await body()
                        return nil
                    } catch {
                        return (error as? RPCError)?.failure?.className ?? "\(error)"
                    }
                }
                #expect(await failure { _ = try await client.call("unknown") } == "NoSuchMethod")
                #expect(await failure { _ = try await client.call("echo", namespace: "other") } == "UnsupportedVersion")
                #expect(
                    await failure { _ = try await client.prepare { $0.version = "2.0" }.call("echo") }
                        == "UnsupportedVersion"
                )
                #expect(
                    await failure { _ = try await client.prepare { $0.version = "1.9" }.call("echo") }
                        == "UnsupportedVersion"
                )
                #expect(await failure { _ = try await client.call("note", ["value": 1]) } == "TypeError")
                #expect(await failure { _ = try await client.call("note") } == "TypeError")
            }
        },
        Check("wire contract 5.1: a call that gets no reply ends at its timeout") { bench in
            try await bench.withServer("a") { client in
                // The first call also connects.
                _ = try await client.call(Echo.host)
                let start = ContinuousClock.now
                let error = await #expect(throws: RPCError.self) {
                    try await client.call(Echo.sleep, .init(seconds: 60), timeout: .milliseconds(400))
                }
                #expect(error?.code == .timeout)
                #expect(ContinuousClock.now - start < .seconds(10))
            }
        },
        Check("wire contract 4.4, 5.1: a long call is watched by its monitor and outlives it") { bench in
            try await bench.withServer("a") { client in
                // Long enough for a machine that is busy with other tests to send a sign of life each half of it.
                let watched = client.prepare { $0.callMonitorTimeout = .seconds(8) }
                try await watched.call(Echo.sleep, .init(seconds: 9), timeout: .seconds(60))
            }
        },
        Check("a cancelled call ends at once") { bench in
            try await bench.withServer("a") { client in
                _ = try await client.call(Echo.host)
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        await #expect(throws: CancellationError.self) {
                            try await client.call(Echo.sleep, .init(seconds: 60), timeout: .seconds(50))
                        }
                    }
                    await Task.yield()
                    group.cancelAll()
                }
            }
        },
        Check("the request context reaches the method") { bench in
            try await bench.withServer("a") { client in
                let context = RPCContext(["user_id": "u1", "roles": ["member"], "limit": 12_345_678_901_234])
                let seen = try await client.call("context", context: context)
                #expect(seen["user_id"] == "u1")
                #expect(seen["roles"] == ["member"])
                #expect(seen["limit"] == 12_345_678_901_234)
            }
        },
        Check("many calls at once each get their own reply") { bench in
            try await bench.withServer("a") { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...300 {
                        group.addTask {
                            let reply = try await client.call(
                                Echo.echo,
                                .init(value: "\(number)"),
                                timeout: .seconds(30)
                            )
                            #expect(reply == "\(number)")
                        }
                    }
                    try await group.waitForAll()
                }
            }
        },
        Check("a version cap refuses what is newer, before anything is sent") { bench in
            let client = RPCClient(try await bench.transport(), target: .topic(bench.topic))
                .prepare { $0.versionCap = "1.2" }
            #expect(client.canSend("1.2") && !client.canSend("1.3") && !client.canSend("2.0"))
            let error = await #expect(throws: RPCError.self) { _ = try await client.call(Echo.host) }
            #expect(error?.code == .versionCapExceeded)
        },
        Check("a fanout cannot be called") { bench in
            let target = Target(topic: bench.topic, isFanout: true)
            let client = RPCClient(try await bench.transport(), target: target)
            let error = await #expect(throws: RPCError.self) { _ = try await client.call(Echo.host) }
            #expect(error?.code == .invalidTarget)
        },
    ]

    /// The contract of the service that the checks call.
    enum Echo {
        struct Value: Codable, Sendable { var value: String }
        struct Pause: Codable, Sendable { var seconds: Double }

        static let echo = RPCMethod<Value, String>("echo", since: "1.0")
        static let nothing = RPCMethod<Void, Void>("nothing", since: "1.0")
        static let host = RPCMethod<Void, String>("host", since: "1.5")
        static let note = RPCMethod<Value, Void>("note", since: "1.0")
        static let notes = RPCMethod<Void, [String]>("notes", since: "1.0")
        static let fail = RPCMethod<Value, Void>("fail", since: "1.0")
        static let sleep = RPCMethod<Pause, Void>("sleep", since: "1.0")

        struct Refused: Error, RemoteFailureConvertible {
            let value: String
            var remoteFailure: RemoteFailure {
                RemoteFailure(
                    className: "Refused",
                    module: "conformance.errors",
                    message: "refused: \(self.value)",
                    kwargs: ["value": .string(self.value)]
                )
            }
        }

        static func endpoint(host name: String) -> RPCEndpoint {
            let noted = EventRecorder<String>()
            return RPCEndpoint(version: "1.5") {
                RPCHandler("echo") { _, arguments in arguments["value"] ?? .null }
                RPCHandler("context") { context, _ in .object(context.values) }
                self.nothing.handled { _ in }
                self.host.handled { _ in name }
                self.note.handled { _, arguments in noted.record(arguments.value) }
                self.notes.handled { _ in noted.events }
                self.fail.handled { _, arguments in throw Refused(value: arguments.value) }
                self.sleep.handled { _, arguments in try await ContinuousClock().sleep(for: .seconds(arguments.seconds))
                }
            }
        }
    }
}

extension TransportConformance.Bench {
    /// Runs the echo service under a host name while `body` calls it over a transport of its own.
    func withServer(_ host: String, _ body: @Sendable (RPCClient) async throws -> Void) async throws {
        let client = RPCClient(try await self.transport(), target: .topic(self.topic))
            .prepare { $0.timeout = .seconds(20) }
        var configuration = RPCServer.Configuration()
        // Some checks leave a handler behind that nobody waits for any more.
        configuration.gracePeriod = .milliseconds(500)
        try await withRPCServer(
            on: try await self.transport(),
            target: .topic(self.topic, server: host),
            endpoints: [TransportConformance.Echo.endpoint(host: host)],
            configuration: configuration
        ) { _ in try await body(client) }
    }
}
