internal import Logging
internal import Synchronization

extension RPCServer {
    /// Runs one request to its end: handler, acknowledgement, reply.
    ///
    /// A server always replies to a call, be it with a failure: a caller must not wait for its timeout to learn that
    /// something went wrong.
    func serve(_ job: Job, listener: any Listener) async {
        if job.handler.delivery.isAtLeastOnce { return await self.serveAtLeastOnce(job, listener: listener) }
        let address = ReplyAddress(messageID: job.request.messageID, queue: job.request.replyQueue)
        let deadline = self.deadline(of: job.delivery)
        let running = self.inFlight.begin(
            messageID: job.request.messageID,
            announceTo: job.isFromOurClient ? address : nil,
            expiry: job.isFromOurClient ? deadline : nil
        )
        let outcome: ReplyPayload
        if address != nil, job.request.monitorInterval != nil {
            outcome = await self.withHeartbeats(to: address, for: job) { await self.execute(job, deadline: deadline) }
        } else {
            outcome = await self.execute(job, deadline: deadline)
        }
        let withdrawal = self.inFlight.end(running)
        guard let address, withdrawal == nil else {
            self.freeSlot()
            return
        }
        await self.reply(outcome, to: address, deadline: deadline)
    }

    /// Tells the caller why its request is not run.
    func answer(_ refusal: Refusal) async {
        await self.reply(.failure(refusal.failure), to: refusal.address, deadline: self.deadline(of: refusal.delivery))
    }

    /// Sends a reply and gives the request's slot back when it is written.
    ///
    /// Nobody waits for the broker's word; if that is not good, the reply is offered again outside of the slot: a caller
    /// that has vanished must not keep others waiting.
    func reply(_ reply: ReplyPayload, to address: ReplyAddress, deadline: ContinuousClock.Instant?) async {
        guard !Task.isCancelled else { return await self.replyAtTheEnd(reply, to: address, deadline: deadline) }
        let answer = Answer(reply, to: address, deadline: deadline, from: self)
        self.intake.beginReply()
        self.replySender.post(answer) {
            answer.freeSlot()
        } completion: { isDone in
            answer.freeSlot()
            if isDone {
                self.intake.endReply()
            } else {
                self.intake.add(.insist(answer))
            }
        }
    }

    /// The grace period is over, or the server's task was cancelled: what was done is still worth a word.
    private func replyAtTheEnd(
        _ reply: ReplyPayload,
        to address: ReplyAddress,
        deadline: ContinuousClock.Instant?
    ) async {
        let limit = self.clock.now + .seconds(3)
        _ = await self.outlivingCancellation { [replySender] in
            await replySender.offer(reply, to: address, deadline: deadline.map { min($0, limit) } ?? limit)
        }
        self.freeSlot()
    }

    /// Runs the handler; what it throws is the answer's failure, and is put into `thrown` as it is.
    func execute(
        _ job: Job,
        deadline: ContinuousClock.Instant?,
        attempt: Int = 1,
        thrown: Eventual<any Error>? = nil
    ) async -> ReplyPayload {
        let request = job.request
        let run = self.statistics.begin(job.handler, receivedAt: job.delivery.receivedAt, now: self.clock.now)
        do {
            var context = RPCContext(try request.contextValues())
            context.request = RPCContext.Request(
                method: request.method,
                isCall: request.messageID != nil,
                userID: self.sender(of: job.delivery),
                uniqueID: request.uniqueID,
                deadline: deadline,
                isRedelivered: job.wasDeliveredBefore,
                callMonitorTimeout: request.monitorInterval,
                attempt: attempt,
                journalKey: job.handler.delivery.isAtLeastOnce ? self.journalKey(of: job) : nil
            )
            // Cancelled on its way here: it is not started.
            if Task.isCancelled, let id = request.messageID, self.inFlight.isWithdrawn(id) { throw CancellationError() }
            let running = RunningRequest(deadline: deadline, job: job, server: self)
            let result = try await RunningRequest.$current.withValue(running) {
                guard let tracer = self.tracer else { return try await self.run(job.handler, context, request.args) }
                return try await tracer.serve(job, context, at: self.target) {
                    try await self.run(job.handler, context, request.args)
                }
            }
            self.statistics.end(run, .succeeded, now: self.clock.now)
            return .result(result)
        } catch {
            thrown?.fulfil(error)
            let failure = RemoteFailure(describing: error)
            let isExpected = (error as? any RemoteFailureConvertible)?.isExpected ?? false
            let ending: RPCStatistics.Ending = Task.isCancelled ? .cancelled : .failed(isExpected: isExpected)
            self.statistics.end(run, ending, now: self.clock.now)
            self.logger.log(
                level: isExpected ? .debug : .info,
                "method failed",
                metadata: RunningRequest(deadline: deadline, job: job, server: self).metadata.merging([
                    "unique_id": "\(request.uniqueID ?? "-")", "error": "\(failure)",
                ]) { $1 }
            )
            return .failure(failure)
        }
    }

