import Testing

@testable import Messaging

@Suite struct IntakeTests {
    @Test func `a message that is held is recognised although the window has moved on`() {
        let intake = Intake(slots: 1, duplicatesWindow: 1)
        #expect(intake.note("long", delivery: self.delivery(1), isHeld: true) == .first)
        #expect(intake.note("other", delivery: self.delivery(2), isHeld: false) == .first)
        #expect(intake.note("long", delivery: self.delivery(3), isHeld: true) == .running)
        #expect(intake.note("long", delivery: self.delivery(4), isHeld: true) == .running)
        #expect(intake.finish("long").map(\.token.tag) == [3, 4])
    }

    @Test func `the oldest id is forgotten when the window is full`() {
        let intake = Intake(slots: 1, duplicatesWindow: 2)
        for id in ["a", "b", "c"] {
            #expect(intake.note(id, delivery: self.delivery(1), isHeld: false) == .first)
        }
        #expect(intake.note("c", delivery: self.delivery(2), isHeld: false) == .repeated)
        #expect(intake.note("a", delivery: self.delivery(3), isHeld: false) == .first)
    }

    @Test func `deliveries are handed out as slots are free, and what is left can be taken out`() async {
        let intake = Intake(slots: 2, duplicatesWindow: 8)
        intake.offer((1...5).map(self.delivery))
        #expect(await intake.take()?.map(\.token.tag) == [1, 2])
        #expect(intake.running == 2)
        intake.release(1)
        #expect(await intake.take()?.map(\.token.tag) == [3])
        intake.stop()
        #expect(await intake.take() == nil)
        #expect(intake.drain().map(\.token.tag) == [4, 5])
    }

    private func delivery(_ tag: UInt64) -> Delivery {
        Delivery(body: [], token: Delivery.Token(tag: tag))
    }
}
