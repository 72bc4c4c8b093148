internal import Synchronization

/// The calls that wait for a reply, by message id.
///
/// One per transport, because all its clients share one reply queue (wire contract 1.1). Transports hand it what
/// arrives in that queue; each call ends exactly once: by a reply, its deadline, its task's cancellation, or the
/// transport's end.
public final class ReplyRouter: Sendable {
    private typealias Outcome = Result<ReplyPayload, any Error>

    /// A call that waits.
    ///
    /// `@unchecked Sendable`: what changes is touched only under the router's lock.
    private final class Call: @unchecked Sendable {
        let id: String
        let deadline: ContinuousClock.Instant
        let monitorTimeout: Duration?
        let startedAt: ContinuousClock.Instant
        /// The queue that the request went to, looked at shortly before the end if nobody was heard of.
        let destination: Destination
        let inspector: Inspector?
        /// When the server was heard of last: a heartbeat (wire contract 4.4).
        var heardAt: ContinuousClock.Instant?
        /// The host that said so.
        var host: String?
        var isLookedAt = false
        var status: QueueStatus?
        var waiter: CheckedContinuation<ReplyPayload, any Error>?
        /// The request on its way.
        var sending: (any PendingSend)?
        var isWithdrawn = false

        init(
            _ id: String,
            deadline: ContinuousClock.Instant,
            monitorTimeout: Duration?,
            startedAt: ContinuousClock.Instant,
            destination: Destination,
            inspector: Inspector?
        ) {
            self.id = id
            self.deadline = deadline
            self.monitorTimeout = monitorTimeout
            self.startedAt = startedAt
            self.destination = destination
            self.inspector = inspector
        }

        /// Gives up who waits, if somebody still does.
        func end() -> CheckedContinuation<ReplyPayload, any Error>? {
            // The sending holds what it reports to, and that holds the call.
            self.sending = nil
            defer { self.waiter = nil }
            return self.waiter
        }

        /// When it ends for want of an answer.
        var limit: ContinuousClock.Instant {
            guard let monitorTimeout = self.monitorTimeout else { return self.patience }
            return min(self.patience, (self.heardAt ?? self.startedAt) + monitorTimeout)
        }

        /// The deadline; where the request may still be here, a little later: its sending ends then as well, and knows
        /// what stood in its way.
        private var patience: ContinuousClock.Instant {
            self.sending?.isConfirmed == false ? self.deadline + .milliseconds(250) : self.deadline
        }

        /// When something is to be done about it.
        var due: ContinuousClock.Instant { self.lookAt ?? self.limit }

        /// When its queue is to be looked at: early enough for the answer to come before the end.
        var lookAt: ContinuousClock.Instant? {
            guard !self.isLookedAt, self.heardAt == nil, self.inspector != nil else { return nil }
            return self.limit - min(.milliseconds(250), (self.limit - self.startedAt) / 5)
        }
    }

    private struct State {
        var calls: [String: Call] = [:]
        var closedBy: RPCError?
        /// Wakes at `armedFor` to end what is overdue; there is none before the first call.
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

    /// Casts whose confirm nobody awaits, and which are not written yet.
    let unwritten = SendWindow(size: 1_000)

