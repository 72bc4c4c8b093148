internal import Messaging
internal import Testing

/// What is there when all is said and done: nothing.
extension TransportConformance {
    static let leftovers = [
        Check("nothing is left of 1,000 good, bad, cancelled and timed-out calls") { bench in
            let load = Leftovers()
            let caller = try await bench.transport()
            let transport = try await bench.transport()
            let client = RPCClient(caller, target: .topic(bench.topic, server: "a"))
            try await withRPCServer(
                on: transport,
                target: .topic(bench.topic, server: "a"),
                endpoints: [load.endpoint]
            ) { server in
                // What is there before: connections, queues, the reply queue.
                _ = try await client.call("good")
                let before = try await bench.harness.consumersByQueue()
                try await load.run(1_000, client)
                #expect(load.outcomes.events.count == 1_000)
                for outcome in ["good", "remote", "cancelled", "timeout"] {
                    #expect(load.outcomes.events.count { $0 == outcome } == 250, "\(outcome)")
                }
                try await bench.eventually {
                    let left = (load.handlers.living, server.runningHandlers, caller.replies.waitingCalls)
                    guard left == (0, 0, 0) else {
                        throw RPCError(.timeout, "handlers, slots, calls left: \(left)")
                    }
                }
                #expect(load.callers.living == 0)
                try await bench.eventually {
                    let after = try await bench.harness.consumersByQueue()
                    guard after == before else { throw RPCError(.timeout, "at the broker: \(before), \(after)") }
                }
            }
            await caller.close()
            await transport.close()
            // The shared queues wait for the next server (wire contract 1.4); the others are gone, and nobody consumes.
            try await bench.eventually {
                let left = try await bench.harness.consumersByQueue()
                guard Set(left.keys).isSubset(of: [bench.topic, "\(bench.topic).a"]),
                    left.values.allSatisfy({ $0 == 0 })
                else { throw RPCError(.timeout, "left at the broker: \(left)") }
            }
        }
    ]

    /// Calls that end in every way, and a count of what lives for them.
    private struct Leftovers: Sendable {
        let handlers = LivingCount()
        let callers = LivingCount()
        let started = EventRecorder<Int>()
        let outcomes = EventRecorder<String>()

        var endpoint: RPCEndpoint {
            RPCEndpoint {
                RPCHandler("good") { _, _ in
                    let token = self.handlers.token()
                    return withExtendedLifetime(token) { "good" }
                }
                RPCHandler("bad") { _, _ in
                    let token = self.handlers.token()
                    throw Echo.Refused(value: withExtendedLifetime(token) { "bad" })
                }
                RPCHandler("hang") { _, arguments in
                    let token = self.handlers.token()
                    defer { withExtendedLifetime(token) {} }
                    self.started.record(arguments["number"]?.intValue ?? 0)
                    // Until it is cancelled: its caller's time is over, or its caller is cancelled itself.
                    try await ContinuousClock().sleep(for: .seconds(3_600))
                    return .null
                }
            }
        }

        /// Makes calls, twenty at a time.
        func run(_ count: Int, _ client: RPCClient) async throws {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    if number >= 20 { await group.next() }
                    group.addTask {
                        let token = self.callers.token()
                        self.outcomes.record(await self.call(number, client))
                        withExtendedLifetime(token) {}
                    }
                }
            }
        }

        private func call(_ number: Int, _ client: RPCClient) async -> String {
            let arguments: [String: JSONValue] = ["number": .integer(number)]
            do {
                switch number % 4 {
                case 0: return try await client.call("good").stringValue ?? "-"
                case 1: return try await client.call("bad").description
                case 2: return try await client.call("hang", arguments, timeout: .milliseconds(100)).description
                default:
                    return try await withThrowingTaskGroup(of: String.self) { group in
                        group.addTask { try await client.call("hang", arguments, timeout: .seconds(60)).description }
                        try await self.started.first(1) { $0 == number }
                        group.cancelAll()
                        return try await group.next() ?? "-"
                    }
                }
            } catch is CancellationError {
                return "cancelled"
            } catch let error as RPCError {
                return error.code.description
            } catch {
                return "\(error)"
            }
        }
    }
}
