import Testing

@testable import Messaging

@Suite struct IntakeTests {
    @Test func `what repeats a running message is held until that has ended`() {
        let intake = Intake<Int>(slots: 1, duplicatesWindow: 1)
        #expect(!intake.hold("long", self.delivery(1)))
        #expect(!intake.hold("other", self.delivery(2)))
        #expect(intake.hold("long", self.delivery(3)))
        #expect(intake.hold("long", self.delivery(4)))
        #expect(intake.finish("long").map(\.token.tag) == [3, 4])
        #expect(!intake.hold("long", self.delivery(5)))
    }

    @Test func `messages without an id are never held`() {
        let intake = Intake<Int>(slots: 1, duplicatesWindow: 1)
        for tag in 1...2 as ClosedRange<UInt64> { #expect(!intake.hold(nil, self.delivery(tag))) }
    }

    @Test func `the oldest id is forgotten when the window is full`() {
        let intake = Intake<Int>(slots: 1, duplicatesWindow: 2)
        for id in ["a", "b", "c"] { #expect(!intake.isRepeated(id)) }
        #expect(intake.isRepeated("c"))
        #expect(!intake.isRepeated("a"))
    }

    @Test func `deliveries are admitted as slots are free, and what is left can be taken out`() {
        let intake = Intake<Int>(slots: 2, duplicatesWindow: 8)
        #expect(intake.offer((1...5).map(self.delivery)).asks)
        #expect(!intake.offer([]).asks, "one was asked already")
        #expect(intake.admissible().map(\.token.tag) == [1, 2])
        #expect(intake.admissible().isEmpty)
        #expect(intake.running == 2)
        #expect(!intake.admitted([1, 2], outOf: 2))
        #expect(intake.release())
        #expect(intake.admissible().map(\.token.tag) == [3])
        #expect(intake.admitted([], outOf: 1), "the slot of what is not run is free again")
        intake.stop()
        #expect(intake.admissible().isEmpty)
        #expect(intake.drain().map(\.token.tag) == [4, 5])
    }

    @Test func `what is lost again and again waits no more than twice`() {
        let intake = Intake<Int>(slots: 1, duplicatesWindow: 8)
        intake.occupy()
        func arrive(_ generation: UInt64) -> [Delivery.Token] {
            let deliveries = (1...2).map { tag in
                Delivery(body: [], queue: "q", token: Delivery.Token(tag: tag, generation: generation))
            }
            let (asks, superseded) = intake.offer(deliveries)
            #expect(!asks)
            return superseded.map(\.token)
        }
        #expect(arrive(3).isEmpty)
        #expect(arrive(5).isEmpty, "the broker may have lost what it had")
        #expect(arrive(6) == (1...2).map { Delivery.Token(tag: $0, generation: 3) })
        #expect(arrive(6).isEmpty)
        #expect(arrive(9).map(\.generation) == [5, 5])
        #expect(intake.waiting == 6)
    }

    @Test(.timeLimit(.minutes(1)))
    func `workers get what was admitted, also after the stop, and then end`() async {
        let intake = Intake<Int>(slots: 8, duplicatesWindow: 8)
        _ = intake.offer((1...3).map(self.delivery))
        _ = intake.admissible()
        intake.stop()
        let done = await withTaskGroup(of: Int.self) { workers in
            async let wanted = intake.workersWanted()
            _ = intake.admitted([1, 2, 3], outOf: 3)
            for _ in 0..<(await wanted ?? 0) {
                workers.addTask {
                    var sum = 0
                    while let work = await intake.next() { sum += work }
                    return sum
                }
            }
            return await workers.reduce(0, +)
        }
        #expect(done == 6)
        #expect(await intake.workersWanted() == nil)
    }

    @Test(.timeLimit(.minutes(1)))
    func `the end waits for replies, unless the server is abandoned`() async {
        let intake = Intake<Int>(slots: 1, duplicatesWindow: 8)
        intake.beginReply()
        intake.stop()
        let hasEnded = Eventual<Void>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                #expect(await intake.workersWanted() == 1)
                #expect(await intake.next() == 7)
                #expect(await intake.workersWanted() == nil)
                hasEnded.fulfil()
            }
            intake.add(7)
            for _ in 0..<20 { await Task.yield() }
            #expect(!hasEnded.isResolved)
            intake.abandon()
        }
        #expect(await intake.next() == nil)
    }

    private func delivery(_ tag: UInt64) -> Delivery {
        Delivery(body: [], token: Delivery.Token(tag: tag))
    }
}
