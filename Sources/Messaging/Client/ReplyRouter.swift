internal import Synchronization

/// The calls that wait for a reply, by message id.
///
/// One per transport, because all its clients share one reply queue (wire contract 1.1). Transports hand it what
/// arrives in that queue; each call ends exactly once: by a reply, its deadline, its task's cancellation, or the
/// transport's end.
public final class ReplyRouter: Sendable {
    private typealias Outcome = Result<ReplyPayload, any Error>

    private struct Call {
        let deadline: ContinuousClock.Instant
        let monitorTimeout: Duration?
        let startedAt: ContinuousClock.Instant
        /// When the server was heard of last: a heartbeat (wire contract 4.4).
        var heardAt: ContinuousClock.Instant?
        /// The host that said so.
        var host: String?
        /// The queue that the request went to, looked at shortly before the end if nobody was heard of.
        let destination: Destination?
        var isLookedAt = false
        var status: QueueStatus?
        var waiter: CheckedContinuation<ReplyPayload, any Error>?
        /// The outcome, if it came before somebody waited for it.
        var outcome: Outcome?

        var limit: ContinuousClock.Instant {
            guard let monitorTimeout = self.monitorTimeout else { return self.deadline }
            return min(self.deadline, (self.heardAt ?? self.startedAt) + monitorTimeout)
        }

        /// When something is to be done about it.
        var due: ContinuousClock.Instant { self.lookAt ?? self.limit }

        /// When its queue is to be looked at: early enough for the answer to come before the end.
        var lookAt: ContinuousClock.Instant? {
            guard !self.isLookedAt, self.heardAt == nil, self.destination != nil else { return nil }
            return self.limit - min(.milliseconds(250), (self.limit - self.startedAt) / 5)
        }
    }

    private struct State {
        var calls: [String: Call] = [:]
        var closedBy: RPCError?
        var inspector: Inspector?
        /// Wakes at `armedFor` to end what is overdue; there is one only while calls wait.
        var timer: Task<Void, Never>?
        var armedFor: ContinuousClock.Instant?
        var lateReplies = 0
        /// The replies to requests that everybody may answer, by message id.
        var gatherings: [String: Gathering] = [:]
    }

    private struct Gathering {
        var replies: [ReplyPayload] = []
        var size = 0
        /// The ids of the messages, because a reply may arrive twice.
        var seen: Set<String> = []
    }

    /// No more replies to one request are kept, and no more bytes of their results.
    private static let maximumGathered = 10_000
    private static let maximumGatheredSize = 64 << 20

    /// Looks at the queue of a destination; set by the client that waits.
    package typealias Inspector = @Sendable (Destination, ContinuousClock.Instant) async -> QueueStatus?

    private let clock: any MessagingClock
    private let state = Mutex(State())

    /// Creates a router without calls.
    ///
    /// - Parameter clock: The time by which calls end; the continuous clock by default.
    public init(clock: any MessagingClock = ContinuousClock()) {
        self.clock = clock
    }

    /// How many replies came for calls that had ended before, or were never made here.
    public var lateReplies: Int { self.state.withLock(\.lateReplies) }

    /// How many calls wait.
    public var waitingCalls: Int { self.state.withLock(\.calls.count) }

    // MARK: For transports

    /// Takes what arrived in the reply queue.
    ///
    /// - Parameter deliveries: What arrived; it needs no acknowledgement.
    public func receive(_ deliveries: [Delivery]) {
        for delivery in deliveries {
            let reply: ReplyPayload
            do throws(WireError) {
                reply = try ReplyPayload(delivery)
            } catch {
                // Without a readable message id nobody can be told; the call meant will end by its deadline.
                guard let id = error.messageID else {
                    self.state.withLock { $0.lateReplies += 1 }
                    continue
                }
                let error = RPCError(.invalidReply, "the reply cannot be read: \(error.message)", cause: error)
                self.finish(id, .failure(error), isReply: true)
                continue
            }
            guard let id = reply.messageID else {
                self.state.withLock { $0.lateReplies += 1 }
                continue
            }
            if reply.isHeartbeat {
                self.state.withLock { state in
                    state.calls[id]?.heardAt = self.clock.now
                    if let host = reply.host { state.calls[id]?.host = host }
                }
            } else if !self.isGathered(reply, id) {
                self.finish(id, .success(reply), isReply: true)
            }
        }
    }

