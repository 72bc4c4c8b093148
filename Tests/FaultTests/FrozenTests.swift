import FaultHarness
import Foundation
import GRDB
import Glibc
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Processes that stand still for a time, and go on: the worker's, and the broker's.
@Suite(.serialized, .timeLimit(.minutes(4))) struct FrozenTests {
    private struct Number: Codable, Sendable { var number: Int }
    private static let act = RPCMethod<Number, Void>("act", since: "1.0", delivery: .atLeastOnce)

    @Test func `fault 8: a worker that was frozen for three heartbeats goes on, and settles nothing of before`()
        async throws
    {
        let broker = try TestBroker()
        let database = FileManager.default.temporaryDirectory.appending(path: "steward-frozen-\(UUID()).sqlite").path
        defer {
            for end in ["", "-wal", "-shm"] {
                // A leftover in the temporary directory does no harm.
                try? FileManager.default.removeItem(atPath: database + end)
            }
        }
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            // The broker closes a connection that is silent for two to three of them.
            let worker = try WorkerProcess(
                "DeliveryWorker",
                ["frozen", "host", database, "at-least-once"],
                url: url + "?heartbeat_timeout_threshold=1"
            )
            defer { worker.send(SIGKILL) }
            try await worker.line("READY")
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
            let client = RPCClient(transport, target: .topic("frozen", server: "host"))
            for number in 1...300 {
                try await client.cast(Self.act, Number(number: number))
                if number == 100 {
                    // With deliveries in hand and more on the way.
                    worker.send(SIGSTOP)
                } else if number == 200 {
                    try await Task.sleep(for: .milliseconds(3_500))
                    worker.send(SIGCONT)
                }
            }
            let thawed = ContinuousClock.now
            var effects: [Int: Int] = [:]
            while .now - thawed < .seconds(30) {
                effects = try await Self.effects(in: database)
                if effects.count == 300 { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            FaultFigures.record(fault: 8, "all done after the process went on", .now - thawed)
            #expect(Set(effects.keys) == Set(1...300) && effects.values.allSatisfy { $0 == 1 })
            // It lost its connections and has them again; of the deliveries of before it said nothing, which the broker would
            // have answered by closing the channel (406), time and again.
            let output = worker.log
            #expect(output.components(separatedBy: "recovering").count > 1, "\(output)")
            #expect(!output.contains("broker: 406") && !output.contains("PRECONDITION"), "\(output)")
            let states = output.components(separatedBy: "state=recovering").count - 1
            #expect(states <= 9, "the connections were lost again and again: \(output)")
            let consumers = try await broker.consumersByQueue(virtualHost: name)
            for (queue, count) in consumers where queue.hasPrefix("frozen") { #expect(count == 1, "\(queue)") }
            await transport.close()
        }
    }

    private static func effects(in database: String) async throws -> [Int: Int] {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        return try await DatabaseQueue(path: database, configuration: configuration).read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT number, count(*) AS count FROM effect GROUP BY number")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["number"], $0["count"]) })
        }
    }

    @Test func `faults 6 and 8: a broker that is frozen is noticed within two heartbeats, and served when it goes on`()
        async throws
    {
        try await PrivateNode.with { node in
            let url = try node.url
            try await FaultService.with(url) { service in
                try await service.untilAnswered()
                for seconds in [6, 15] {
                    async let traffic: Void = service.trafficFor(.seconds(seconds))
                    try node.freeze()
                    let noticed = try await service.untilReady(false, within: .milliseconds(4_250))
                    FaultFigures.record(fault: 8, "noticed: a frozen broker", noticed)
                    try await Task.sleep(for: .seconds(seconds) - noticed)
                    try node.thaw()
                    let again = try await service.untilReady(within: .seconds(5))
                    let answered = try await service.untilAnswered(within: .seconds(5))
                    FaultFigures.record(fault: 8, "answering after \(seconds) s of a frozen broker", again + answered)
                    await traffic
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }
}
