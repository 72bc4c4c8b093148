internal import Synchronization

/// What stands between a listener and the workers that run handlers: it holds what arrived and is not started, admits no
/// more than there are free slots, hands what was admitted to workers, and recognises repetitions.
///
/// What it holds is bounded by the listener's prefetch, since nothing of it is acknowledged yet, and what was lost with the
/// last connection but one goes. Nothing here waits but workers for work, and the one that makes workers: what arrives is
/// admitted where it arrives, and costs one waking, that of a worker.
final class Intake<Work: Sendable>: Sendable {
    private typealias Worker = CheckedContinuation<Work?, Never>

    private struct State {
        var backlog: [Delivery] = []
        /// The last two generations that have arrived.
        var generations: (last: UInt64, before: UInt64) = (0, 0)
        var freeSlots: Int
        var isStopped = false
        /// Set when the server's task is cancelled: then nobody waits for replies any more.
        var isAbandoned = false
        /// Whether somebody was asked to admit what waits.
        var isAsked = false
        /// Batches that are being admitted, and replies that are not confirmed: the server does not end before them.
        var admissions = 0
        var replies = 0

        /// Work that waits for a worker, from `head` on, and workers that wait for work.
        var ready: [Work?] = []
        var head = 0
        var idle: [Worker] = []
        /// How many workers are to be made, and who waits to be told.
        var wanted = 0
        var manager: CheckedContinuation<Int?, Never>?

        var seen: Set<String> = []
        /// The ids of `seen` in the order they came; the oldest is overwritten at `oldest`.
        var order: [String] = []
        var oldest = 0
        /// Repetitions that wait for the end of the first delivery, by the key of their request.
        var held: [String: [Delivery]] = [:]

        /// Whether nothing will be admitted any more, and nothing is under way.
        var isOver: Bool {
            self.isStopped && self.admissions == 0 && (self.replies == 0 || self.isAbandoned)
        }
    }

    /// Who is to be resumed, once the lock is free.
    private struct Resumption {
        var workers: [(Worker, Work?)] = []
        var manager: (CheckedContinuation<Int?, Never>, Int?)?

        func callAsFunction() {
            for (worker, work) in self.workers { worker.resume(returning: work) }
            self.manager.map { $0.resume(returning: $1) }
        }
    }

    /// Workers beyond this number end where there is nothing to do.
    private static var maximumIdle: Int { 64 }

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

    // MARK: Admission

    /// Takes what arrived.
    ///
    /// - Returns: Whether somebody is to call ``admissible()``, and what is given up: where nothing is started and the
    ///   connection is lost again and again, the same would wait once more each time. What was lost with one connection
    ///   alone stays, because it may be lost to the broker too.
    func offer(_ deliveries: [Delivery]) -> (asks: Bool, superseded: [Delivery]) {
        self.state.withLock { state in
            var superseded: [Delivery] = []
            if let generation = deliveries.first?.token.generation, generation > state.generations.last {
                state.generations = (generation, state.generations.last)
                let oldest = state.generations.before
                superseded = state.backlog.filter { $0.token.generation < oldest }
                if !superseded.isEmpty { state.backlog.removeAll { $0.token.generation < oldest } }
            }
            state.backlog.append(contentsOf: deliveries)
            return (Self.asks(&state), superseded)
        }
    }

    /// Gives a slot back; answers whether somebody is to call ``admissible()``.
    func release() -> Bool {
        self.state.withLock { state in
            state.freeSlots += 1
            return Self.asks(&state)
        }
    }

    /// Takes a slot for what has begun already, even where none is free: then the next one that is given back is not.
    func occupy() {
        self.state.withLock { $0.freeSlots -= 1 }
    }

    /// One asks for all: by the time it is answered, more slots may be free.
    private static func asks(_ state: inout State) -> Bool {
        guard !state.isAsked, !state.isStopped, state.freeSlots > 0, !state.backlog.isEmpty else { return false }
        state.isAsked = true
        return true
    }

