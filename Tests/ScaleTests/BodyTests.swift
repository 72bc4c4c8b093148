import Messaging
import MessagingRabbitMQ
import Testing

extension ScaleTests {
    /// Bodies that are large, of many callers at once.
    @Suite(.serialized) struct BodyTests {
        @Test func `bodies of 16 KiB of 64 callers come back as they were, and memory stays flat`() async throws {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { bench in
                        try await Bodies(size: 16 << 10, calls: 320).areHandled(bench) { client, payload in
                            try await client.call(Bodies.echo, .init(data: payload)).text == payload.text
                        }
                    }
                }
                ScaleBench.show(result)
            }
        }

        @Test func `bodies of 1 MiB of 64 callers arrive as they were sent, and memory stays flat`() async throws {
            try await ScaleBench.withURL { url in
                let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                    [url = url as String] in
                    try await ScaleBench.with(url) { bench in
                        // Not back again: a debug build takes half a second to read one and write it.
                        try await Bodies(size: 1 << 20, calls: 64).areHandled(bench) { client, payload in
                            try await client.call(Bodies.digest, .init(data: payload)) == payload.text.hashValue
                        }
                    }
                }
                ScaleBench.show(result)
            }
        }
    }
}

/// Calls that carry much.
private struct Bodies: Sendable {
    struct Payload: Codable, Sendable { var data: RawJSON }

    static let echo = RPCMethod<Payload, RawJSON>("echo", since: "1.0")
    static let digest = RPCMethod<Payload, Int>("digest", since: "1.0")

    let size: Int
    /// How many there are in each round.
    let calls: Int

    /// Has three rounds of calls made, each of which says whether its result was right.
    func areHandled(
        _ bench: ScaleBench,
        _ call: @escaping @Sendable (RPCClient, RawJSON) async throws -> Bool
    ) async throws {
        let payloads = try (0..<4).map { try self.records(first: $0) }
        let handlers = [
            Self.echo.handled { _, payload in payload.data },
            Self.digest.handled { _, payload in payload.data.text.hashValue },
        ]
        try await bench.serve(handlers) { _ in
            var rounds: [ProcessFigures] = []
            for round in 1...3 {
                ProcessFigures.resetPeak()
                let before = ProcessFigures()
                try await self.round { try await call(bench.rpc, payloads[$0 % payloads.count]) }
                let after = ProcessFigures()
                let cost = (after.processorTime - before.processorTime) / self.calls
                print(
                    "bodies of \(self.size.kibibytes), round \(round): \(cost.microseconds) us of processor time a call; "
                        + "memory \(after.residentBytes.mebibytes), at most \(after.peakBytes.mebibytes)"
                )
                rounds.append(after)
            }
            // In the server, in the client and on the way between them each of 64 bodies may be there several times.
            #expect(rounds[0].peakBytes < 96 << 20 + 64 * 16 * self.size)
            #expect(rounds[1].peakBytes < rounds[0].peakBytes + rounds[0].peakBytes / 4 + 16 << 20)
            // What the allocator keeps may grow once more; then it has what it needs.
            #expect(rounds[2].residentBytes < rounds[1].peakBytes + 16 << 20)
        }
    }

    private func round(_ call: @escaping @Sendable (Int) async throws -> Bool) async throws {
        let tickets = Tickets()
        let areRight = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 1...64 {
                group.addTask {
                    while true {
                        let number = tickets.take()
                        guard number < self.calls else { return true }
                        guard try await call(number) else { return false }
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(areRight == Array(repeating: true, count: 64))
    }

    /// A list of small records, as long as it has to be.
    private func records(first: Int) throws -> RawJSON {
        var text = "[\(first)"
        var number = first
        while text.utf8.count < self.size {
            text += #", {"id": \#(number), "name": "volume-\#(number)", "size": \#(number % 100), "host": "node-1"}"#
            number += 1
        }
        return try RawJSON(checking: Array((text + "]").utf8))
    }
}
