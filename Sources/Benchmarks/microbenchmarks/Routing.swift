import Messaging

/// A call from its announcement to its reply, while others wait.
let routingBenchmarks = [10, 10_000].map { routing(among: $0) }

private func routing(among count: Int) -> Microbenchmark {
    Microbenchmark(name: "reply-routing-\(count)", iterations: 400) {
        let clock = StillClock()
        let router = ReplyRouter(clock: clock)
        let deadline = clock.now + .seconds(3_600)
        for number in 0..<count {
            // These wait to the end of the program.
            Task(executorPreference: preferredTaskExecutor) {
                _ = try await router.reply(to: "waiting-\(number)", until: deadline) {}
            }
        }
        while router.waitingCalls < count { await Task.yield() }
        let body = try Sample.reply(2).encoded(messageID: Sample.messageID, uniqueID: Sample.uniqueID)
        let delivery = Delivery(body: body, token: Delivery.Token(tag: 1))
        return {
            use(try await router.reply(to: Sample.messageID, until: deadline) { router.receive([delivery]) })
        }
    }
}

extension ReplyRouter {
    fileprivate func reply(
        to id: String,
        until deadline: ContinuousClock.Instant,
        sent: () -> Void
    ) async throws -> ReplyPayload {
        try await self.reply(
            to: id,
            deadline: deadline,
            monitorTimeout: nil,
            destination: .topic("t", exchange: nil),
            inspector: nil
        ) { _ in
            sent()
            return Sent.shared
        }
    }
}

/// A message that has arrived.
private final class Sent: PendingSend {
    static let shared = Sent()
    let isConfirmed = true

    func withdraw() {}
}