    /// Runs a handler within its time limit.
    private func run(_ handler: RPCHandler, _ context: RPCContext, _ arguments: RawJSON) async throws -> RawJSON {
        guard let timeLimit = handler.timeLimit else { return try await handler.run(context, arguments) }
        return try await withThrowingTaskGroup(of: RawJSON?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await handler.run(context, arguments) }
            group.addTask {
                do {
                    try await self.clock.sleep(timeLimit)
                } catch {
                    return nil  // The handler has ended, or is to end because the server does.
                }
                throw TimeLimitExceeded(method: handler.name, limit: timeLimit)
            }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    /// Sends signs of life while `body` runs, if the caller asked for them (wire contract 4.4); they stop on every
    /// exit.
    func withHeartbeats(
        to address: ReplyAddress?,
        for job: Job,
        _ body: @escaping @Sendable () async -> ReplyPayload
    ) async -> ReplyPayload {
        guard let address, let timeout = job.request.monitorInterval else { return await body() }
        // oslo sends at half of the caller's patience; the lower bound keeps a hasty caller from causing a flood.
        let interval = max(timeout / 2, .milliseconds(250))
        return await withTaskGroup(of: ReplyPayload?.self) { group in
            defer { group.cancelAll() }
            group.addTask { await body() }
            group.addTask { [replySender, clock = self.clock, host = job.isFromOurClient ? self.target.server : nil] in
                while !Task.isCancelled {
                    do {
                        try await clock.sleep(interval)
                    } catch {
                        break  // The method has ended.
                    }
                    _ = await replySender.offer(.heartbeat(from: host), to: address, deadline: clock.now + interval)
                }
                return nil
            }
            while let outcome = await group.next() {
                if let outcome { return outcome }
            }
            return .failure(RemoteFailure(describing: CancellationError()))
        }
    }
}

/// A handler ran longer than its method allows and was cancelled.
struct TimeLimitExceeded: Error, RemoteFailureConvertible {
    let method: String
    let limit: Duration

    var remoteFailure: RemoteFailure {
        RemoteFailure(
            className: "TimeLimitExceeded",
            module: "steward",
            message: "\(self.method) did not end within its time limit of \(self.limit) and was cancelled"
        )
    }

    /// The method may well end in time at another attempt, where there is one.
    var isExpected: Bool { false }
}

/// A reply on its way, and the slot of its request.
///
/// The slot is given back once, when the reply is written or it is known that it was not.
final class Answer: Sendable {
    let reply: ReplyPayload
    let address: ReplyAddress
    let deadline: ContinuousClock.Instant?
    private let server: RPCServer
    private let isFree = Atomic(false)

    init(_ reply: ReplyPayload, to address: ReplyAddress, deadline: ContinuousClock.Instant?, from server: RPCServer) {
        self.reply = reply
        self.address = address
        self.deadline = deadline
        self.server = server
    }

    func freeSlot() {
        if !self.isFree.exchange(true, ordering: .relaxed) { self.server.freeSlot() }
    }
}
