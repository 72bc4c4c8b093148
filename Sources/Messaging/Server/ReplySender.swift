internal import Logging
internal import Synchronization

/// Where the reply to a call goes.
struct ReplyAddress: Sendable, Hashable {
    let messageID: String
    let queue: String

    /// Answers `nil` where the request is a cast, or names no queue to reply to, or is not to be remembered: too long.
    init?(messageID: String?, queue: String?) {
        guard let messageID, !messageID.isEmpty, messageID.utf8.count <= RPCLimits.idLength else { return nil }
        guard let queue, !queue.isEmpty, queue.utf8.count <= 255 else { return nil }
        self.messageID = messageID
        self.queue = queue
    }
}

/// Sends replies, and does not let callers that have vanished hold anything up.
final class ReplySender: Sendable {
    private let transport: any Transport
    /// Over which connection replies go.
    private let lane: Lane
    private let retryLimit: Duration
    private let logger: Logger
    /// Comes when the server stops: then nobody waits any longer for callers that have vanished.
    private let stopped: Eventual<Void>
    /// Queues that were not there when they were last tried, and until when they are taken for gone.
    ///
    /// A queue in here is offered each reply once and not again, so that a dead caller's backlog of calls costs
    /// nothing.
    private let gone = Mutex<[String: ContinuousClock.Instant]>([:])
    /// The queues to which a reply is being offered again and again, and what comes of it: with a dead caller's whole
    /// backlog only one reply asks, and the others wait for its verdict.
    private let asked = Mutex<[String: Verdict]>([:])

    private struct Verdict {
        /// Whether the queue is there again.
        let isBack = Eventual<Bool>()
        var waiting = 0
    }

    /// How many replies were offered once and no more, because too many queues were being asked already.
    private let unasked = Mutex(0)

    /// As many queues are asked again and again: a peer may name a new one with each call.
    static let maximumAsked = 256

    /// More replies than this do not wait for one queue.
    private static let maximumWaiting = 1_000

    /// As many names as oslo remembers (wire contract 4.3).
    private static let maximumGone = 200

    init(
        _ transport: any Transport,
        lane: Lane = .work,
        retryLimit: Duration,
        stopped: Eventual<Void>,
        logger: Logger
    ) {
        self.stopped = stopped
        self.transport = transport
        self.lane = lane
        self.retryLimit = retryLimit
        self.logger = logger
    }

    /// How many replies were dropped because too many queues were being asked.
    var droppedForOthers: Int { self.unasked.withLock(\.self) }

    /// What became of a reply that was offered.
    private enum Attempt {
        /// It was sent, or another try would be in vain.
        case done
        /// There is no such queue at present.
        case missing
        /// The broker cannot be reached at present.
        case failed
    }

    /// Offers a reply once; answers whether it is done: sent, or not to be sent by another try.
    func offer(
        _ reply: ReplyPayload,
        to address: ReplyAddress,
        deadline: ContinuousClock.Instant?
    ) async -> Bool {
        await self.attempt(reply, to: address, deadline: deadline) == .done
    }

    private func attempt(
        _ reply: ReplyPayload,
        to address: ReplyAddress,
        deadline: ContinuousClock.Instant?
    ) async -> Attempt {
        do {
            try await self.transport.send(
                Message(body: reply.encoded(messageID: address.messageID)),
                to: .queue(address.queue),
                options: SendOptions(isMandatory: true, deadline: self.limit(deadline), lane: self.lane)
            )
            return self.attempt(to: address, endedWith: nil)
        } catch {
            return self.attempt(to: address, endedWith: error)
        }
    }

    private func attempt(to address: ReplyAddress, endedWith error: RPCError?) -> Attempt {
        guard let error else {
            self.gone.withLock { gone in
                if !gone.isEmpty { gone[address.queue] = nil }
            }
            return .done
        }
        switch error.code {
        // Another try may find the caller reconnected, or the broker back. A reply that arrives twice is dropped by
        // the caller.
        case .noSuchServer: return self.isGone(address.queue) ? .done : .missing
        // A quorum queue without a leader rejects until it has one.
        case .connectionLost, .unreachable, .blocked, .rejected: return .failed
        default:
            self.logger.info("reply is not sent", metadata: ["queue": "\(address.queue)", "error": "\(error)"])
            return .done
        }
    }

