import FaultHarness
import Logging
import TestSupport
import Testing

@testable import AMQPClient

/// How often it is looked whether what consumers depend on is still there, and what becomes of that where the way is slow.
@Suite(.timeLimit(.minutes(2))) struct AuditTests {
    @Test func `a slow broker is asked all questions the more rarely, a quick one at each look`() {
        let start = ContinuousClock.now
        var audit = Audit(every: .seconds(4))
        #expect(audit.allowsRound(of: 1_000, taking: .seconds(2), now: start))
        audit.finishRound(now: start)
        #expect(audit.allowsRound(of: 10, taking: .milliseconds(20), now: start))
        // Ten questions of a tenth of a second: 20 times one second.
        #expect(!audit.allowsRound(of: 10, taking: .milliseconds(100), now: start + .seconds(14)))
        #expect(audit.allowsRound(of: 10, taking: .milliseconds(100), now: start + .seconds(15)))
        // Not more rarely than once a minute, however slow.
        #expect(!audit.allowsRound(of: 1_000, taking: .seconds(2), now: start + .seconds(44)))
        #expect(audit.allowsRound(of: 1_000, taking: .seconds(2), now: start + .seconds(45)))
        audit.finishRound(now: start + .seconds(45))
        #expect(!audit.allowsRound(of: 10, taking: .milliseconds(100), now: start + .seconds(59)))
        // What was slow is quick again: at once.
        #expect(audit.allowsRound(of: 10, taking: .milliseconds(2), now: start + .seconds(46)))
    }

    // Fault 18, soon after fault 10.
    @Test func `what goes is found as soon as ever, also when the network was slow before`() async throws {
        try await withVirtualHost { direct, _ in
            try await FaultProxy.with(before: direct) { proxy, url in
                try await withConnection(url: url, { $0.auditInterval = .milliseconds(500) }) { connection in
                    let channel = try await connection.openChannel()
                    try await channel.declareExchange("x", type: .direct)
                    let received = Collector<AMQPDelivery>()
                    for queue in ["q", "r", "s"] {
                        try await channel.declareQueue(queue)
                        try await channel.bindQueue(queue, to: "x", routingKey: queue)
                        try await channel.consume(queue: queue, onDelivery: { received.add($0) })
                    }
                    proxy.change { $0.delay = .milliseconds(300) }
                    try await Task.sleep(for: .seconds(5))
                    proxy.heal()

                    try await withConnection(url: direct) { other in
                        let channel = try await other.openChannel()
                        try await channel.confirmPublishes()
                        try await channel.deleteExchange("x")
                        // As a sender does it that misses it: nothing is bound to it.
                        try await channel.declareExchange("x", type: .direct)
                        let start = ContinuousClock.now
                        var isRouted = false
                        while !isRouted, .now - start < .seconds(30) {
                            do throws(AMQPError) {
                                try await channel.publish(.init("x"), exchange: "x", routingKey: "q", mandatory: true)
                                isRouted = true
                            } catch {
                                #expect(error.code == .unroutable)
                                try await Task.sleep(for: .milliseconds(20))
                            }
                        }
                        #expect(isRouted)
                        #expect(.now - start < .seconds(5), "\(.now - start)")
                    }
                }
            }
        }
    }
}