    /// Takes out what can be started now, with a slot for each; ``admitted(_:outOf:)`` is to follow.
    func admissible() -> [Delivery] {
        self.state.withLock { state in
            state.isAsked = false
            let count = min(state.freeSlots, state.backlog.count)
            guard count > 0, !state.isStopped else { return [] }
            state.freeSlots -= count
            state.admissions += 1
            if count == state.backlog.count {
                defer { state.backlog.removeAll(keepingCapacity: true) }
                return state.backlog
            }
            defer { state.backlog.removeFirst(count) }
            return Array(state.backlog.prefix(count))
        }
    }

    /// Hands what was admitted to workers.
    ///
    /// - Parameters:
    ///   - works: What is to be done; each has a slot.
    ///   - count: How many deliveries there were: the slots of the others are free again.
    /// - Returns: Whether somebody is to call ``admissible()``.
    func admitted(_ works: [Work], outOf count: Int) -> Bool {
        let (resumption, asks) = self.state.withLock { state in
            state.admissions -= 1
            state.freeSlots += count - works.count
            return (Self.hand(works, &state), Self.asks(&state))
        }
        resumption()
        return asks
    }

    // MARK: Workers

    /// Hands work to workers that needs no slot.
    func add(_ work: Work) {
        self.state.withLock { Self.hand([work], &$0) }()
    }

    private static func hand(_ works: [Work], _ state: inout State) -> Resumption {
        var resumption = Resumption()
        for work in works {
            if let worker = state.idle.popLast() {
                resumption.workers.append((worker, work))
            } else {
                state.ready.append(work)
                state.wanted += 1
            }
        }
        Self.settle(&state, &resumption)
        return resumption
    }

    /// Tells the manager of workers that are wanted, and everybody of the end.
    private static func settle(_ state: inout State, _ resumption: inout Resumption) {
        if state.isOver, state.ready.isEmpty {
            resumption.workers += state.idle.map { ($0, nil) }
            state.idle = []
        }
        guard let manager = state.manager, state.wanted > 0 || state.isOver else { return }
        resumption.manager = (manager, state.wanted > 0 ? state.wanted : nil)
        state.wanted = 0
        state.manager = nil
    }

    /// Waits for work, as a worker; `nil` when there is none any more, or others wait already.
    func next() async -> Work? {
        let work: Work? = await withCheckedContinuation { continuation in
            let work: Work?? = self.state.withLock { state in
                if state.head < state.ready.count {
                    defer {
                        state.ready[state.head] = nil
                        state.head += 1
                        if state.head == state.ready.count {
                            state.ready = []
                            state.head = 0
                        }
                    }
                    return .some(state.ready[state.head])
                }
                if state.isOver || Task.isCancelled || state.idle.count >= Self.maximumIdle { return .some(nil) }
                state.idle.append(continuation)
                return .none
            }
            if let work { continuation.resume(returning: work) }
        }
        #if STEWARD_THREAD_SANITIZER
            // Who is resumed before he waits is not stopped at all, and the runtime, built without ThreadSanitizer, does not
            // tell it that what he gets was made before. The lock that was held to hand it over does.
            self.state.withLock { _ in }
        #endif
        return work
    }

    /// Waits until workers are wanted, and answers how many; `nil` at the end.
    func workersWanted() async -> Int? {
        await withCheckedContinuation { continuation in
            self.state.withLock { state in
                state.manager = continuation
                var resumption = Resumption()
                Self.settle(&state, &resumption)
                return resumption
            }()
        }
    }

    // MARK: Replies

    /// A reply is on its way.
    func beginReply() {
        self.state.withLock { $0.replies += 1 }
    }

    /// It has arrived, or will not.
    func endReply() {
        self.state.withLock { state in
            state.replies -= 1
            var resumption = Resumption()
            if state.isStopped { Self.settle(&state, &resumption) }
            return resumption
        }()
    }

    // MARK: Stop

    /// Admits nothing more.
    func stop() {
        self.change { $0.isStopped = true }
        self.stopped.fulfil()
    }

    /// Lets go of workers that wait, and waits for no replies: the server's task was cancelled.
    func abandon() {
        self.change { state in
            state.isStopped = true
            state.isAbandoned = true
        }
    }

    private func change(_ body: (inout State) -> Void) {
        self.state.withLock { state in
            body(&state)
            var resumption = Resumption()
            Self.settle(&state, &resumption)
            return resumption
        }()
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