    /// Offers a reply once, without waiting for what becomes of it.
    ///
    /// - Parameters:
    ///   - answer: The reply, and where it goes.
    ///   - onWritten: Called when it is written, if it ever is.
    ///   - completion: Called once, with whether it is done: sent, or not to be sent by another try.
    func post(
        _ answer: Answer,
        onWritten: @escaping @Sendable () -> Void,
        completion: @escaping @Sendable (Bool) -> Void
    ) {
        var options = SendOptions(isMandatory: true, deadline: self.limit(answer.deadline), lane: self.lane)
        options.confirmation = .patient
        self.transport.post(
            Message(body: answer.reply.encoded(messageID: answer.address.messageID)),
            to: .queue(answer.address.queue),
            options: options,
            onWritten: onWritten
        ) { error in
            completion(self.attempt(to: answer.address, endedWith: error) == .done)
        }
    }

    /// Offers a reply that was not taken again, until it is or the caller has given up.
    func insist(on reply: ReplyPayload, to address: ReplyAddress, deadline: ContinuousClock.Instant?) async {
        let limit = self.limit(deadline)
        let place = self.asked.withLock { asked -> (verdict: Verdict, isFirst: Bool, isCrowded: Bool)? in
            let isFirst = asked[address.queue] == nil
            guard !isFirst || asked.count < Self.maximumAsked else { return nil }
            var verdict = asked[address.queue] ?? Verdict()
            let isCrowded = verdict.waiting >= Self.maximumWaiting
            verdict.waiting += isCrowded ? 0 : 1
            asked[address.queue] = verdict
            return (verdict, isFirst, isCrowded)
        }
        guard let (verdict, isFirst, isCrowded) = place else {
            let count = self.unasked.withLock { count in
                count += 1
                return count
            }
            self.logger.debug(
                "the reply is dropped: too many reply queues are missing",
                metadata: ["queue": "\(address.queue)", "dropped": "\(count)"]
            )
            return
        }
        if isFirst {
            let isBack = await self.repeatOffer(of: reply, to: address, until: limit)
            self.asked.withLock { $0[address.queue] = nil }
            verdict.isBack.resolve(.success(isBack))
            return
        }
        do {
            if !isCrowded, try await verdict.isBack.value(until: limit, clock: self.transport.clock) {
                _ = await self.offer(reply, to: address, deadline: limit)
                return
            }
        } catch {
            // The caller's deadline, or the end of the server's grace period.
        }
        self.logger.debug("the reply is dropped", metadata: ["queue": "\(address.queue)"])
    }

    /// Offers a reply each 0.25 s (wire contract 4.3); answers whether it was taken.
    private func repeatOffer(
        of reply: ReplyPayload,
        to address: ReplyAddress,
        until limit: ContinuousClock.Instant
    ) async -> Bool {
        var last = Attempt.failed
        var hasLastTry = false
        while self.transport.clock.now + .milliseconds(250) < limit, !hasLastTry {
            // One more try after the stop, for a caller that is just reconnecting.
            hasLastTry = self.stopped.isResolved
            do {
                try await self.transport.clock.sleep(.milliseconds(250))
            } catch {
                break  // The server's grace period is over.
            }
            last = await self.attempt(reply, to: address, deadline: limit)
            if last == .done { return true }
        }
        // A queue is not gone because the broker was out of reach.
        if last == .missing { self.remember(address.queue) }
        self.logger.info(
            "the reply is dropped",
            metadata: ["queue": "\(address.queue)", "reason": last == .missing ? "queue is gone" : "no time left"]
        )
        return false
    }

    /// Until when a reply is offered: the caller's patience, or the server's.
    private func limit(_ deadline: ContinuousClock.Instant?) -> ContinuousClock.Instant {
        let limit = self.transport.clock.now + self.retryLimit
        return deadline.map { min($0, limit) } ?? limit
    }

    private func isGone(_ queue: String) -> Bool {
        self.gone.withLock { gone in
            guard let until = gone[queue] else { return false }
            if until > self.transport.clock.now { return true }
            gone[queue] = nil
            return false
        }
    }

    private func remember(_ queue: String) {
        let now = self.transport.clock.now
        self.gone.withLock { gone in
            if gone.count >= Self.maximumGone {
                gone = gone.filter { $0.value > now }
                if gone.count >= Self.maximumGone, let oldest = gone.min(by: { $0.value < $1.value }) {
                    gone[oldest.key] = nil
                }
            }
            gone[queue] = now + .seconds(60)
        }
    }
}
