import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import Synchronization
import Testing

/// Two processes that serve one topic under one host name.
@Suite(.serialized, .timeLimit(.minutes(4))) struct NamesakeFaultTests {
    @Test
    func
        `fault 48: two processes of one name notice each other, share or refuse as configured, and keep their replies`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                try await stage.withWorker { first in
                    #expect(!first.log.contains("another process"))
                    let start = ContinuousClock.now
                    try await stage.withWorker(stage.arguments()) { second in
                        FaultFigures.record(fault: 48, "start of a second process that shares", .now - start)
                        try await stage.until("it says so", within: .seconds(5)) {
                            second.log.contains("another process has this host's name")
                        }
                        let client = RPCClient(transport, target: stage.target)
                        let both = Set([Int(first.processID), Int(second.processID)].map { JSONValue.integer($0) })
                        try await Self.expectWorkers(both, client)
                        try await Self.refuse(stage)
                        // Neither of them has lost anything to the one that was refused.
                        try await Self.expectWorkers(both, client)
                        try await Self.expectOwnReplies(stage)
                    }
                }
                // Alone again: nobody is left whose name it could have.
                try await stage.withWorker(stage.arguments("refuse_same_host=true")) { worker in
                    #expect(!worker.log.contains("another process"))
                }
            }
        }
    }

    private static func expectWorkers(_ expected: Set<JSONValue>, _ client: RPCClient) async throws {
        var seen: Set<JSONValue> = []
        for _ in 1...20 { seen.insert(try await client.call("process", timeout: .seconds(5))) }
        #expect(seen == expected)
    }

    private static func refuse(_ stage: Stage) async throws {
        let start = ContinuousClock.now
        let arguments = stage.arguments("refuse_same_host=true")
        try await WorkerProcess.with("FaultWorker", arguments, url: stage.url()) { third in
            let end = try await third.end(within: .seconds(10))
            #expect(end == .code(1))
            #expect(third.log.contains("nameTaken"), "\(third.log)")
            #expect(third.lines.isEmpty)
        }
        FaultFigures.record(fault: 48, "refusal of a third process", .now - start)
    }

    /// Callers of one name as well: each gets its own replies, and no other's.
    private static func expectOwnReplies(_ stage: Stage) async throws {
        try await stage.withTransport { first in
            try await stage.withTransport { second in
                let limit = ContinuousClock.now + .seconds(10)
                #expect(try await first.openReplyQueue(deadline: limit) != second.openReplyQueue(deadline: limit))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (offset, transport) in [(0, first), (1000, second)] {
                        let client = RPCClient(transport, target: stage.target)
                        for number in 1...100 {
                            group.addTask {
                                let arguments = ProcessFaultTests.item(offset + number, milliseconds: 1)
                                let answer = try await client.call("pause", arguments, timeout: .seconds(20))
                                #expect(answer == .integer(offset + number))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(first.replies.lateReplies == 0)
                #expect(second.replies.lateReplies == 0)
            }
        }
    }
}
