import Testing

@testable import Messaging

@Suite struct IntakeTests {
    @Test func `what repeats a running message is held until that has ended`() {
        let intake = Intake(slots: 1, duplicatesWindow: 1)
        #expect(!intake.hold("long", self.delivery(1)))
        #expect(!intake.hold("other", self.delivery(2)))
        #expect(intake.hold("long", self.delivery(3)))
        #expect(intake.hold("long", self.delivery(4)))
        #expect(intake.finish("long").map(\.token.tag) == [3, 4])
        #expect(!intake.hold("long", self.delivery(5)))
    }

    @Test func `messages without an id are never held`() {
        let intake = Intake(slots: 1, duplicatesWindow: 1)
        for tag in 1...2 as ClosedRange<UInt64> { #expect(!intake.hold(nil, self.delivery(tag))) }
    }

    @Test func `the oldest id is forgotten when the window is full`() {
        let intake = Intake(slots: 1, duplicatesWindow: 2)
        for id in ["a", "b", "c"] { #expect(!intake.isRepeated(id)) }
        #expect(intake.isRepeated("c"))
        #expect(!intake.isRepeated("a"))
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
