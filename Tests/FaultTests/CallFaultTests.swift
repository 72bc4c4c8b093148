import FaultHarness
import Foundation
import InMemoryLogging
import Logging
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

/// Calls whose caller is gone, or which nobody can serve.
@Suite(.serialized, .timeLimit(.minutes(4))) struct CallFaultTests {
    private static let pause = RPCHandler("pause") { _, arguments in
        try await Task.sleep(for: .milliseconds(arguments["milliseconds"]?.intValue ?? 0))
        return arguments["number"] ?? .null
    }

    @Test func `fault 34: replies to a caller that was killed are given up by its deadline, and hold up nobody`()
        async throws
    {
        try await Stage.with { stage in
            let logs = InMemoryLogHandler()
            let logger = Logger(label: "server") { _ in logs }
            try await stage.withTransport { transport in
                let server = RPCServer(
                    transport,
                    target: stage.target,
                    endpoints: [RPCEndpoint { Self.pause }],
                    logger: logger
                )
                let ready = Eventual<Void>()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await server.run { ready.fulfil() } }
                    await ready.wait()
                    let patience = 4
                    let arguments = ["call", stage.topic, stage.host, "40", "\(patience)", "2000", "1"]
                    var start = ContinuousClock.now
                    let queue = try await WorkerProcess.with("FaultWorker", arguments, url: stage.url()) { caller in
                        let queue = try await caller.line("CALLING ")
                        try await stage.until("all of its calls run") { server.runningHandlers == 40 }
                        // The deadlines count from when the calls were sent, which no call was later than now.
                        start = .now
                        caller.send(SIGKILL)
                        try await caller.end(within: .seconds(5))
                        return queue
                    }
                    // As its expiry, or a caller with a queue of its own connection, would have it.
                    try await stage.broker.deleteQueue(queue, virtualHost: stage.virtualHost)
                    #expect(server.runningHandlers == 40, "the caller was killed too late: nothing is shown")
                    let client = RPCClient(transport, target: stage.target)
                    var slowest = Duration.zero
                    while .now - start < .seconds(patience) + .milliseconds(500) {
                        let call = ContinuousClock.now
                        #expect(try await client.call("pause", ["number": 1]) == 1)
                        slowest = max(slowest, .now - call)
                        try await Task.sleep(for: .milliseconds(50))
                    }
                    FaultFigures.record(fault: 34, "slowest call beside it", slowest)
                    #expect(slowest < .seconds(2))
                    // One asks for the queue, in the name of all; at the deadline it says so, and nothing waits any more.
                    let given = logs.entries.filter { "\($0.message)" == "the reply is dropped" }
                    #expect(given.count == 1, "\(logs.entries)")
                    #expect(server.runningHandlers == 0)
                    let stop = ContinuousClock.now
                    server.stop()
                    try await group.waitForAll()
                    FaultFigures.record(fault: 34, "stop of the server after the deadline", .now - stop)
                    #expect(.now - stop < .seconds(2))
                }
            }
        }
    }

    /// Is inherited by every task that is made within: what still holds it has not ended.
    @TaskLocal private static var token: LivingCount.Token?

    @Test func `fault 35: unknown methods, versions and namespaces are typed errors at once, and leave no task behind`()
        async throws
    {
        try await Stage.with { stage in
            let servers = LivingCount()
            let calls = LivingCount()
            try await stage.withTransport { transport in
                try await stage.withTransport { caller in
                    let endpoint = RPCEndpoint(version: "1.5") { Self.pause }
                    let server = RPCServer(transport, target: stage.target, endpoints: [endpoint])
                    let ready = Eventual<Void>()
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            try await Self.$token.withValue(servers.token()) {
                                try await server.run { ready.fulfil() }
                            }
                        }
                        await ready.wait()
                        let client = RPCClient(caller, target: stage.target)
                        #expect(try await client.call("pause", ["number": 1]) == 1)
                        var slowest = Duration.zero
                        for number in 0..<300 {
                            let took = try await Self.$token.withValue(calls.token()) {
                                try await Self.refused(client, number)
                            }
                            slowest = max(slowest, took)
                        }
                        FaultFigures.record(fault: 35, "slowest of 300 refusals", slowest)
                        #expect(slowest < .seconds(1))
                        #expect(caller.replies.waitingCalls == 0)
                        try await stage.until("nothing runs") { server.runningHandlers == 0 }
                        #expect(server.refusals["no_such_method"] == 100)
                        #expect(server.refusals["unsupported_version"] == 200)
                        server.stop()
                        try await group.waitForAll()
                    }
                }
            }
            // The timer of the last calls may outlive them, until it would have fired.
            try await stage.until("the tasks' end", within: .seconds(10)) { calls.living == 0 && servers.living == 0 }
            FaultFigures.record(fault: 35, "tasks left", count: calls.living + servers.living)
        }
    }

    private static func refused(_ client: RPCClient, _ number: Int) async throws -> Duration {
        let start = ContinuousClock.now
        let error = await #expect(throws: RPCError.self) {
            switch number % 3 {
            case 0: _ = try await client.call("no_such_method", timeout: .seconds(5))
            case 1: _ = try await client.prepare { $0.version = "9.0" }.call("pause", timeout: .seconds(5))
            default: _ = try await client.call("pause", namespace: "nowhere", timeout: .seconds(5))
            }
        }
        #expect(error?.code == (number % 3 == 0 ? .noSuchMethod : .unsupportedVersion))
        return .now - start
    }

    @Test func `fault 36: a call or a cast to a host that is not there is noSuchServer within milliseconds`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                try await withRPCServer(
                    on: transport,
                    target: stage.target,
                    endpoints: [RPCEndpoint { Self.pause }]
                ) { _ in
                    let client = RPCClient(transport, target: .topic(stage.topic))
                    let answer = try await client.call("pause", ["number": 1])
                    #expect(answer == 1)
                    var times: [Duration] = []
                    for number in 0..<100 {
                        let start = ContinuousClock.now
                        let error = await #expect(throws: RPCError.self) {
                            switch number % 4 {
                            case 0: _ = try await client.on(host: "nobody").call("pause")
                            case 1: try await client.on(host: "nobody").cast("pause")
                            case 2: _ = try await RPCClient(transport, target: .topic("nothing")).call("pause")
                            default: try await RPCClient(transport, target: .topic("nothing")).cast("pause")
                            }
                        }
                        #expect(error?.code == .noSuchServer)
                        times.append(.now - start)
                    }
                    times.sort()
                    FaultFigures.record(fault: 36, "noSuchServer, median", times[50])
                    FaultFigures.record(fault: 36, "noSuchServer, slowest of 100", times[99])
                    #expect(times[50] < .milliseconds(50))
                    #expect(times[99] < .seconds(2))
                    #expect(transport.replies.waitingCalls == 0)
                }
            }
        }
    }
}
