import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

/// Workers that are replaced one after the other while they are used.
@Suite(.timeLimit(.minutes(5))) struct RollingRestartTests {
    private struct Item: Codable, Sendable {
        var number: Int
        var milliseconds: Int
    }

    private static let mark = RPCMethod<Item, Int>("mark", since: "1.0")
    private static let hosts = ["node-1", "node-2", "node-3"]
    private static let perSecond = 200
    private static let seconds = 60

    /// What became of the calls.
    private final class Tally: Sendable {
        struct Contents {
            var answered: [Int] = []
            var failures: [String] = []
        }
        let contents = Mutex(Contents())
    }

    @Test func `three workers are restarted one after the other under calls: none fails, none runs twice`() async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name, scheme: "rabbit")
            try await withFaultDirectory { directory in
                let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                let tally = Tally()
                do {
                    try await self.restart(url, directory) {
                        try await self.call(RPCClient(transport, target: .topic("rolling")), tally)
                    }
                } catch {
                    await transport.close()
                    throw error
                }
                await transport.close()

                let (answered, failures) = tally.contents.withLock { ($0.answered, $0.failures) }
                #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(3))")
                let all = Array(0..<(Self.perSecond * Self.seconds))
                #expect(answered.sorted() == all)
                var effects: [Int] = []
                for host in Self.hosts {
                    let lines = try String(contentsOfFile: "\(directory)/\(host).effects", encoding: .utf8)
                    let numbers = lines.split(separator: "\n").compactMap { Int($0) }
                    // Each of them was in use.
                    #expect(numbers.count > all.count / 10)
                    effects += numbers
                }
                #expect(effects.count == Set(effects).count, "calls that ran twice")
                #expect(effects.sorted() == all)
            }
        }
    }

    /// Runs the workers, and restarts each of them while `body` runs.
    private func restart(
        _ url: String,
        _ directory: String,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        func start(_ host: String) throws -> WorkerProcess {
            try WorkerProcess("FaultWorker", ["serve", "rolling", host, "\(directory)/\(host)", "memory"], url: url)
        }
        var workers = try Self.hosts.map(start)
        defer { for worker in workers { worker.send(SIGKILL) } }
        for worker in workers { try await worker.line("READY") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            let pause = Duration.seconds(Self.seconds) / (Self.hosts.count + 2)
            for index in workers.indices {
                try await Task.sleep(for: pause)
                workers[index].send(SIGTERM)
                let end = try await workers[index].end(within: .seconds(30))
                #expect(end == .code(0))
                workers[index] = try start(Self.hosts[index])
                try await workers[index].line("READY")
            }
            try await group.waitForAll()
        }
    }

    /// Calls at a steady rate, whatever becomes of the calls before; each takes a while, so that many are under way at any
    /// time.
    private func call(_ client: RPCClient, _ tally: Tally) async throws {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<(Self.perSecond * Self.seconds) {
                try await Task.sleep(until: start + .seconds(number) / Self.perSecond, clock: .continuous)
                group.addTask {
                    do {
                        let item = Item(number: number, milliseconds: number % 10 * 10)
                        let answer = try await client.call(Self.mark, item)
                        tally.contents.withLock { $0.answered.append(answer) }
                    } catch {
                        tally.contents.withLock { $0.failures.append("\(number): \(error)") }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