    /// Ends all calls, those to come included: the transport was closed.
    ///
    /// - Parameter error: What the calls end with.
    public func close(with error: RPCError) {
        let ids = self.state.withLock { state in
            state.closedBy = error
            return Array(state.calls.keys)
        }
        for id in ids { self.finish(id, .failure(error)) }
    }

    // MARK: For clients

    /// Expects a reply; to be called before the request is sent.
    ///
    /// - Parameters:
    ///   - id: The call's message id.
    ///   - deadline: When the call ends.
    ///   - monitorTimeout: How long it waits without a sign of life.
    ///   - destination: Where the request goes; it is looked at before the call ends in silence.
    ///   - inspector: What looks at it.
    package func expect(
        _ id: String,
        deadline: ContinuousClock.Instant,
        monitorTimeout: Duration?,
        destination: Destination? = nil,
        inspector: Inspector? = nil
    ) {
        self.state.withLock { state in
            var call = Call(
                deadline: deadline,
                monitorTimeout: monitorTimeout,
                startedAt: self.clock.now,
                destination: inspector == nil ? nil : destination
            )
            call.outcome = state.closedBy.map { .failure($0) }
            if let inspector { state.inspector = inspector }
            state.calls[id] = call
            self.arm(&state, for: call.due)
        }
    }

    /// What is known of a call that waits, for whoever gives it up.
    package func progress(of id: String) -> CallProgress? {
        self.state.withLock { state in state.calls[id].map { Self.progress(of: $0, now: self.clock.now) } }
    }

    // MARK: Gathering

    /// Collects the replies to a request that everybody may answer, until ``gathered(_:)``.
    package func gather(_ id: String) {
        self.state.withLock { $0.gatherings[id] = Gathering() }
    }

    /// Ends the collection and answers the replies, in the order they came.
    package func gathered(_ id: String) -> [ReplyPayload] {
        self.state.withLock { $0.gatherings.removeValue(forKey: id)?.replies } ?? []
    }

    /// How many replies a collection has.
    package func gatheredCount(_ id: String) -> Int {
        self.state.withLock { $0.gatherings[id]?.replies.count ?? 0 }
    }

    private func isGathered(_ reply: ReplyPayload, _ id: String) -> Bool {
        self.state.withLock { state in
            guard var gathering = state.gatherings.removeValue(forKey: id) else { return false }
            defer { state.gatherings[id] = gathering }
            let size = gathering.size + (reply.result?.bytes.count ?? 0)
            guard gathering.replies.count < Self.maximumGathered, size <= Self.maximumGatheredSize,
                reply.uniqueID.map({ gathering.seen.insert($0).inserted }) ?? true
            else { return true }
            gathering.size = size
            gathering.replies.append(reply)
            return true
        }
    }

    // MARK: Waiting

    /// Waits for the reply to an expected call.
    package func reply(to id: String) async throws -> ReplyPayload {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Outcome? = self.state.withLock { state in
                    guard let call = state.calls[id] else { return .failure(CancellationError()) }
                    if let outcome = call.outcome { return outcome }
                    guard !Task.isCancelled else { return .failure(CancellationError()) }
                    state.calls[id]?.waiter = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            self.finish(id, .failure(CancellationError()))
        }
    }

    /// Ends the expectation; a reply that still comes is counted and dropped.
    package func forget(_ id: String) {
        self.state.withLock { state in
            state.calls[id] = nil
            if state.calls.isEmpty {
                // It holds the transport, which holds this router.
                state.inspector = nil
                state.timer?.cancel()
                state.timer = nil
                state.armedFor = nil
            }
        }
    }