    /// What was sent, method by method.
    let statistics = RPCClientStatistics()

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
                self.finish(id, .failure(error))
                continue
            }
            guard let id = reply.messageID else {
                self.state.withLock { $0.lateReplies += 1 }
                continue
            }
            if reply.isHeartbeat {
                self.state.withLock { state in
                    guard let call = state.calls[id] else { return }
                    call.heardAt = self.clock.now
                    if let host = reply.host { call.host = host }
                }
            } else {
                self.finish(id, .success(reply))
            }
        }
    }

    /// Waits until the casts that nobody waits for are written: to be called before the transport is closed.
    ///
    /// - Parameter limit: How long to wait at most.
    /// - Returns: How many are not written.
    @discardableResult
    public func writeCasts(within limit: Duration) async -> Int {
        await self.unwritten.empty(within: limit, clock: self.clock)
    }

    /// Ends all calls, those to come included: the transport was closed.
    ///
    /// - Parameter error: What the calls end with.
    public func close(with error: RPCError) {
        let calls = self.state.withLock { state in
            state.closedBy = error
            state.timer?.cancel()
            state.timer = nil
            return Array(state.calls.values)
        }
        for call in calls { self.end(call, .failure(error)) }
    }

    // MARK: For clients

    /// Sends a request and waits for the reply to it.
    ///
    /// - Parameters:
    ///   - id: The call's message id.
    ///   - deadline: When the call ends.
    ///   - monitorTimeout: How long it waits without a sign of life.
    ///   - destination: Where the request goes.
    ///   - inspector: What looks at it before the call ends in silence.
    ///   - send: Sends the request; called at once, and not called where the call is over already.
    /// - Returns: The reply.
    /// - Throws: ``CallWithdrawn`` where the task was cancelled, `RPCError`: what the sending ended with, `timeout` with
    ///   how far the call got, `invalidReply`, `closed`.
    package func reply(
        to id: String,
        deadline: ContinuousClock.Instant,
        monitorTimeout: Duration?,
        destination: Destination,
        inspector: Inspector?,
        after send: (_ completion: @escaping @Sendable (RPCError?) -> Void) -> any PendingSend
    ) async throws -> ReplyPayload {
        let call = Call(
            id,
            deadline: deadline,
            monitorTimeout: monitorTimeout,
            startedAt: self.clock.now,
            destination: destination,
            inspector: inspector
        )
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if let refusal = self.begin(call, continuation) { return continuation.resume(throwing: refusal) }
                let sending = send { error in
                    if let error { self.end(call, .failure(error)) }
                }
                let isWithdrawn = self.state.withLock { _ in
                    if call.waiter != nil { call.sending = sending }
                    return call.isWithdrawn
                }
                if isWithdrawn { sending.withdraw() }
            }
        } onCancel: {
            self.withdraw(call)
        }
    }

    private func begin(
        _ call: Call,
        _ continuation: CheckedContinuation<ReplyPayload, any Error>
    ) -> (any Error)? {
        self.state.withLock { state in
            if let error = state.closedBy { return error }
            // The cancellation handler takes the lock after the flag was set: either it finds the call, or this does.
            if Task.isCancelled { return CallWithdrawn(host: nil) }
            call.waiter = continuation
            state.calls[call.id] = call
            self.arm(&state, for: call.due)
            return nil
        }
    }

    private func withdraw(_ call: Call) {
        let (sending, host) = self.state.withLock { _ in
            call.isWithdrawn = true
            return (call.sending, call.host)
        }
        // First of all: the end of the sending must not be taken for that of the call.
        self.end(call, .failure(CallWithdrawn(host: host)))
        sending?.withdraw()
    }

    /// Ends a call by what arrived for it, or adds that to its collection.
    private func finish(_ id: String, _ outcome: Outcome) {
        let waiter = self.state.withLock { state -> CheckedContinuation<ReplyPayload, any Error>? in
            if !state.gatherings.isEmpty, case .success(let reply) = outcome, Self.gather(reply, id, &state) {
                return nil
            }
            guard let call = state.calls.removeValue(forKey: id) else {
                state.lateReplies += 1
                return nil
            }
            return call.end()
        }
        waiter?.resume(with: outcome)
    }

    /// Ends a call that is answered without a message; answers whether it waits here.
    func answer(_ id: String, _ reply: ReplyPayload) -> Bool {
        let waiter = self.state.withLock { $0.calls.removeValue(forKey: id)?.end() }
        waiter?.resume(returning: reply)
        return waiter != nil
    }

    /// Ends a call, unless it has ended before.
    private func end(_ call: Call, _ outcome: Outcome) {
        let waiter = self.state.withLock { state -> CheckedContinuation<ReplyPayload, any Error>? in
            guard let waiter = call.end() else { return nil }
            state.calls[call.id] = nil
            return waiter
        }
        waiter?.resume(with: outcome)
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

    private static func gather(_ reply: ReplyPayload, _ id: String, _ state: inout State) -> Bool {
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

    // MARK: Deadlines

    /// Sees to it that calls end at their deadlines, the next of which is at `instant`.
    ///
    /// One timer for all calls: with thousands in flight, a sleeping task for each would cost more than the calls. It is
    /// left to fire in vain where no call waits any more: calls that follow one another would pay for each.
    private func arm(_ state: inout State, for instant: ContinuousClock.Instant) {
        if let armedFor = state.armedFor, armedFor <= instant { return }
        state.timer?.cancel()
        state.armedFor = instant
        state.timer = Task(executorPreference: preferredTaskExecutor) { [weak self, clock] in
            do {
                try await clock.sleep(until: instant, tolerance: nil)
            } catch {
                return  // Replaced by an earlier timer, or the transport was closed.
            }
            self?.expire()
        }
    }

    private func expire() {
        let now = self.clock.now
        let (overdue, queues): ([(Call, RPCError)], [Destination: (Inspector, ContinuousClock.Instant)]) =
            self.state.withLock { state in
                var overdue: [(Call, RPCError)] = []
                var queues: [Destination: (Inspector, ContinuousClock.Instant)] = [:]
                var next: ContinuousClock.Instant?
                for call in state.calls.values {
                    if call.limit <= now {
                        overdue.append((call, Self.timeout(call, now: now)))
                        continue
                    }
                    if let lookAt = call.lookAt, lookAt <= now, let inspector = call.inspector {
                        call.isLookedAt = true
                        let limit = max(queues[call.destination]?.1 ?? call.limit, call.limit)
                        queues[call.destination] = (inspector, limit)
                    }
                    next = next.map { min($0, call.due) } ?? call.due
                }
                // The timer is this one, or one that replaced it while it fired; there must not be two.
                state.timer?.cancel()
                state.timer = nil
                state.armedFor = nil
                // All calls were looked at: where they are many, the next look may be a little late.
                if let next { self.arm(&state, for: max(next, now + .microseconds(2 * state.calls.count))) }
                return (overdue, queues)
            }
        for (call, error) in overdue { self.end(call, .failure(error)) }
        for (destination, (inspector, limit)) in queues { self.look(at: destination, with: inspector, until: limit) }
    }

    /// Looks at a queue once for all the calls that are about to end there.
    private func look(
        at destination: Destination,
        with inspector: @escaping Inspector,
        until limit: ContinuousClock.Instant
    ) {
        // Not within the timer's task, which other calls need; it ends with the calls at the latest.
        Task(executorPreference: preferredTaskExecutor) { [weak self] in
            guard let status = await inspector(destination, limit) else { return }
            self?.state.withLock { state in
                for call in state.calls.values where call.destination == destination && call.isLookedAt {
                    call.status = status
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

/// The task that waited for a call's reply was cancelled.
package struct CallWithdrawn: Error {
    /// The host that has the call, as far as it has made itself heard.
    package let host: String?
}
