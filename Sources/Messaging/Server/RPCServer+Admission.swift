internal import Logging
internal import Synchronization

/// What becomes of a delivery: it is run, refused, or dropped.
extension RPCServer {
    /// A request that will be run.
    final class Job: Sendable {
        let delivery: Delivery
        let request: RequestPayload
        let handler: RPCHandler

        init(delivery: Delivery, request: RequestPayload, handler: RPCHandler) {
            self.delivery = delivery
            self.request = request
            self.handler = handler
        }

        /// Whether the caller understands what oslo's clients do not.
        var isFromOurClient: Bool { self.delivery.isFromOurClient }
    }

    /// A request that will not be run, and whose caller can be told.
    struct Refusal: Sendable {
        let delivery: Delivery
        let failure: RemoteFailure
        let address: ReplyAddress
    }

    /// What workers do; the rare cases are indirect, so that the usual one is passed on as a reference.
    enum Work: Sendable {
        case run(Job)
        indirect case refuse(Refusal)
        /// A copy that is refused: it is kept among the dead letters.
        indirect case park(RefusedCopy)
        /// Rejected without being queued again, as oslo does: the broker may dead-letter it. Needs no slot.
        indirect case reject([Delivery])
        /// A message that another server of this name sent to itself.
        indirect case answerProbe(ReplyAddress)
        /// A reply that was not taken, which is offered again. Needs no slot.
        case insist(Answer)
    }

    private enum Verdict {
        case work(Work)
        /// Acknowledged, and that is all.
        case drop
        case malformed
        /// Settled together with the delivery that it repeats.
        case held
    }

    /// Takes what arrived.
    func receive(_ deliveries: [Delivery]) {
        let (asks, superseded) = self.intake.offer(deliveries)
        if !superseded.isEmpty { self.listener.withLock(\.self)?.acknowledge(superseded) { _ in } }
        if asks { self.requestAdmission() }
    }

    /// Admits what waits, as far as there are slots.
    func admit() {
        guard let listener = self.listener.withLock(\.self) else { return }
        let batch = self.intake.admissible()
        if !batch.isEmpty { self.admit(batch, listener) }
    }

    /// Decides what becomes of each delivery: run, answered with a refusal, dropped.
    ///
    /// What is to run at most once is acknowledged here, all of a batch in one step, and is run only if the
    /// acknowledgement was written.
    private func admit(_ batch: [Delivery], _ listener: any Listener) {
        var admitted: [Work] = []
        var malformed: [Delivery] = []
        // Nothing is written for what is lost, but the listener need not reckon with it any more.
        var settled = listener.lost(among: batch)
        let lost = settled.isEmpty ? [] : Set(settled.map(\.token))
        for delivery in batch where lost.isEmpty || !lost.contains(delivery.token) {
            switch self.examine(delivery) {
            case .work(let work):
                admitted.append(work)
                if case .run(let job) = work, job.handler.delivery.isAtLeastOnce { continue }
                if case .park = work { continue }
                settled.append(delivery)
            case .drop: settled.append(delivery)
            case .malformed: malformed.append(delivery)
            case .held: break
            }
        }
        if !malformed.isEmpty { self.intake.add(.reject(malformed)) }
        guard !settled.isEmpty else { return self.start(admitted, outOf: batch.count) }
        let count = settled.count
        listener.acknowledge(settled) { [admitted] acknowledged in
            // Only now, because what was not acknowledged comes again: had it been noted as seen, its repetition would be
            // taken for one of a request that was run.
            let written = acknowledged.count == count ? nil : Set(acknowledged.map(\.token))
            var started = admitted
            started.removeAll { work in
                guard case .run(let job) = work, !job.handler.delivery.isAtLeastOnce else { return false }
                return written?.contains(job.delivery.token) == false || self.isRepeated(job)
            }
            self.start(started, outOf: batch.count)
        }
    }

    private func start(_ works: [Work], outOf count: Int) {
        if self.intake.admitted(works, outOf: count) { self.requestAdmission() }
    }

    private func examine(_ delivery: Delivery) -> Verdict {
        if delivery.isProbe { return self.examineProbe(delivery).map { .work($0) } ?? .drop }
        let request: RequestPayload
        do throws(WireError) {
            request = try self.configuration.limits.read(delivery)
        } catch {
            self.logger.info("malformed request", metadata: ["error": "\(error.message)"])
            self.statistics.countRefusal(error.refusalKind)
            if let copy = self.refusedCopy(delivery, nil, error.remoteFailure) { return .work(.park(copy)) }
            guard let address = ReplyAddress(messageID: error.messageID, queue: error.replyQueue) else {
                // oslo acknowledges what it can read although it is no request (wire contract 4.2), and so loses it; what is
                // rejected can be looked at where the broker has a policy for it.
                return .malformed
            }
            return .work(.refuse(Refusal(delivery: delivery, failure: error.remoteFailure, address: address)))
        }
        if let deadline = self.deadline(of: delivery), deadline <= self.clock.now {
            self.logger.info("expired request is not started", metadata: ["method": "\(request.method)"])
            self.statistics.countExpired(request.method, namespace: request.namespace)
            return .drop
        }
        if let id = request.messageID, self.inFlight.isWithdrawn(id) {
            self.logger.info("cancelled request is not started", metadata: ["method": "\(request.method)"])
            return .drop
        }
        do {
            let handler = try self.dispatcher.handler(for: request, userID: self.sender(of: delivery))
            let job = Job(delivery: delivery, request: request, handler: handler)
            let isHeld = handler.delivery.isAtLeastOnce && self.intake.hold(self.journalKey(of: job), delivery)
            return isHeld ? .held : .work(.run(job))
        } catch {
            let failure = error.remoteFailure
            self.statistics.countRefusal(error.kind, of: request.method, namespace: request.namespace)
            self.logger.log(
                level: error.logLevel,
                "refused request",
                metadata: [
                    "method": "\(request.method)", "user": "\(self.sender(of: delivery) ?? "-")", "error": "\(failure)",
                ]
            )
            if let copy = self.refusedCopy(delivery, request, failure) { return .work(.park(copy)) }
            guard let address = ReplyAddress(messageID: request.messageID, queue: request.replyQueue) else {
                return .drop
            }
            return .work(.refuse(Refusal(delivery: delivery, failure: failure, address: address)))
        }
    }

    /// Notes that a request is about to be run, and says whether it was before.
    private func isRepeated(_ job: Job) -> Bool {
        guard self.intake.isRepeated(job.request.uniqueID) else { return false }
        self.logger.info("repeated request is dropped", metadata: ["method": "\(job.request.method)"])
        self.statistics.countDuplicate(job.handler.name, namespace: job.handler.namespace)
        return true
    }

    /// When the caller gives up: the message's time to live, counted from its arrival, is an upper bound.
    func deadline(of delivery: Delivery) -> ContinuousClock.Instant? {
        delivery.timeToLive.map { delivery.receivedAt + $0 }
    }
}
