import TestSupport
import Testing

@testable import AMQPClient

@Suite struct AcknowledgementTrackerTests {
    @Test func `what is settled behind a delivery that is not takes no memory, and is acknowledged once`() throws {
        var tracker = AcknowledgementTracker()
        for tag in UInt64(1)...100_000 {
            try tracker.delivered(tag, needsAcknowledgement: true)
            // The first of all hangs, and some others.
            if tag % 1_000 == 1 { continue }
            let isOutstanding = tracker.acknowledge(tag)
            let taken = tracker.take()
            #expect(isOutstanding && taken.count == 1 && taken[0].tag == tag && !taken[0].multiple)
        }
        #expect(tracker.size <= 4_096)
        #expect(tracker.outstanding == 100)
        let isRepeated = tracker.acknowledge(500)
        #expect(!isRepeated)
        for tag in [50_001, 1] as [UInt64] {
            let isOutstanding = tracker.acknowledge(tag)
            let taken = tracker.take()
            #expect(isOutstanding && taken.map(\.tag) == [tag])
        }
        do throws(AMQPError) {
            try tracker.delivered(99_999, needsAcknowledgement: true)
            Issue.record("a tag may come twice")
        } catch {
            #expect(error.message.contains("follows 100000"), "\(error)")
        }
    }

    private func tracker(_ count: UInt64) throws -> AcknowledgementTracker {
        var tracker = AcknowledgementTracker()
        for tag in 1...count {
            try tracker.delivered(tag, needsAcknowledgement: true)
        }
        return tracker
    }

    @Test func `what finished in order leaves as one acknowledgement`() throws {
        var tracker = try self.tracker(5)
        for tag in [3, 1, 2] as [UInt64] {
            let isKnown = tracker.acknowledge(tag)
            #expect(isKnown)
        }
        let written = tracker.take()
        #expect(written.map { $0.tag } == [3] && written.map { $0.multiple } == [true])
        #expect(tracker.take().isEmpty)
        #expect(tracker.outstanding == 2)
    }

    @Test func `what finished early leaves alone and is not swept along`() throws {
        var tracker = try self.tracker(5)
        _ = tracker.acknowledge(1)
        _ = tracker.acknowledge(4)
        var written = tracker.take()
        #expect(written.map { $0.tag } == [1, 4] && written.allSatisfy { !$0.multiple })
        _ = tracker.acknowledge(2)
        _ = tracker.acknowledge(3)
        written = tracker.take()
        #expect(written.map { $0.tag } == [3] && written.map { $0.multiple } == [true])
    }

    @Test func `nothing is acknowledged twice`() throws {
        var tracker = try self.tracker(3)
        let results = [
            tracker.acknowledge(2), tracker.acknowledge(2), tracker.settle(2), tracker.acknowledge(9),
            tracker.settle(3), tracker.acknowledge(3),
        ]
        #expect(results == [true, false, false, false, true, false])
        _ = tracker.take()
        let late = tracker.acknowledge(2)
        #expect(!late)
    }

    @Test func `a rejection between acknowledgements does not break their combination`() throws {
        var tracker = try self.tracker(4)
        _ = tracker.acknowledge(1)
        _ = tracker.settle(2)
        _ = tracker.acknowledge(3)
        let written = tracker.take()
        #expect(written.map { $0.tag } == [3] && written.map { $0.multiple } == [true])
    }

    @Test func `tags that do not ascend are a violation`() throws {
        var tracker = try self.tracker(3)
        for tag in [3, 1, 0] as [UInt64] {
            #expect(throws: AMQPError.self) { try tracker.delivered(tag, needsAcknowledgement: true) }
        }
        // Others may leave gaps; nothing depends on their absence.
        try tracker.delivered(.max, needsAcknowledgement: true)
        let isKnown = tracker.acknowledge(.max)
        #expect(isKnown)
    }

