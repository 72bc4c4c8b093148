internal import Logging

/// Requests that may have killed a worker: they are counted, and run one after another, so that they do not take along
/// what runs beside them.
///
/// A worker that dies says nothing of what it died of. All that it had begun comes again, and is begun together with what
/// kills the next one. So what was begun twice without an end is run alone among its kind: then each further death counts
/// against one of them only.
///
/// Alone means that no other is begun for a while. What runs longer has not killed its worker at its start, and if it never
/// ends, the others must not wait for it: they are not acknowledged, and hold places of the prefetch.
extension RPCServer {
    /// So many starts without an end make a request run alone.
    private static let startsInCompany = 2
    /// For so long nothing else is begun beside it.
    static let suspicionTime = Duration.seconds(5)

    /// Runs a request that is acknowledged at its end, in turn with others that may have killed a worker.
    func serveAtLeastOnce(_ job: Job, listener: any Listener) async {
        guard job.wasDeliveredBefore else {
            return await self.serveAtLeastOnce(job, turn: nil, listener: listener)
        }
        // Whoever waits runs nothing: others may have its slot. It is one of few, as all of them are in the prefetch.
        self.freeSlot()
        guard let turn = await self.suspects.enter(), !self.isStopping else {
            // It was not started: the server ends.
            return await self.giveBack(job, listener: listener)
        }
        self.intake.occupy()
        let clock = self.clock
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await clock.sleep(Self.suspicionTime)
                    turn.end()
                } catch {
                    // It has ended before.
                }
            }
            await self.serveAtLeastOnce(job, turn: turn, listener: listener)
            group.cancelAll()
        }
        turn.end()
    }

    /// Whether others that were delivered before wait until this one has ended.
    func runsAlone(_ job: Job, _ standing: RequestStanding) -> Bool {
        guard case .run(let attempt) = standing else { return false }
        let trail = RequestTrail(job.delivery.headers)
        let starts = max(attempt - 1 - trail.attempts, trail.redeliveries)
        return starts >= max(1, min(Self.startsInCompany, job.handler.delivery.attempts - 1))
    }

    /// Whether nobody has counted that the request was started before, as it may have been.
    ///
    /// A call is bounded by its caller's deadline, and keeps the headers that only its caller can give it.
    func isUncounted(_ job: Job, _ attempt: Int, _ memory: RequestMemory) -> Bool {
        guard job.delivery.isRedelivered, !job.request.isCall else { return false }
        if memory.isNamed, self.journal.outlastsProcess { return false }
        // This server has given it back, because its copy was not taken.
        if self.copyFailures.isKnown(job.delivery.body) { return false }
        return attempt == RequestTrail(job.delivery.headers).attempts + 1
    }

    /// Sends a request on that was delivered again, with one redelivery more; what was delivered too often is given up.
    ///
    /// The copies are held back for times that differ: what kills its worker must not come first each time, and what comes
    /// at another time than it is neither counted with it nor lost with it.
    func countRedelivery(_ job: Job, memory: RequestMemory, listener: any Listener) async {
        var trail = RequestTrail(job.delivery.headers)
        guard trail.redeliveries < self.configuration.redeliveryLimit else {
            let onward = RequestOnward.deadLetters(attempts: trail.redeliveries, reason: .workerDied)
            return await self.sendOn(job, onward, memory: memory, listener: listener)
        }
        self.freeSlot()
        guard await memory.leave(for: .retry(attempts: trail.attempts)) else {
            // It has ended elsewhere since.
            return await self.acknowledge(job, isDone: true, listener: listener)
        }
        trail.redeliveries += 1
        trail.user = self.sender(of: job.delivery)
        self.logger.info(
            "request is delivered again, and nobody knows of its first start",
            metadata: ["method": "\(job.request.method)", "redeliveries": "\(trail.redeliveries)"]
        )
        guard
            await self.sendCopy(
                of: job.delivery,
                to: .queue(self.origin(of: job.delivery)),
                trail.headers,
                delay: .milliseconds(250 << Int.random(in: 0...3))
            )
        else {
            return await self.giveBackLater(job, listener: listener)
        }
        self.statistics.countRetry(job.handler.name, namespace: job.handler.namespace, isRedelivery: true)
        await memory.left()
        await self.acknowledge(job, isDone: false, listener: listener)
    }
}

extension RPCServer.Job {
    /// Whether the broker has handed the request out before, be it as another copy.
    var wasDeliveredBefore: Bool {
        self.delivery.isRedelivered
            || (self.delivery.isCopy && RequestTrail(self.delivery.headers).redeliveries > 0)
    }
}
