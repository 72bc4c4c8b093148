internal import Logging

/// Requests that are acknowledged at their end: what is run, what is tried again, and what is given up.
///
/// A copy is in the broker, confirmed, before the original is acknowledged, and the journal is told before and after; so
/// a worker may be killed at any moment and loses nothing, and does not run both.
extension RPCServer {
    /// Runs a request to its end, or to its next attempt.
    ///
    /// - Parameters:
    ///   - job: The request.
    ///   - turn: Its turn among those that may have killed a worker, if it may have.
    ///   - listener: What settles it.
    func serveAtLeastOnce(_ job: Job, turn: Turnstile.Turn?, listener: any Listener) async {
        let memory = self.memory(of: job)
        let standing: RequestStanding
        do {
            standing = try await memory.begin()
        } catch {
            return await self.putOff(job, listener: listener)
        }
        if let turn, !self.runsAlone(job, standing) { turn.end() }
        switch standing {
        case .run(let attempt) where self.isUncounted(job, attempt, memory):
            await self.countRedelivery(job, memory: memory, listener: listener)
        case .run(let attempt) where attempt > job.handler.delivery.attempts:
            let onward = RequestOnward.deadLetters(attempts: attempt - 1, reason: .workerDied)
            await self.sendOn(job, onward, memory: memory, listener: listener)
        case .run(let attempt):
            await self.attempt(job, attempt, memory: memory, listener: listener)
        case .leave(let onward):
            await self.sendOn(job, onward, memory: memory, listener: listener)
        case .superseded:
            self.logger.info("superseded request is dropped", metadata: self.metadata(of: job))
            self.statistics.countDuplicate(job.handler.name, namespace: job.handler.namespace)
            await self.acknowledge(job, isDone: false, listener: listener)
            self.freeSlot()
        case .done(let stored):
            self.logger.info("completed request is not run again", metadata: self.metadata(of: job))
            self.statistics.countDuplicate(job.handler.name, namespace: job.handler.namespace)
            await self.acknowledge(job, isDone: true, listener: listener)
            await self.answer(job, with: Self.reply(from: stored))
        }
    }

    // MARK: Running

    private func attempt(_ job: Job, _ attempt: Int, memory: RequestMemory, listener: any Listener) async {
        let address = ReplyAddress(messageID: job.request.messageID, queue: job.request.replyQueue)
        let thrown = Eventual<any Error>()
        // What is to be done at least once is done, whether or not its caller still waits: it does not expire.
        let running = self.inFlight.begin(
            messageID: job.request.messageID,
            announceTo: job.isFromOurClient ? address : nil,
            expiry: nil
        )
        let outcome = await self.withHeartbeats(to: address, for: job) {
            await self.execute(job, deadline: self.deadline(of: job.delivery), attempt: attempt, thrown: thrown)
        }
        let withdrawal = self.inFlight.end(running)
        if let error = thrown.current {
            if Task.isCancelled, withdrawal == nil {
                // The server's end cut it short: that is no end of the request. Another server runs and answers it.
                await memory.withdraw()
                await self.giveBack(job, listener: listener)
                return self.freeSlot()
            }
            if let onward = self.onward(job, attempt, error), await memory.leave(for: onward) {
                return await self.sendOn(job, onward, error: error, isNoted: true, memory: memory, listener: listener)
            }
        }
        await memory.complete(reply: address.map { Self.stored(outcome, for: $0) })
        await self.acknowledge(job, isDone: true, listener: listener)
        guard withdrawal == nil else { return self.freeSlot() }
        await self.answer(job, with: outcome)
    }

    /// What becomes of a request whose handler has thrown; `nil` where that was its end.
    ///
    /// A failed call is answered, and its caller decides; an expected error is an outcome as any other.
    private func onward(_ job: Job, _ attempt: Int, _ error: any Error) -> RequestOnward? {
        guard !job.request.isCall else { return nil }
        if error is InvalidArguments { return .deadLetters(attempts: attempt, reason: .invalidArguments) }
        guard (error as? any RemoteFailureConvertible)?.isExpected != true else { return nil }
        guard job.handler.delivery.delay(after: attempt) != nil else {
            return .deadLetters(attempts: attempt, reason: .failed)
        }
        return .retry(attempts: attempt)
    }

    private func answer(_ job: Job, with reply: ReplyPayload) async {
        guard let address = ReplyAddress(messageID: job.request.messageID, queue: job.request.replyQueue) else {
            return self.freeSlot()
        }
        await self.reply(reply, to: address, deadline: self.deadline(of: job.delivery))
    }

    // MARK: Sending on