    @Test(arguments: 1...20) func `any order of finishing acknowledges each delivery exactly once`(seed: Int) throws {
        var tracker = AcknowledgementTracker()
        var unsettled: [UInt64] = []
        var acknowledged: Set<UInt64> = []
        var everSettled: Set<UInt64> = []
        var next: UInt64 = 1
        func write() {
            for (tag, multiple) in tracker.take() {
                let covered = multiple ? (1...tag).filter { !acknowledged.contains($0) } : [tag]
                for tag in covered where !everSettled.contains(tag) {
                    #expect(!unsettled.contains(tag), "\(tag) was acknowledged before it was finished")
                    acknowledged.insert(tag)
                }
            }
        }
        for _ in 0..<400 {
            switch Int.random(in: 0..<10) {
            case 0..<5:
                let isNeeded = Int.random(in: 0..<8) > 0
                try tracker.delivered(next, needsAcknowledgement: isNeeded)
                if isNeeded { unsettled.append(next) } else { everSettled.insert(next) }
                next += 1
            case 5..<8:
                guard let index = unsettled.indices.randomElement() else { continue }
                _ = tracker.acknowledge(unsettled.remove(at: index))
            case 8:
                guard let index = unsettled.indices.randomElement() else { continue }
                let tag = unsettled.remove(at: index)
                everSettled.insert(tag)
                _ = tracker.settle(tag)
            default:
                write()
            }
        }
        for tag in unsettled { _ = tracker.acknowledge(tag) }
        unsettled = []
        write()
        #expect(acknowledged.union(everSettled) == Set(1..<next))
        #expect(tracker.outstanding == 0)
    }
}

@Suite struct TimerQueueTests {
    private final class Note: LoopTimer {
        let number: Int
        init(_ number: Int) { self.number = number }
    }

    @Test func `timers come in order whatever is removed`() {
        var queue = TimerQueue()
        let start = ContinuousClock.now
        let notes = (0..<500).map { Note($0) }
        for note in notes.shuffled() {
            queue.insert(note, at: start + .milliseconds(note.number))
        }
        let removed = Set(notes.shuffled().prefix(200).map { $0.number })
        for number in removed { queue.remove(notes[number]) }
        queue.remove(notes[removed.first ?? 0])
        var order: [Int] = []
        while let timer = queue.popDue(start + .seconds(1)) as? Note { order.append(timer.number) }
        #expect(order == (0..<500).filter { !removed.contains($0) })
        #expect(queue.isEmpty)
    }

    @Test func `a timer is not due before its instant`() {
        var queue = TimerQueue()
        let now = ContinuousClock.now
        queue.insert(Note(1), at: now + .seconds(1))
        #expect(queue.popDue(now) == nil)
        #expect(queue.nextDeadline == now + .seconds(1))
    }
}

@Suite struct RepairQueueTests {
    private let backoff = AMQPConfiguration.Backoff(initial: .seconds(1), maximum: .seconds(8), multiplier: 2)

    @Test func `what others need is repaired first`() {
        var repairs = RepairQueue(self.backoff)
        let now = ContinuousClock.now
        let binding = Binding(destination: .queue("q"), source: "x", routingKey: "")
        for item in [.consumer(channel: 1, tag: "t"), .channel(1), .binding(binding), .queue("q"), .exchange("x")]
            as [RepairItem]
        {
            repairs.add(item, now: now)
        }
        var order: [RepairItem] = []
        while let item = repairs.due(withoutOperations: false, now: now).first {
            order.append(item)
            let hadFailed = repairs.succeeded(item, now: now)
            #expect(!hadFailed)
        }
        #expect(
            order == [.exchange("x"), .queue("q"), .binding(binding), .channel(1), .consumer(channel: 1, tag: "t")]
        )
    }

    @Test func `a failed repair waits longer each time`() throws {
        var repairs = RepairQueue(self.backoff)
        var now = ContinuousClock.now
        repairs.add(.queue("q"), now: now)
        for attempt in 0..<5 {
            #expect(repairs.due(withoutOperations: false, now: now) == [.queue("q")])
            repairs.failed(.queue("q"), .accessRefused, now: now)
            #expect(repairs.due(withoutOperations: false, now: now).isEmpty)
            let next = try #require(repairs.nextDue(withoutOperations: false))
            #expect(next - now <= self.backoff.limit(attempt: attempt) && next > now)
            now = next
        }
    }

    @Test func `what breaks again at once is not repaired at once`() {
        var repairs = RepairQueue(self.backoff)
        let now = ContinuousClock.now
        repairs.add(.channel(1), now: now)
        _ = repairs.succeeded(.channel(1), now: now)
        repairs.add(.channel(1), now: now)
        #expect(repairs.due(withoutOperations: false, now: now).isEmpty)
        repairs.forget(.channel(1))
        repairs.add(.channel(1), now: now)
        #expect(repairs.due(withoutOperations: false, now: now) == [.channel(1)])
    }

    @Test func `what a failed one was missing hastens it, and nothing else`() {
        var repairs = RepairQueue(self.backoff)
        let now = ContinuousClock.now
        repairs.add(.exchange("x"), now: now)
        repairs.failed(.exchange("x"), .accessRefused, now: now)
        for item in [.queue("q"), .queue("other")] as [RepairItem] {
            repairs.add(item, now: now)
            repairs.failed(item, .notFound, now: now)
        }
        #expect(repairs.due(withoutOperations: false, now: now).isEmpty)
        let hadFailed = repairs.succeeded(.exchange("x"), now: now)
        #expect(hadFailed)
        repairs.hasten(.queue("q"), now: now)
        repairs.hasten(.queue("nobody wants it"), now: now)
        #expect(repairs.due(withoutOperations: false, now: now) == [.queue("q")])
    }

    // Fault 13: of many items one has the shortest pause, and that is how long all of them wait.
    @Test func `what failed for the same reason is tried as soon as that is over`() {
        var repairs = RepairQueue(self.backoff)
        let now = ContinuousClock.now
        let refused: [RepairItem] = [.exchange("x"), .queue("q"), .queue("r")]
        for item in refused + [.queue("locked")] {
            repairs.add(item, now: now)
            repairs.failed(item, refused.contains(item) ? .accessRefused : .resourceLocked, now: now)
        }
        let hadFailed = repairs.succeeded(.queue("q"), now: now)
        #expect(hadFailed)
        #expect(repairs.due(withoutOperations: false, now: now) == [.exchange("x")])
        _ = repairs.succeeded(.exchange("x"), now: now)
        #expect(repairs.due(withoutOperations: false, now: now) == [.queue("r")])
        _ = repairs.succeeded(.queue("r"), now: now)
        #expect(repairs.due(withoutOperations: false, now: now).isEmpty)
    }

    @Test func `nothing that needs the operations' channel is tried without it`() {
        var repairs = RepairQueue(self.backoff)
        let now = ContinuousClock.now
        repairs.add(.queue("q"), now: now)
        #expect(repairs.due(withoutOperations: true, now: now).isEmpty)
        #expect(repairs.nextDue(withoutOperations: true) == nil)
    }
}

