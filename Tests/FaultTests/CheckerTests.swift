import AMQPClient
import FaultHarness
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// The judge of all the others finds each broken promise, and nothing where none was broken.
@Suite struct CheckerTests {
    private let checker = Checker()

    /// A call that was carried out, and has not ended.
    private func call(deadline: ContinuousClock.Instant = .now + .seconds(1)) {
        self.checker.offered("a", .call, deadline: deadline)
        self.checker.executed("a")
    }

    @Test func `what keeps every promise is no violation`() {
        self.call()
        self.checker.ended("a", .reply)
        self.checker.offered("b", .atLeastOnce)
        self.checker.confirmed("b")
        self.checker.executed("b")
        self.checker.executed("b")
        self.checker.effect("b")
        self.checker.offered("c", .atMostOnce)
        self.checker.offered("d", .call, deadline: .now + .seconds(1))
        self.checker.ended("d", .deadline)
        #expect(self.checker.violations == [])
        #expect(self.checker.isSettled)
    }

    @Test func `a call that does not end is found`() {
        self.call()
        #expect(!self.checker.isSettled)
        #expect(self.checker.violations == ["the call a has not ended"])
        self.checker.forgetSettled()
        #expect(self.checker.violations == ["the call a has not ended"])
    }

    @Test(arguments: [true, false])
    func `a call that ends twice is found`(afterItWasForgotten isForgotten: Bool) {
        self.call()
        self.checker.ended("a", .reply)
        if isForgotten { self.checker.forgetSettled() }
        self.checker.ended("a", .deadline)
        #expect(self.checker.violations.count == 1, "\(self.checker.violations)")
        #expect(self.checker.violations.first?.contains(isForgotten ? "done again" : "ended 2 times") == true)
    }

    @Test func `a call that ends long after its deadline is found, one that ends soon after it is not`() {
        let deadline = ContinuousClock.now
        self.call(deadline: deadline)
        self.checker.ended("a", .reply, at: deadline + Checker.patience)
        #expect(self.checker.violations == [])
        self.checker.offered("b", .call, deadline: deadline)
        self.checker.ended("b", .deadline, at: deadline + Checker.patience + .milliseconds(1))
        #expect(self.checker.violations.count == 1)
        #expect(self.checker.violations.first?.hasPrefix("the call b ended 5.001 seconds after its deadline") == true)
    }

    @Test func `a call that ends by another's result or an error without a type is found`() {
        struct Other: Error {}
        self.call()
        self.checker.ended("a", .illegal("the answer to another call"))
        #expect(self.checker.violations == ["the call a ended by the answer to another call"])
        #expect(Checker.End(RPCError(.timeout, "late")) == .deadline)
        #expect(Checker.End(Other()) == .illegal("an error without a type: Other()"))
    }

    @Test func `a call that is answered without being carried out, or is carried out twice, is found`() {
        self.checker.offered("a", .call, deadline: .now + .seconds(1))
        self.checker.ended("a", .reply)
        #expect(self.checker.violations == ["the call a was answered and never executed"])
        self.checker.executed("a")
        #expect(self.checker.violations == [])
        self.checker.executed("a")
        #expect(self.checker.violations.first?.hasPrefix("a was executed more than once") == true)
    }

    @Test func `confirmed work that is not done is found, and work that was not confirmed need not be done`() {
        self.checker.offered("a", .atLeastOnce)
        self.checker.offered("b", .atLeastOnce)
        self.checker.unknown("b")
        self.checker.confirmed("a")
        #expect(!self.checker.isSettled)
        #expect(self.checker.violations == ["a was confirmed and never executed"])
    }

    @Test(arguments: [true, false])
    func `a second effect, and a second execution of what is done once at most, are found`(
        afterItWasForgotten isForgotten: Bool
    ) {
        self.checker.offered("a", .atLeastOnce)
        self.checker.offered("b", .atMostOnce)
        self.checker.confirmed("a")
        for id in ["a", "b"] {
            self.checker.executed(id)
            self.checker.effect(id)
        }
        if isForgotten { self.checker.forgetSettled() }
        #expect(self.checker.violations == [])
        self.checker.effect("a")
        #expect(self.checker.violations.count == 1)
        self.checker.executed("b")
        #expect(self.checker.violations.count == 2)
    }

    @Test(arguments: [true, false])
    func `work for any host of a topic may be begun at a second one, and not twice at one`(
        afterItWasForgotten isForgotten: Bool
    ) {
        self.checker.offered("a", .atLeastOnce, to: .topic)
        self.checker.confirmed("a")
        self.checker.executed("a", at: "one")
        self.checker.effect("a", at: "one")
        if isForgotten { self.checker.forgetSettled() }
        self.checker.executed("a", at: "two")
        self.checker.effect("a", at: "two")
        #expect(self.checker.violations == [])
        self.checker.effect("a", at: "two")
        #expect(self.checker.violations.count == 1)
    }

    @Test func `what had not been done when it was forgotten may be done later, once`() {
        self.checker.offered("a", .call)
        self.checker.ended("a", .deadline)
        self.checker.offered("b", .atMostOnce)
        self.checker.forgetSettled()
        for id in ["a", "b"] { self.checker.executed(id) }
        self.checker.effect("b")
        #expect(self.checker.violations == [])
        self.checker.executed("a")
        #expect(self.checker.violations.count == 1)
        self.checker.effect("b")
        #expect(self.checker.violations.count == 2)
    }

    @Test func `what nobody sent, and what is sent twice, is found`() {
        self.checker.executed("ghost")
        #expect(self.checker.violations == ["ghost was never sent, and was executed or ended all the same"])
        self.checker.offered("a", .atMostOnce)
        self.checker.offered("a", .atMostOnce)
        #expect(self.checker.violations.contains("a was offered twice"))
    }

    @Test(.timeLimit(.minutes(1))) func `consumers that are missing while a service says that it is ready are found`()
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            let liar = await ConsumerWatch.Holder(wanted: ["gone": 1], isReady: { true }, held: { ["gone": 1] })
            let honest = await ConsumerWatch.Holder(wanted: ["lost": 1], isReady: { false }, held: { [:] })
            try await ConsumerWatch.with([liar, honest], at: url) { watch in
                try await until(within: .seconds(20), "it is found") { !watch.violations.isEmpty }
                #expect(watch.violations.allSatisfy { $0.hasPrefix("'gone' had 0 of 1 consumers") })
                await #expect(throws: FaultService.TooLate.self) { try await watch.untilAgreed(within: .zero) }
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func `a service that consumes what it says is found to do so`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await FaultService.with(url) { service in
                try await ConsumerWatch.with([service], at: url) { watch in
                    try await watch.untilAgreed(within: .seconds(5))
                    let asked = watch.figures.samples
                    try await until(within: .seconds(10), "all were asked") { watch.figures.samples > asked + 20 }
                    #expect(watch.violations == [])
                    // Somebody else's consumer is a difference too.
                    let other = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "other"))
                    try await other.open()
                    let channel = try await other.openChannel()
                    try await channel.consume(queue: "\(service.client.target.topic).host", onDelivery: { _ in })
                    await #expect(throws: FaultService.TooLate.self) {
                        try await watch.untilAgreed(within: .milliseconds(200))
                    }
                    await other.close()
                    try await watch.untilAgreed(within: .seconds(5))
                }
            }
        }
    }
}