    /// Sends a copy to where the request goes on, and then acknowledges it.
    func sendOn(
        _ job: Job,
        _ onward: RequestOnward,
        error: (any Error)? = nil,
        isNoted: Bool = false,
        memory: RequestMemory,
        listener: any Listener
    ) async {
        if !isNoted, await !memory.leave(for: onward) {
            // Its handler has noted the end itself since.
            await self.acknowledge(job, isDone: true, listener: listener)
            return self.freeSlot()
        }
        let now = UTCTime.now
        var trail = RequestTrail(job.delivery.headers)
        trail.deferrals = 0
        trail.redeliveries = 0
        trail.user = self.sender(of: job.delivery)
        trail.firstFailure = trail.firstFailure ?? now
        let isSent: Bool
        switch onward {
        case .retry(let attempts):
            trail.attempts = attempts
            let delay = job.handler.delivery.delay(after: attempts) ?? .seconds(1)
            self.logger.info(
                "request failed and is tried again",
                metadata: self.metadata(of: job, ["attempt": "\(attempts)", "delay": "\(delay)"])
            )
            self.freeSlot()
            isSent = await self.sendCopy(
                of: job.delivery,
                to: .queue(self.origin(of: job.delivery)),
                trail.headers,
                delay: delay
            )
        case .deadLetters(let attempts, let reason):
            trail.attempts = attempts
            self.logger.warning(
                "request is given up and put among the dead letters",
                metadata: self.metadata(of: job, ["attempts": "\(attempts)", "reason": "\(reason)"])
            )
            self.freeSlot()
            let failure = error.map { RemoteFailure(describing: $0) }
            let headers = self.headers(of: job.delivery, job.request, trail, reason: reason, failure: failure, at: now)
            isSent = await self.sendCopy(
                of: job.delivery,
                to: .deadLetters(topic: self.target.topic),
                headers,
                delay: nil
            )
        }
        guard isSent else { return await self.giveBackLater(job, listener: listener) }
        let (method, namespace) = (job.handler.name, job.handler.namespace)
        switch onward {
        case .retry: self.statistics.countRetry(method, namespace: namespace, isRedelivery: false)
        case .deadLetters(_, let reason): self.statistics.countDeadLetter(reason, of: method, namespace: namespace)
        }
        await memory.left()
        await self.acknowledge(job, isDone: false, listener: listener)
        // Last of all: a caller that is gone is offered its answer for a while.
        let address = ReplyAddress(messageID: job.request.messageID, queue: job.request.replyQueue)
        if let address, case .deadLetters(let attempts, _) = onward {
            let failure = ReplyPayload.failure(RemoteFailure(describing: GivenUp(job, attempts: attempts)))
            let deadline = self.deadline(of: job.delivery)
            if await !self.replySender.offer(failure, to: address, deadline: deadline) {
                await self.replySender.insist(on: failure, to: address, deadline: deadline)
            }
        }
    }

    /// Puts a request off that cannot be run because nobody knows whether it was run before.
    private func putOff(_ job: Job, listener: any Listener) async {
        guard !job.request.isCall else {
            // Whoever waits for it can decide better than a queue.
            await self.acknowledge(job, isDone: true, listener: listener)
            return await self.answer(job, with: .failure(RemoteFailure(describing: JournalUnavailable(job))))
        }
        self.freeSlot()
        guard !Task.isCancelled else { return await self.giveBack(job, listener: listener) }
        var trail = RequestTrail(job.delivery.headers)
        trail.deferrals += 1
        trail.user = self.sender(of: job.delivery)
        let delay = RetryBackoff.exponential(from: .seconds(1), limit: .seconds(32)).delay(after: trail.deferrals)
        guard
            await self.sendCopy(
                of: job.delivery,
                to: .queue(self.origin(of: job.delivery)),
                trail.headers,
                delay: delay
            )
        else {
            return await self.giveBackLater(job, listener: listener)
        }
        await self.acknowledge(job, isDone: false, listener: listener)
    }

    // MARK: Settling

    /// Acknowledges a request together with its repetitions.
    ///
    /// Where the request is not done, a later copy among them still counts.
    func acknowledge(_ job: Job, isDone: Bool, listener: any Listener) async {
        let trail = RequestTrail(job.delivery.headers)
        let repetitions = self.repetitions(of: job)
        let later =
            isDone
            ? []
            : repetitions.filter { delivery in
                let other = RequestTrail(delivery.headers)
                return (other.replays, other.attempts, other.redeliveries)
                    > (trail.replays, trail.attempts, trail.redeliveries)
            }
        let tokens = Set(later.map(\.token))
        let settled = [job.delivery] + repetitions.filter { !tokens.contains($0.token) }
        await self.outlivingCancellation {
            // An acknowledgement that is lost brings the request once more, and the journal knows it.
            _ = await listener.acknowledge(settled)
            if !later.isEmpty { await listener.reject(later, requeue: true) }
        }
    }

