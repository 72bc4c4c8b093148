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
        var waiter: CheckedContinuation<ReplyPayload, any Error>?
        /// The outcome, if it came before somebody waited for it.
        var outcome: Outcome?

        var limit: ContinuousClock.Instant {
            guard let monitorTimeout = self.monitorTimeout else { return self.deadline }
            return min(self.deadline, (self.heardAt ?? self.startedAt) + monitorTimeout)
        }
    }

    private struct State {
        var calls: [String: Call] = [:]
        var closedBy: RPCError?
        /// Wakes at `armedFor` to end what is overdue; there is one only while calls wait.
        var timer: Task<Void, Never>?
        var armedFor: ContinuousClock.Instant?
        var lateReplies = 0
    }

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
                self.state.withLock { $0.calls[id]?.heardAt = self.clock.now }
            } else {
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
    package func expect(_ id: String, deadline: ContinuousClock.Instant, monitorTimeout: Duration?) {
        self.state.withLock { state in
            var call = Call(deadline: deadline, monitorTimeout: monitorTimeout, startedAt: self.clock.now)
            call.outcome = state.closedBy.map { .failure($0) }
            state.calls[id] = call
            self.arm(&state, for: call.limit)
        }
    }

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
        state.timer = Task { [weak self, clock] in
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
        let overdue: [(String, RPCError)] = self.state.withLock { state in
            var overdue: [(String, RPCError)] = []
            var next: ContinuousClock.Instant?
            for (id, call) in state.calls where call.outcome == nil {
                if call.limit <= now {
                    overdue.append((id, Self.timeout(call, now: now)))
                } else {
                    next = min(next ?? call.limit, call.limit)
                }
            }
            // The timer is this one, or one that replaced it while it fired; there must not be two.
            state.timer?.cancel()
            state.timer = nil
            state.armedFor = nil
            if let next { self.arm(&state, for: next) }
            return overdue
        }
        for (id, error) in overdue { self.finish(id, .failure(error)) }
    }

    /// Says how far the call got: a timeout that names nothing is the commonest complaint about RPC over a broker.
    private static func timeout(_ call: Call, now: ContinuousClock.Instant) -> RPCError {
        let waited = (now - call.startedAt).inSeconds
        let limit = now >= call.deadline ? "after \(waited.rounded(toPlaces: 1)) s" : "by its call monitor"
        guard let heardAt = call.heardAt else {
            return RPCError(
                .timeout,
                "no reply \(limit); the broker took the request, and no server was heard of since"
            )
        }
        let silence = (now - heardAt).inSeconds.rounded(toPlaces: 1)
        return RPCError(.timeout, "no reply \(limit); a server was working on the request \(silence) s ago")
    }
}

extension Double {
    fileprivate func rounded(toPlaces places: Int) -> Double {
        let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}
