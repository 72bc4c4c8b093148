import AMQPClient
import FaultHarness
import Synchronization
import TestSupport
import Testing

/// A broker that leaves one operation without an answer, as RabbitMQ does with a quorum queue without a majority: played by a
/// fake one, so that it ends at the right moment.
@Suite(.serialized, .timeLimit(.minutes(2))) struct HangingOperationTests {
    /// The channels on which something hangs: like a real broker it does one method of a channel after the other.
    private struct Backlog {
        private var channels: [UInt16: [(id: UInt32, arguments: [UInt8])]] = [:]

        mutating func hang(_ channel: UInt16, _ id: UInt32, _ arguments: [UInt8]) {
            self.channels[channel] = [(id, arguments)]
        }

        /// Whether it has to wait behind what hangs.
        mutating func keeps(_ channel: UInt16, _ id: UInt32, _ arguments: [UInt8]) -> Bool {
            guard self.channels[channel] != nil else { return false }
            self.channels[channel]?.append((id, arguments))
            return true
        }

        mutating func release(_ peer: FakeBroker.Peer) throws {
            let channels = self.channels
            self.channels = [:]
            for (channel, methods) in channels {
                for method in methods { try peer.answer(channel, method.id, method.arguments) }
            }
        }
    }

    private static let declareQueue: UInt32 = 0x0032_000A
    private static let deleteQueue: UInt32 = 0x0032_0028
    private static let consume: UInt32 = 0x003C_0014

    /// The short string that begins behind the reserved field.
    private static func name(_ arguments: [UInt8]) -> String {
        String(decoding: arguments[3...].prefix(Int(arguments[2])), as: UTF8.self)
    }

    // Fault 21.
    @Test(arguments: [1, 3])
    func `what is to be declared again comes back although some of it hangs, and that when it has ended`(
        hanging: Int
    ) async throws {
        let restored = Collector<String>()
        let hung = Set((1...hanging).map { "hangs\($0)" })
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            var backlog = Backlog()
            try peer.serve(answers: { channel, id, arguments in
                if backlog.keeps(channel, id, arguments) { return false }
                switch id {
                case Self.declareQueue where number == 2 && restored.all.isEmpty && hung.contains(Self.name(arguments)):
                    backlog.hang(channel, id, arguments)
                    return false
                case Self.consume where number == 2:
                    restored.add(Self.name(arguments))
                    try backlog.release(peer)
                case Self.consume where Self.name(arguments) == "works":
                    throw FakeBroker.Gone()
                default: break
                }
                return true
            })
        } _: { broker, url in
            try await withImpatientConnection(url, { $0.operationTimeout = .seconds(30) }) { connection in
                for queue in hung.sorted() {
                    let channel = try await connection.openChannel()
                    try await channel.declareQueue(queue)
                    try await channel.consume(queue: queue, tag: queue, onDelivery: { _ in })
                }
                let channel = try await connection.openChannel()
                try await channel.declareQueue("works")
                let start = ContinuousClock.now
                try await channel.consume(queue: "works", tag: "works", onDelivery: { _ in })
                let first = try await restored.wait(for: 1, .seconds(25))
                #expect(first == ["works"])
                #expect(.now - start < .seconds(3 * hanging + 3), "\(.now - start)")
                let all = try await restored.wait(for: 1 + hanging, .seconds(20))
                #expect(Set(all) == hung.union(["works"]))
                let limit = ContinuousClock.now + .seconds(10)
                while connection.state.description != "open", .now < limit {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(connection.state.description == "open")
                #expect(broker.connections == 2)
            }
        }
    }

    @Test func `what is behind an operation that hangs is done elsewhere, and what would do harm only once`()
        async throws
    {
        let seen = Collector<String>()
        let ended = Collector<String>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            var backlog = Backlog()
            try peer.serve(answers: { channel, id, arguments in
                let isAboutQueue = id == Self.declareQueue || id == Self.deleteQueue
                let name = isAboutQueue ? Self.name(arguments) : ""
                if isAboutQueue { seen.add((id == Self.declareQueue ? "declare " : "delete ") + name) }
                if backlog.keeps(channel, id, arguments) { return false }
                if name == "hangs" {
                    backlog.hang(channel, id, arguments)
                    return false
                }
                if name == "last" { try backlog.release(peer) }
                return true
            })
        } _: { broker, url in
            try await withImpatientConnection(url, { $0.operationTimeout = .seconds(30) }) { connection in
                let channel = try await connection.openChannel()
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await channel.declareQueue("hangs")
                        ended.add("hangs")
                    }
                    try await seen.wait(for: 1)
                    group.addTask {
                        try await channel.declareQueue("other")
                        ended.add("other")
                    }
                    try await seen.wait(for: 2)
                    group.addTask {
                        try await channel.deleteQueue("gone")
                        ended.add("gone")
                    }
                    try await seen.wait(for: 3)
                    #expect(try await ended.wait(for: 1, .seconds(10)) == ["other"])
                    #expect(.now - start < .seconds(7), "\(.now - start)")
                    try await channel.declareQueue("last")
                    try await group.waitForAll()
                }
                #expect(Set(ended.all) == ["other", "hangs", "gone"])
                #expect(seen.all == ["declare hangs", "declare other", "delete gone", "declare other", "declare last"])
                #expect(broker.connections == 1)
            }
        }
    }

    @Test func `an operation that never ends fails at its limit, and its channel is given up`() async throws {
        let closed = Collector<UInt16>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            var backlog = Backlog()
            try peer.serve(answers: { channel, id, arguments in
                if backlog.keeps(channel, id, arguments) {
                    if id == 0x0014_0028 { closed.add(channel) }
                    return false
                }
                guard id == Self.declareQueue, Self.name(arguments) == "hangs" else { return true }
                backlog.hang(channel, id, arguments)
                return false
            })
        } _: { broker, url in
            try await withImpatientConnection(url, { $0.operationTimeout = .seconds(4) }) { connection in
                let channel = try await connection.openChannel()
                let error = try await failure { try await channel.declareQueue("hangs") }
                #expect(error.code == .timeout && error.outcomeIsUnknown)
                try await closed.wait(for: 1)
                try await channel.declareQueue("works")
                #expect(broker.connections == 1)
            }
        }
    }

    @Test func `a broker that is slow at everything is not asked the same over ever more channels`() async throws {
        let channels = Collector<UInt16>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            var backlog = Backlog()
            try peer.serve(answers: { channel, id, arguments in
                if backlog.keeps(channel, id, arguments) { return false }
                guard id == Self.declareQueue else { return true }
                channels.add(channel)
                backlog.hang(channel, id, arguments)
                return false
            })
        } _: { broker, url in
            try await withImpatientConnection(url, { $0.operationTimeout = .seconds(60) }) { connection in
                let channel = try await connection.openChannel()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<20 { group.addTask { _ = try? await channel.declareQueue("q\(number)") } }
                    try await channels.wait(for: 9, .seconds(60))
                    // As long as one is waited for, and more.
                    try await Task.sleep(for: .seconds(4))
                    group.cancelAll()
                }
                // Each of eight was gone round, and the ninth waits.
                #expect(channels.all.count == 9 && Set(channels.all).count == 9, "\(channels.all)")
                #expect(broker.connections == 1)
            }
        }
    }
}
