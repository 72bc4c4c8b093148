import Testing

@testable import Messaging

@Suite struct InFlightTests {
    private func table() -> InFlight { InFlight(clock: ContinuousClock()) { _ in } }

    @Test func `a call that is cancelled on its way is cancelled when it begins, and only that one`() async {
        let inFlight = self.table()
        #expect(!inFlight.cancel("1"))
        #expect(inFlight.isWithdrawn("1") && !inFlight.isWithdrawn("2"))
        for (id, isCancelled) in [("1", true), ("2", false), ("1", false)] {
            let task = Task {
                let key = inFlight.begin(messageID: id, announceTo: nil, expiry: nil)
                let seen = Task.isCancelled
                return (seen, inFlight.end(key) == .cancelled)
            }
            #expect(await task.value == (isCancelled, isCancelled))
        }
        #expect(inFlight.count == 0)
    }

    @Test(.timeLimit(.minutes(3)))
    func `what a handler does when it is cancelled holds up no other request`() async {
        let inFlight = self.table()
        let begun = Eventual<Void>()
        let task = Task {
            let key = inFlight.begin(messageID: "1", announceTo: nil, expiry: nil)
            await withTaskCancellationHandler {
                begun.fulfil()
                while !Task.isCancelled { await Task.yield() }
            } onCancel: {
                // In the thread of whoever cancels, and of use of the same table.
                _ = inFlight.count
            }
            return inFlight.end(key)
        }
        await begun.wait()
        #expect(inFlight.cancel("1"))
        #expect(await task.value == .cancelled)
    }

    @Test func `as many cancellations of calls that never come are remembered as fit, the latest`() {
        let inFlight = self.table()
        for number in 0..<3_000 { _ = inFlight.cancel("\(number)") }
        #expect(!inFlight.isWithdrawn("0") && inFlight.isWithdrawn("2999"))
        #expect((0..<3_000).count { inFlight.isWithdrawn("\($0)") } == 1_024)
    }
}