@Suite struct TopologyTests {
    @Test func `a renamed queue takes its bindings along`() {
        var topology = Topology()
        topology.record(QueueRecord(name: "amq.gen-1", isServerNamed: true))
        topology.record(Binding(destination: .queue("amq.gen-1"), source: "x", routingKey: "k"))
        topology.rename("amq.gen-1", to: "amq.gen-2")
        topology.rename("amq.gen-2", to: "amq.gen-3")
        #expect(topology.currentName("amq.gen-1") == "amq.gen-3")
        #expect(topology.currentName("amq.gen-2") == "amq.gen-3")
        #expect(topology.bindings == [Binding(destination: .queue("amq.gen-3"), source: "x", routingKey: "k")])
        topology.removeQueue("amq.gen-3")
        #expect(topology.bindings.isEmpty && topology.currentName("amq.gen-1") == "amq.gen-1")
    }

    @Test func `an exchange that goes with its last binding is not kept`() {
        var topology = Topology()
        topology.record(ExchangeRecord(name: "x", type: .fanout, autoDelete: true))
        topology.record(QueueRecord(name: "q"))
        topology.record(Binding(destination: .queue("q"), source: "x", routingKey: ""))
        topology.removeQueue("q")
        #expect(topology.exchanges.isEmpty)
    }
}

@Suite struct QueueTests {
    @Test func `elements come out in order, also around those put in front`() {
        var queue = Queue<Int>()
        for number in 0..<1_000 { queue.append(number) }
        for number in 0..<600 { #expect(queue.popFirst() == number) }
        queue.prepend(contentsOf: [1, 2])
        #expect(queue.count == 402)
        queue.removeAll { $0 % 2 == 1 }
        #expect(queue.popFirst() == 2)
        #expect(queue.drain() == (600..<1_000).filter { $0 % 2 == 0 })
        #expect(queue.isEmpty && queue.popFirst() == nil)
    }
}

@Suite struct StateBoxTests {
    @Test func `an observation that has ended leaves nothing behind, and the others go on`() {
        let box = StateBox()
        let (first, second) = (Collector<String>(), Collector<String>())
        let observation = box.observe { first.add("\($0)") }
        _ = box.observe { second.add("\($0)") }
        #expect(box.change(to: .connecting))
        observation.end()
        observation.end()
        #expect(box.observerCount == 1)
        #expect(box.change(to: .open))
        #expect(first.all == ["connecting"])
        #expect(second.all == ["connecting", "open"])
    }
}
