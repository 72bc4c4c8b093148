/// Something that happens at an instant on the thread of an event loop, unless it is removed before.
///
/// A class, because a queue of timers removes them from its middle: most deadlines never pass.
class LoopTimer {
    fileprivate(set) var deadline: ContinuousClock.Instant = .now
    fileprivate var position: Int?

    /// Called once, on the loop's thread, when the instant has come.
    func fire() {}
}

/// Timers by deadline: a binary heap whose elements know their places.
struct TimerQueue {
    private var heap: [LoopTimer] = []

    var nextDeadline: ContinuousClock.Instant? { self.heap.first?.deadline }
    var isEmpty: Bool { self.heap.isEmpty }

    mutating func insert(_ timer: LoopTimer, at deadline: ContinuousClock.Instant) {
        self.remove(timer)
        timer.deadline = deadline
        timer.position = self.heap.count
        self.heap.append(timer)
        self.siftUp(self.heap.count - 1)
    }

    mutating func remove(_ timer: LoopTimer) {
        guard let position = timer.position else { return }
        timer.position = nil
        let last = self.heap.removeLast()
        guard position < self.heap.count else { return }
        self.heap[position] = last
        last.position = position
        self.siftDown(position)
        self.siftUp(position)
    }

    /// Takes the earliest timer out if its instant has come.
    mutating func popDue(_ now: ContinuousClock.Instant) -> LoopTimer? {
        guard let first = self.heap.first, first.deadline <= now else { return nil }
        self.remove(first)
        return first
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard self.heap[child].deadline < self.heap[parent].deadline else { return }
            self.exchange(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in (2 * parent + 1)...(2 * parent + 2)
            where child < self.heap.count && self.heap[child].deadline < self.heap[smallest].deadline {
                smallest = child
            }
            guard smallest != parent else { return }
            self.exchange(parent, smallest)
            parent = smallest
        }
    }

    private mutating func exchange(_ first: Int, _ second: Int) {
        self.heap.swapAt(first, second)
        self.heap[first].position = first
        self.heap[second].position = second
    }
}
