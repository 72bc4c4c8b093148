import AMQPClient
import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What anybody with access to the broker may put into a worker's queue.
@Suite(.serialized, .timeLimit(.minutes(4))) struct MalformedFaultTests {
    /// Bodies that are no requests, and that nobody waits for.
    private static var malformed: [[UInt8]] {
        let texts = [
            "", "null", "[]", "7", "\"text\"", "{", "{}", "{\"method\": 7}", "{\"method\": null, \"args\": {}}",
            "{\"args\": {}}", "{\"method\": \"once\", \"args\": []}", "{\"method\": \"once\", \"args\": {\"number\":}}",
            "{\"oslo.version\": \"2.0\", \"oslo.message\": 7}", "{\"oslo.version\": \"3.0\", \"oslo.message\": \"{}\"}",
            "{\"oslo.version\": \"2.0\", \"oslo.message\": \"{\"}", "\u{FEFF}{\"method\": \"once\", \"args\": {}}",
            "{\"method\": \"once\", \"args\": {\"number\": \(String(repeating: "[", count: 200_000))",
            "{\"method\": \"once\", \"args\": {\"number\": "
                + String(repeating: "[", count: 600) + String(repeating: "]", count: 600) + "}}",
            String(repeating: "{\"a\":", count: 100_000),
        ]
        var bodies = texts.map { Array($0.utf8) }
        bodies.append([0xFF, 0xFE, 0x7B, 0x00])
        bodies.append([0x7B, 0x22, 0xC3, 0x28, 0x22, 0x3A, 0x31, 0x7D])
        bodies.append([UInt8](repeating: 0xFF, count: 4 << 20))
        bodies.append([UInt8](repeating: UInt8(ascii: "["), count: 16 << 20))
        return bodies
    }

    /// Requests that look odd and are to be carried out.
    private static var odd: [String] {
        [
            #"{"method": "once", "args": {"number": 1, "milliseconds": 0}, "unknown": {"a": [1e400, null]}}"#,
            #"{"method": "once", "args": {"number": 2, "milliseconds": 0}, "_context_big": 123456789012345678901234567890}"#,
            #"{"method": "once", "args": {"milliseconds": 7, "number": 3, "milliseconds": 0}, "_unique_id": ""}"#,
        ]
    }

    @Test
    func `fault 29: malformed requests are refused before dispatch, dead-lettered, and cost no worker and no memory`()
        async throws
    {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                try await stage.withWorker { worker in
                    let client = RPCClient(transport, target: stage.target)
                    try await stage.withChannel { channel in
                        _ = try await channel.declareQueue("graveyard", durable: true)
                        try await stage.broker.request(
                            "PUT",
                            "policies/\(stage.virtualHost)/graveyard",
                            body: """
                                {"pattern": "^work", "apply-to": "queues", "definition":
                                {"dead-letter-exchange": "", "dead-letter-routing-key": "graveyard"}}
                                """
                        )
                        #expect(try await client.call("process") == .integer(Int(worker.processID)))
                        let before = try Self.memory(of: worker)
                        let start = ContinuousClock.now
                        for round in 1...3 {
                            for body in Self.malformed { try await Self.publish(body, on: channel) }
                            if round == 1 {
                                for text in Self.odd { try await Self.publish(Array(text.utf8), on: channel) }
                            }
                        }
                        let expected = 3 * Self.malformed.count
                        try await stage.until("all is dead-lettered") {
                            try await stage.depth(.queue("graveyard"), transport) == expected
                        }
                        FaultFigures.record(fault: 29, "\(expected) malformed bodies refused", .now - start)
                        try await stage.until("what can be run is run") {
                            try stage.counts(of: "effect") == [1: 1, 2: 1, 3: 1]
                        }
                        try await Self.mutate(on: channel)
                        // The same process, which has crashed at nothing, and has dispatched nothing of it.
                        #expect(try await client.call("process") == .integer(Int(worker.processID)))
                        let growth = try Self.memory(of: worker) - before
                        FaultFigures.record(fault: 29, "memory kept, in KiB", count: growth)
                        // The largest body has 16 MiB; it is held as it came and as it was read, and no second one.
                        #expect(growth < 128 << 10)
                        #expect(worker.end == nil)
                    }
                }
            }
        }
    }

    @Test func `fault 29: a malformed call is answered at once, if it says whom to answer`() async throws {
        try await Stage.with { stage in
            try await stage.withTransport { transport in
                try await stage.withWorker { _ in
                    try await stage.withChannel { channel in
                        _ = try await channel.declareQueue("reply_here")
                        let bodies = [
                            #"{"method": 7, "_msg_id": "a", "_reply_q": "reply_here"}"#,
                            #"{"method": "once", "args": [], "_msg_id": "b", "_reply_q": "reply_here"}"#,
                            #"{"method": "once", "args": {"number": "x"}, "_msg_id": "c", "_reply_q": "reply_here"}"#,
                        ]
                        for body in bodies { try await Self.publish(Array(body.utf8), on: channel) }
                        let took = try await stage.until("the answers") {
                            try await stage.depth(.queue("reply_here"), transport) == bodies.count
                        }
                        FaultFigures.record(fault: 29, "answers to malformed calls", took)
                        #expect(took < .seconds(5))
                        #expect(try stage.counts(of: "started").isEmpty)
                    }
                }
            }
        }
    }

    /// Sends a request again and again, each time damaged in another way; what of it can still be read may be run.
    private static func mutate(on channel: AMQPChannel) async throws {
        var random = SeededRandom(seed: 29)
        let valid = Array(
            #"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"pause\", \"args\": {\"number\": 1, \"milliseconds\": 0}, \"version\": \"1.0\"}"}"#
                .utf8
        )
        for _ in 0..<500 {
            var body = valid
            for _ in 0...Int.random(in: 0...3, using: &random) {
                let index = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: body[index] = UInt8.random(in: 0...255, using: &random)
                case 1: body.remove(at: index)
                default: body.insert(contentsOf: body[index..<min(body.count, index + 9)], at: index)
                }
            }
            try await Self.publish(body, on: channel)
        }
    }

    private static func publish(_ body: [UInt8], on channel: AMQPChannel) async throws {
        try await channel.publish(
            AMQPMessage(properties: .json(), body: body),
            exchange: "",
            routingKey: "work.host",
            mandatory: true,
            deadline: .now + .seconds(30)
        )
    }

    /// The most memory that a process has had, in KiB.
    private static func memory(of worker: WorkerProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(worker.processID)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }
}

/// The same numbers for the same seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