    /// Gives a request back whose copy the broker does not take, after a while: it comes again at once.
    func giveBackLater(_ job: Job, listener: any Listener) async {
        await self.pause(after: job.delivery)
        await self.giveBack(job, listener: listener)
    }

    func giveBack(_ job: Job, listener: any Listener) async {
        let deliveries = [job.delivery] + self.repetitions(of: job)
        await self.outlivingCancellation { await listener.reject(deliveries, requeue: true) }
    }

    // MARK: Support

    /// What names a request in the journal: its method and its id, since peers may use an id for more than one request;
    /// with the server's address, where each server gets one of its own.
    func journalKey(of job: Job) -> String? {
        guard let id = job.request.uniqueID, !id.isEmpty, id.utf8.count <= 255 else { return nil }
        let isShared = [self.target.topic, self.hostQueue].contains(job.delivery.queue)
        let name = [job.handler.namespace, job.handler.name].compactMap { $0 }.joined(separator: ".")
        return isShared ? "\(name) \(id)" : "@\(self.hostQueue) \(name) \(id)"
    }

    /// Where a copy goes: to where the request came from, unless that is a stream, which all servers read (wire contract 1.3).
    func origin(of delivery: Delivery) -> String {
        delivery.queue == "\(self.target.topic)_fanout" ? self.hostQueue : delivery.queue
    }

    /// The name of this server's own queue (wire contract 1.1).
    private var hostQueue: String { "\(self.target.topic).\(self.target.server ?? "")" }

    /// Who sent a request, be it that its copy was delivered.
    func sender(of delivery: Delivery) -> String? { delivery.sender(over: self.transport) }

    private func memory(of job: Job) -> RequestMemory {
        let trail = RequestTrail(job.delivery.headers)
        let key = self.journalKey(of: job)
        return RequestMemory(
            journal: self.journal,
            health: self.journalHealth,
            delivery: RequestDelivery(
                key: key ?? "",
                method: job.request.method,
                attempts: trail.attempts,
                replays: trail.replays
            ),
            isNamed: key != nil
        )
    }

    private func metadata(of job: Job, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        let common: Logger.Metadata = [
            "method": "\(job.request.method)", "unique_id": "\(job.request.uniqueID?.prefix(bytes: 255) ?? "-")",
        ]
        return common.merging(more) { _, new in new }
    }

    /// A reply as the journal keeps it.
    private static func stored(_ reply: ReplyPayload, for address: ReplyAddress) -> [UInt8] {
        let bytes = reply.encoded(messageID: address.messageID)
        guard bytes.count > Self.maximumStoredReply else { return bytes }
        return ReplyPayload.failure(Self.replyNotKept).encoded(messageID: address.messageID)
    }

    private static let replyNotKept = RemoteFailure(
        className: "ReplyNotKept",
        module: "steward",
        message: "the request was run before, and its reply was too large to be kept, or had to make room"
    )

    private static let maximumStoredReply = 256 << 10

    /// The reply that the journal has kept; without one the request was completed by its handler, and returns nothing.
    private static func reply(from stored: [UInt8]?) -> ReplyPayload {
        guard let stored else { return .result(.null) }
        // The journal has made room.
        guard !stored.isEmpty else { return .failure(Self.replyNotKept) }
        do {
            return try ReplyPayload(decoding: stored, contentType: "application/json")
        } catch {
            return .failure(RemoteFailure(describing: error))
        }
    }
}

/// A call was started as often as its method allows, and its worker did not survive it.
private struct GivenUp: Error, RemoteFailureConvertible {
    let remoteFailure: RemoteFailure

    init(_ job: RPCServer.Job, attempts: Int) {
        self.remoteFailure = RemoteFailure(
            className: "RequestGivenUp",
            module: "steward",
            message: "\(job.request.method) was started \(attempts) times and not ended; it is among the dead letters"
        )
    }
}

/// A call was not run, because nobody knows whether it was run before.
private struct JournalUnavailable: Error, RemoteFailureConvertible {
    let remoteFailure: RemoteFailure

    init(_ job: RPCServer.Job) {
        self.remoteFailure = RemoteFailure(
            className: "JournalUnavailable",
            module: "steward",
            message: "\(job.request.method) is not started: the server's journal of requests cannot be used at present"
        )
    }
}
