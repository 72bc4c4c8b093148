internal import Synchronization

/// What stands between a listener and the handlers: it holds what arrived and is not started, hands out no more than
/// there are free slots, and recognises repetitions.
///
/// What it holds is bounded by the listener's prefetch, since nothing of it is acknowledged yet.
final class Intake: Sendable {
    private typealias Taker = CheckedContinuation<[Delivery]?, Never>

    private struct State {
        var backlog: [Delivery] = []
        var freeSlots: Int
        var taker: Taker?
        var isStopped = false
        var seen: Set<String> = []
        /// The ids of `seen` in the order they came; the oldest is overwritten at `oldest`.
        var order: [String] = []
        var oldest = 0
        /// Repetitions that wait for the end of the first delivery, by the key of their request.
        var held: [String: [Delivery]] = [:]
    }

    /// Comes with the stop.
    let stopped = Eventual<Void>()

    private let slots: Int
    private let duplicatesWindow: Int
    private let state: Mutex<State>

    init(slots: Int, duplicatesWindow: Int) {
        self.slots = max(1, slots)
        self.duplicatesWindow = duplicatesWindow
        self.state = Mutex(State(freeSlots: max(1, slots)))
    }

    /// How many slots are taken.
    var running: Int { self.slots - self.state.withLock(\.freeSlots) }

    /// How many deliveries wait for a slot.
    var waiting: Int { self.state.withLock(\.backlog.count) }

    // MARK: Flow

    /// Takes what arrived; called on the transport's thread.
    func offer(_ deliveries: [Delivery]) {
        self.resume { state in state.backlog.append(contentsOf: deliveries) }
    }

    /// Waits for deliveries and takes a slot for each; `nil` after the stop.
    func take() async -> [Delivery]? {
        await withCheckedContinuation { continuation in
            self.resume { state in
                // There is one taker: the server's loop.
                state.taker = continuation
            }
        }
    }

    /// Gives slots back.
    func release(_ count: Int) {
        guard count > 0 else { return }
        self.resume { state in state.freeSlots += count }
    }

    /// Changes the state, and wakes the taker if there is now something for it.
    private func resume(_ change: (inout State) -> Void) {
        let (taker, deliveries) = self.state.withLock { state -> (Taker?, [Delivery]?) in
            change(&state)
            guard let taker = state.taker else { return (nil, nil) }
            if state.isStopped {
                state.taker = nil
                return (taker, nil)
            }
            let count = min(state.freeSlots, state.backlog.count)
            guard count > 0 else { return (nil, nil) }
            state.taker = nil
            state.freeSlots -= count
            if count == state.backlog.count {
                defer { state.backlog.removeAll(keepingCapacity: true) }
                return (taker, state.backlog)
            }
            defer { state.backlog.removeFirst(count) }
            return (taker, Array(state.backlog.prefix(count)))
        }
        taker?.resume(returning: deliveries)
    }

    // MARK: Stop

    /// Hands out nothing more.
    func stop() {
        self.resume { state in state.isStopped = true }
        self.stopped.fulfil()
    }

    /// Takes out what was not started.
    func drain() -> [Delivery] {
        self.state.withLock { state in
            defer { state.backlog = [] }
            return state.backlog
        }
    }

    // MARK: Repetitions

    /// Notes that a message is about to be run, and says whether one of its id was run here before.
    func isRepeated(_ id: String?) -> Bool {
        guard let id, self.duplicatesWindow > 0 else { return false }
        return self.state.withLock { state in
            guard state.seen.insert(id).inserted else { return true }
            if state.order.count < self.duplicatesWindow {
                state.order.append(id)
            } else {
                state.seen.remove(state.order[state.oldest])
                state.order[state.oldest] = id
                state.oldest = (state.oldest + 1) % self.duplicatesWindow
            }
            return false
        }
    }

    /// Notes that a message is about to be run under an acknowledgement to come; where one of its key is running
    /// already, the delivery waits for its end, and the answer is yes.
    func hold(_ key: String?, _ delivery: Delivery) -> Bool {
        guard let key else { return false }
        return self.state.withLock { state in
            if state.held[key]?.append(delivery) != nil { return true }
            state.held[key] = []
            return false
        }
    }

    /// A held message was run: answers the repetitions that are to be settled with it.
    func finish(_ key: String?) -> [Delivery] {
        guard let key else { return [] }
        return self.state.withLock { $0.held.removeValue(forKey: key) } ?? []
    }
}
