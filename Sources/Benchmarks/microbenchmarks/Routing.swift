import Messaging

/// A call from its announcement to its reply, while others wait.
let routingBenchmarks = [10, 10_000].map { routing(among: $0) }

private func routing(among count: Int) -> Microbenchmark {
    Microbenchmark(name: "reply-routing-\(count)", iterations: 400) {
        let clock = StillClock()
        let router = ReplyRouter(clock: clock)
        let deadline = clock.now + .seconds(3_600)
        for number in 0..<count { router.expect("waiting-\(number)", deadline: deadline, monitorTimeout: nil) }
        let body = try Sample.reply(2).encoded(messageID: Sample.messageID, uniqueID: Sample.uniqueID)
        let delivery = Delivery(body: body, token: Delivery.Token(tag: 1))
        return {
            router.expect(Sample.messageID, deadline: deadline, monitorTimeout: nil)
            router.receive([delivery])
            use(try await router.reply(to: Sample.messageID))
            router.forget(Sample.messageID)
        }
    }
}
