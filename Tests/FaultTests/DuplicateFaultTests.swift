import AMQPClient
import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

/// Messages and replies that come twice, late, or in another order.
@Suite(.serialized, .timeLimit(.minutes(4))) struct DuplicateFaultTests {
    /// A request as its client would send it, with an id that the test knows.
    private static func request(_ method: String, _ number: Int, id: String) -> [UInt8] {
        Array(
            """
            {"method": "\(method)", "args": {"number": \(number), "milliseconds": 0}, "_unique_id": "\(id)"}
            """.utf8
        )
    }

    private static func publish(_ body: [UInt8], to queue: String = "work.host", on channel: AMQPChannel) async throws {
        try await channel.publish(
            AMQPMessage(properties: .json(), body: body),
            exchange: "",
            routingKey: queue,
            mandatory: true
        )
    }

    @Test func `fault 32: what waits at a host that has lost its connection is left to the host that gets it again`()
        async throws
    {
        try await Stage.with { stage in
            try await FaultProxy.with(before: stage.url()) { proxy, url in
                let isOpen = Mutex(false)
                let executed = Collector<String>()
                @Sendable func serve(
                    _ host: String,
                    _ url: String,
                    waits: Bool,
                    _ body: @Sendable (RPCServer) async throws -> Void
                ) async throws {
                    let transport = RabbitMQTransport(try FaultService.configuration(url))
                    let endpoint = RPCEndpoint {
                        FaultService.surely.handled { _, item in
                            executed.add("\(host) \(item.id)")
                            while waits, !isOpen.withLock(\.self) { try await Task.sleep(for: .milliseconds(5)) }
                        }
                    }
                    var configuration = RPCServer.Configuration()
                    configuration.concurrency = 1
                    try await withRPCServer(
                        on: transport,
                        target: .topic(stage.topic, server: host),
                        endpoints: [endpoint],
                        configuration: configuration,
                        body
                    )
                    await transport.close()
                }
                try await serve("lost", url, waits: true) { server in
                    try await stage.withTransport("amqp_durable_queues=true") { transport in
                        let client = RPCClient(transport, target: .topic(stage.topic))
                        for number in 1...6 { try await client.cast(FaultService.surely, .init("\(number)")) }
                        let queue = Destination.topic(stage.topic, exchange: nil)
                        try await stage.until("all is handed out") { try await stage.depth(queue, transport) == 0 }
                        try await executed.wait(for: 1)
                        proxy.admit(.reset)
                        proxy.cut()
                        try await serve("other", stage.url(), waits: false) { _ in
                            try await executed.wait { $0.count { $0.hasPrefix("other") } == 6 }
                            isOpen.withLock { $0 = true }
                            // Long enough for the five that waited behind the first.
                            try await Task.sleep(for: .seconds(1))
                        }
                        proxy.admit(.forward)
                        try await stage.until("it is ready again") { server.readiness.isReady }
                        try await stage.until("nothing is left") { try await stage.depth(queue, transport) == 0 }
                    }
                }
                // What it had begun is done twice, as nobody can take it back.
                #expect(executed.all.filter { $0.hasPrefix("lost") } == ["lost 1"])
            }
        }
    }

    @Test func `fault 32: what is published twice has one effect, also where a restart lies between`() async throws {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                let checker = Checker()
                try await stage.withChannel { channel in
                    let numbers = 1...20
                    for life in 1...2 {
                        try await stage.withWorker { worker in
                            for number in numbers {
                                if life == 1 { checker.offered("\(number)", .atLeastOnce) }
                                for _ in 1...2 {
                                    try await Self.publish(Self.request("act", number, id: "a\(number)"), on: channel)
                                }
                                checker.confirmed("\(number)")
                            }
                            try await stage.until("all is done") { try stage.counts(of: "effect").count == 20 }
                            try await stage.until("the queue is empty") {
                                try await stage.depth(stage.queue, transport) == 0
                            }
                            // What is done but not acknowledged would come to the next one as well.
                            worker.send(SIGKILL)
                            try await worker.end(within: .seconds(5))
                        }
                    }
                    try await stage.withWorker { _ in
                        let client = RPCClient(transport, target: stage.target)
                        // Behind all that the queue still held: all of it was looked at.
                        #expect(try await client.call("pause", ["number": 7, "milliseconds": 0]) == 7)
                        try await stage.until("the queue is empty") {
                            try await stage.depth(stage.queue, transport) == 0
                        }
                    }
                }
                try stage.report(to: checker)
                #expect(checker.violations == [])
                #expect(try stage.counts(of: "effect").values.allSatisfy { $0 == 1 })
                #expect(try await DeadLetterQueue(transport, topic: stage.topic).list().isEmpty)
            }
        }
    }

    @Test func `fault 32: what is done and comes again, because its acknowledgement was lost, has one effect`()
        async throws
    {
        try await Stage.with { stage in
            try await FaultProxy.with(before: stage.url()) { proxy, url in
                try await stage.withTransport { transport in
                    try await stage.withWorker(url: url) { _ in
                        let lost = Atomic(0)
                        // The connection breaks with each acknowledgement, before the broker has it.
                        proxy.onFrame { frame in
                            guard frame.direction == .toBroker, frame.method == 0x003C_0050,
                                lost.load(ordering: .relaxed) < 3
                            else { return .pass }
                            lost.add(1, ordering: .relaxed)
                            return .cutBefore
                        }
                        let client = RPCClient(transport, target: stage.target)
                        for number in 1...10 {
                            try await client.cast("act", ["number": .integer(number), "milliseconds": 0])
                        }
                        let took = try await stage.until("all is done and acknowledged") {
                            guard lost.load(ordering: .relaxed) == 3 else { return false }
                            let status = try await transport.status(of: stage.queue, deadline: .now + .seconds(5))
                            return try status?.consumers == 1 && status?.messages == 0
                                && stage.counts(of: "effect").count == 10
                        }
                        FaultFigures.record(fault: 32, "done in spite of three lost acknowledgements", took)
                        // Each that is still unacknowledged would be run at the end of this worker.
                        #expect(try await client.call("pause", ["number": 7, "milliseconds": 0]) == 7)
                        #expect(try stage.counts(of: "effect").values.allSatisfy { $0 == 1 })
                    }
                }
            }
        }
    }

    @Test func `fault 33: replies in any order reach their own calls, and a late one is counted and dropped`()
        async throws
    {
        try await Stage.with { stage in
            try await FaultProxy.with(before: stage.url()) { proxy, url in
                try await stage.withTransport { transport in
                    let echo = RPCHandler("echo") { _, arguments in
                        // The later, the sooner.
                        let number = arguments["number"]?.intValue ?? 0
                        try await Task.sleep(for: .milliseconds(max(0, 200 - number)))
                        return .integer(number)
                    }
                    var configuration = RPCServer.Configuration()
                    configuration.concurrency = 200
                    configuration.prefetch = 200
                    try await withRPCServer(
                        on: transport,
                        target: stage.target,
                        endpoints: [RPCEndpoint { echo }],
                        configuration: configuration
                    ) { _ in
                        try await stage.withTransport(url: url) { caller in
                            try await Self.reorder(RPCClient(caller, target: stage.target))
                            #expect(caller.replies.lateReplies == 0)
                            try await Self.delay(RPCClient(caller, target: stage.target), caller, proxy, stage)
                            try await Self.forge(caller, stage)
                        }
                    }
                }
            }
        }
    }

    private static func reorder(_ client: RPCClient) async throws {
        let ended = EventRecorder<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...200 {
                group.addTask {
                    let answer = try await client.call("echo", ["number": .integer(number)])
                    #expect(answer == .integer(number))
                    ended.record(number)
                }
            }
            try await group.waitForAll()
        }
        #expect(ended.events != Array(1...200), "no reply overtook another: nothing was shown")
    }

    /// Replies that take longer than their callers wait, while others are called.
    private static func delay(
        _ client: RPCClient,
        _ caller: RabbitMQTransport,
        _ proxy: FaultProxy,
        _ stage: Stage
    ) async throws {
        proxy.change(.toClient) { $0.delay = .seconds(1) }
        // The proxy looks at it fifty times a second.
        try await Task.sleep(for: .milliseconds(100))
        let start = ContinuousClock.now
        await withTaskGroup(of: Void.self) { group in
            for number in 1001...1010 {
                group.addTask {
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await client.call("echo", ["number": .integer(number)], timeout: .milliseconds(300))
                    }
                    #expect(error?.code == .timeout)
                }
            }
        }
        #expect(.now - start < .milliseconds(900))
        proxy.heal()
        // Their replies come among those to the next calls, and are given to none of them.
        for number in 2001...2010 {
            #expect(try await client.call("echo", ["number": .integer(number)]) == .integer(number))
        }
        let took = try await stage.until("the late replies") { caller.replies.lateReplies >= 1 }
        FaultFigures.record(fault: 33, "late replies counted after", took)
        #expect(caller.replies.waitingCalls == 0)
    }

    /// Replies of another life of the caller, and to nobody.
    private static func forge(_ caller: RabbitMQTransport, _ stage: Stage) async throws {
        let queue = try await caller.openReplyQueue(deadline: .now + .seconds(5))
        let before = caller.replies.lateReplies
        try await stage.withTransport { other in
            // Another process, or the same after a restart: another queue, so that no old reply reaches it.
            #expect(try await other.openReplyQueue(deadline: .now + .seconds(5)) != queue)
            try await stage.withChannel { channel in
                for number in 1...5 {
                    let body = #"{"result": 7, "failure": null, "ending": true, "_msg_id": "of-old-\#(number)"}"#
                    try await Self.publish(Array(body.utf8), to: queue, on: channel)
                }
            }
            try await stage.until("they are counted") { caller.replies.lateReplies == before + 5 }
            #expect(other.replies.lateReplies == 0)
        }
    }
}
