import Messaging
import Testing

@Suite struct InMemoryRequestJournalTests {
    private func delivery(_ key: String) -> RequestDelivery { RequestDelivery(key: key, method: "m") }

    @Test func `it remembers what was done`() async {
        let journal = InMemoryRequestJournal()
        #expect(await journal.begin(self.delivery("a")) == .run(attempt: 1))
        await journal.complete("a", reply: [7])
        #expect(await journal.begin(self.delivery("a")) == .done(reply: [7]))
        await journal.forget("a")
        #expect(await journal.begin(self.delivery("a")) == .run(attempt: 1))
    }

    @Test func `the oldest is forgotten when there are too many`() async {
        let journal = InMemoryRequestJournal(maximumCount: 2)
        for key in ["a", "b", "c"] {
            _ = await journal.begin(self.delivery(key))
            await journal.complete(key, reply: nil)
        }
        #expect(journal.count == 2)
        #expect(await journal.begin(self.delivery("c")) == .done(reply: nil))
        #expect(await journal.begin(self.delivery("a")) == .run(attempt: 1))
    }

    @Test func `replies are bounded together`() async {
        let journal = InMemoryRequestJournal(maximumSize: 10)
        for key in ["a", "b", "c"] {
            _ = await journal.begin(self.delivery(key))
            await journal.complete(key, reply: [0, 0, 0, 0])
        }
        #expect(journal.count == 2)
        #expect(await journal.begin(self.delivery("a")) == .run(attempt: 1))
    }

    @Test func `what is old is forgotten`() async throws {
        let journal = InMemoryRequestJournal(retention: .milliseconds(50))
        _ = await journal.begin(self.delivery("a"))
        await journal.complete("a", reply: nil)
        try await Task.sleep(for: .milliseconds(60))
        #expect(await journal.begin(self.delivery("a")) == .run(attempt: 1))
        #expect(journal.count == 1)
    }

    @Test func `a long life does not let it grow`() async {
        let journal = InMemoryRequestJournal(maximumCount: 100)
        for number in 1...5_000 {
            _ = await journal.begin(self.delivery("\(number)"))
            if number.isMultiple(of: 2) {
                await journal.forget("\(number)")
            } else {
                await journal.complete("\(number)", reply: nil)
            }
        }
        #expect(journal.count <= 100)
        // What nobody ends has an end as well.
        for number in 1...5_000 { _ = await journal.begin(self.delivery("abandoned \(number)")) }
        #expect(journal.count <= 200)
    }

    @Test func `what runs or is being sent on is not forgotten for what comes after it`() async {
        let journal = InMemoryRequestJournal(maximumCount: 10, maximumSize: 10)
        for key in ["running", "moving", "parking"] { _ = await journal.begin(self.delivery(key)) }
        #expect(await journal.leave("moving", for: .retry(attempts: 1)))
        #expect(await journal.leave("parking", for: .deadLetters(attempts: 1, reason: .failed)))
        for number in 1...100 {
            _ = await journal.begin(self.delivery("\(number)"))
            await journal.complete("\(number)", reply: [0, 0, 0, 0])
        }
        #expect(journal.count <= 10)
        #expect(await journal.begin(self.delivery("running")) == .run(attempt: 2))
        #expect(await journal.begin(self.delivery("moving")) == .leave(.retry(attempts: 1)))
        #expect(await journal.begin(self.delivery("parking")) == .leave(.deadLetters(attempts: 1, reason: .failed)))
    }

    @Test func `what was forgotten is not brought back by its end`() async {
        let journal = InMemoryRequestJournal()
        await journal.complete("a", reply: nil)
        await journal.withdraw("a")
        await journal.left("a")
        #expect(await journal.leave("a", for: .retry(attempts: 1)))
        #expect(journal.count == 0)
    }
}