    /// Takes a call's outcome, unless it has one already.
    private func finish(_ id: String, _ outcome: Outcome, isReply: Bool = false) {
        let waiter: CheckedContinuation<ReplyPayload, any Error>? = self.state.withLock { state in
            guard let call = state.calls[id], call.outcome == nil else {
                if isReply { state.lateReplies += 1 }
                return nil
            }
            state.calls[id]?.outcome = outcome
            state.calls[id]?.waiter = nil
            return call.waiter
        }
        waiter?.resume(with: outcome)
    }

    // MARK: Deadlines

    /// Sees to it that calls end at their deadlines, the next of which is at `instant`.
    ///
    /// One timer for all calls: with thousands in flight, a sleeping task for each would cost more than the calls. It
    /// runs only while calls wait and is cancelled by the last of them.
    private func arm(_ state: inout State, for instant: ContinuousClock.Instant) {
        if let armedFor = state.armedFor, armedFor <= instant { return }
        state.timer?.cancel()
        state.armedFor = instant
        state.timer = Task(executorPreference: preferredTaskExecutor) { [weak self, clock] in
            do {
                try await clock.sleep(until: instant, tolerance: nil)
            } catch {
                return  // Replaced by an earlier timer, or no call is left.
            }
            self?.expire()
        }
    }

    private func expire() {
        let now = self.clock.now
        let (overdue, queues): ([(String, RPCError)], [Destination: ContinuousClock.Instant]) = self.state.withLock {
            state in
            var overdue: [(String, RPCError)] = []
            var queues: [Destination: ContinuousClock.Instant] = [:]
            var next: ContinuousClock.Instant?
            for (id, call) in state.calls where call.outcome == nil {
                if call.limit <= now {
                    overdue.append((id, Self.timeout(call, now: now)))
                    continue
                }
                var call = call
                if let lookAt = call.lookAt, lookAt <= now, let destination = call.destination {
                    call.isLookedAt = true
                    state.calls[id]?.isLookedAt = true
                    queues[destination] = max(queues[destination] ?? call.limit, call.limit)
                }
                next = next.map { min($0, call.due) } ?? call.due
            }
            // The timer is this one, or one that replaced it while it fired; there must not be two.
            state.timer?.cancel()
            state.timer = nil
            state.armedFor = nil
            if let next { self.arm(&state, for: next) }
            return (overdue, queues)
        }
        for (id, error) in overdue { self.finish(id, .failure(error)) }
        for (destination, limit) in queues { self.look(at: destination, until: limit) }
    }

    /// Looks at a queue once for all the calls that are about to end there.
    private func look(at destination: Destination, until limit: ContinuousClock.Instant) {
        guard let inspector = self.state.withLock(\.inspector) else { return }
        // Not within the timer's task, which other calls need; it ends with the calls at the latest.
        Task(executorPreference: preferredTaskExecutor) { [weak self] in
            guard let status = await inspector(destination, limit) else { return }
            self?.state.withLock { state in
                for (id, call) in state.calls where call.destination == destination && call.isLookedAt {
                    state.calls[id]?.status = status
                }
            }
        }
    }

    /// Says how far the call got.
    private static func timeout(_ call: Call, now: ContinuousClock.Instant) -> RPCError {
        let waited = (now - call.startedAt).inSeconds
        let limit = now >= call.deadline ? "after \(waited.rounded(toPlaces: 1)) s" : "by its call monitor"
        let progress = Self.progress(of: call, now: now)
        return RPCError(.timeout, "no reply \(limit); \(progress)", progress: progress)
    }

    private static func progress(of call: Call, now: ContinuousClock.Instant) -> CallProgress {
        CallProgress(
            isRouted: true,
            consumers: call.status?.consumers,
            waitingRequests: call.status?.messages,
            host: call.host,
            silence: call.heardAt.map { now - $0 }
        )
    }
}
