import Messaging
import Testing

/// The rules by which a request's copies are told apart.
@Suite struct RequestRecordTests {
    private func delivery(attempts: Int = 0, replays: Int = 0) -> RequestDelivery {
        RequestDelivery(key: "k", method: "m", attempts: attempts, replays: replays)
    }

    @Test func `each start counts, also those that did not end`() {
        var record = RequestRecord(starting: self.delivery())
        #expect(record.attempts == 1)
        #expect(record.begin(self.delivery()) == .run(attempt: 2))
        #expect(record.begin(self.delivery()) == .run(attempt: 3))
    }

    @Test func `a start that is withdrawn does not count`() {
        var record = RequestRecord(starting: self.delivery())
        record.withdraw()
        #expect(record.begin(self.delivery()) == .run(attempt: 1))
    }

    @Test func `what is done is not run again, and keeps its reply`() {
        var record = RequestRecord(starting: self.delivery())
        record.complete(reply: [1])
        record.complete(reply: nil)
        #expect(record.begin(self.delivery()) == .done(reply: [1]))
        #expect(record.begin(self.delivery(attempts: 3)) == .done(reply: [1]))
        #expect(record.begin(self.delivery(replays: 1)) == .done(reply: [1]))
        #expect(record.leave(for: .retry(attempts: 1)) == false)
    }

    @Test func `the original does not run once a copy was announced, sent or run`() {
        var record = RequestRecord(starting: self.delivery())
        #expect(record.leave(for: .retry(attempts: 1)) == true)
        #expect(record.begin(self.delivery()) == .leave(.retry(attempts: 1)))
        record.left()
        #expect(record.begin(self.delivery()) == .superseded)
        #expect(record.begin(self.delivery(attempts: 1)) == .run(attempt: 2))
        #expect(record.begin(self.delivery()) == .superseded)
    }

    @Test func `a copy may arrive before it is known to be sent`() {
        var record = RequestRecord(starting: self.delivery())
        #expect(record.leave(for: .retry(attempts: 1)) == true)
        #expect(record.begin(self.delivery(attempts: 1)) == .run(attempt: 2))
        record.left()
        #expect(record.phase == .running)
        #expect(record.begin(self.delivery(attempts: 1)) == .run(attempt: 3))
    }

    @Test func `what is given up is parked, and each other copy is superseded`() {
        let onward = RequestOnward.deadLetters(attempts: 1, reason: .invalidArguments)
        var record = RequestRecord(starting: self.delivery())
        #expect(record.leave(for: onward) == true)
        #expect(record.begin(self.delivery()) == .leave(onward))
        record.left()
        #expect(record.begin(self.delivery()) == .superseded)
    }

    @Test func `a replay begins to count anew, and what was before it is superseded`() {
        var record = RequestRecord(starting: self.delivery())
        #expect(record.leave(for: .deadLetters(attempts: 5, reason: .failed)) == true)
        record.left()
        #expect(record.begin(self.delivery(replays: 1)) == .run(attempt: 1))
        #expect(record.begin(self.delivery(attempts: 4)) == .superseded)
    }

    @Test func `attempts that another host has counted are taken over`() {
        var record = RequestRecord(starting: self.delivery())
        #expect(record.begin(self.delivery(attempts: 4)) == .run(attempt: 5))
        #expect(RequestRecord(starting: self.delivery(attempts: 4)).attempts == 5)
    }
}

@Suite struct RetryBackoffTests {
    @Test func `times double up to their limit`() {
        let backoff = RetryBackoff.exponential(from: .seconds(1), limit: .seconds(5))
        #expect((1...5).map(backoff.delay) == [.seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5)])
        #expect(RetryBackoff.exponential.delay(after: .max) == .seconds(64))
        #expect(RetryBackoff.constant(.seconds(3)).delay(after: 9) == .seconds(3))
    }

    @Test func `times stay within what brokers have queues for`() {
        #expect(RetryBackoff.constant(.zero).delay(after: 1) == .milliseconds(250))
        #expect(RetryBackoff.constant(.seconds(1_000_000)).delay(after: 1) == .seconds(3600))
    }

    @Test func `a contract says after which attempt there is no other`() {
        let contract = DeliveryContract.atLeastOnce(attempts: 2, backoff: .constant(.seconds(1)))
        #expect(contract.delay(after: 1) == .seconds(1))
        #expect(contract.delay(after: 2) == nil)
        #expect(DeliveryContract.atLeastOnce(attempts: 0).attempts == 1)
        #expect(DeliveryContract.atMostOnce.delay(after: 1) == nil)
        #expect(DeliveryContract.atLeastOnce.attempts == 5)
    }
}

@Suite struct UTCTimeTests {
    @Test(arguments: [0, 1, 999, 1_763_839_800_250, 951_782_400_000, 4_102_444_799_999])
    func `a time is written and read back`(_ milliseconds: Int64) {
        let time = UTCTime(milliseconds: milliseconds)
        #expect(UTCTime(time.description) == time)
    }

    @Test func `times are written as in ISO 8601`() {
        #expect(UTCTime(milliseconds: 951_782_400_007).description == "2000-02-29T00:00:00.007Z")
    }

    @Test(arguments: [
        "", "x", "2000-02-29T00:00:00.0070", "2000-02-29T00:00:00.-07Z", "2000-13-29T00:00:00.007Z",
        "2000-02-29 00:00:00.007Z", "0000000000000000000000Z", "2000-02-29T00:00:00.007ZZ",
    ])
    func `what is no time is refused`(_ text: String) {
        #expect(UTCTime(text) == nil)
    }
}
