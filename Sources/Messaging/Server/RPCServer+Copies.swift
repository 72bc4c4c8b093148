internal import Logging
internal import Synchronization

/// Copies of requests: how they are sent, and what is done where the broker does not take them.
extension RPCServer {
    /// A copy that this server refuses.
    struct RefusedCopy: Sendable {
        let delivery: Delivery
        /// The request, if it can be read.
        let request: RequestPayload?
        let failure: RemoteFailure
    }

    /// A refused request that is not to be dropped: a copy was accepted before, and nobody else has it.
    func refusedCopy(_ delivery: Delivery, _ request: RequestPayload?, _ failure: RemoteFailure) -> RefusedCopy? {
        guard self.side == .work, delivery.isCopy else { return nil }
        return RefusedCopy(delivery: delivery, request: request, failure: failure)
    }

    /// Puts a refused copy among the dead letters, and tells its caller, if there is one.
    func park(_ copy: RefusedCopy, listener: any Listener) async {
        self.freeSlot()
        let delivery = copy.delivery
        let now = UTCTime.now
        var trail = RequestTrail(delivery.headers)
        trail.deferrals = 0
        trail.user = self.sender(of: delivery)
        trail.firstFailure = trail.firstFailure ?? now
        self.logger.warning(
            "refused copy of a request is put among the dead letters",
            metadata: ["method": "\(copy.request?.method ?? "-")", "error": "\(copy.failure)"]
        )
        let headers = self.headers(
            of: delivery,
            copy.request,
            trail,
            reason: .refused,
            failure: copy.failure,
            at: now
        )
        guard await self.sendCopy(of: delivery, to: .deadLetters(topic: self.target.topic), headers, delay: nil) else {
            await self.pause(after: delivery)
            return await self.outlivingCancellation { await listener.reject([delivery], requeue: true) }
        }
        self.statistics.countDeadLetter(.refused, of: copy.request?.method, namespace: copy.request?.namespace)
        await self.outlivingCancellation { _ = await listener.acknowledge([delivery]) }
        guard let request = copy.request,
            let address = ReplyAddress(messageID: request.messageID, queue: request.replyQueue)
        else { return }
        _ = await self.replySender.offer(.failure(copy.failure), to: address, deadline: self.clock.now + .seconds(1))
    }

    /// Sends a copy and answers whether the broker has it; tries for some seconds, so that a broker that takes nothing
    /// is not asked for it over and over again.
    func sendCopy(
        of delivery: Delivery,
        to destination: Destination,
        _ headers: [String: String],
        delay: Duration?
    ) async -> Bool {
        var headers = headers
        headers[RequestTrail.Header.compression] = delivery.compression.map { $0.prefix(bytes: 255) }
        if let parent = delivery.traceParent { headers.merge(parent.headers) { own, _ in own } }
        for _ in 1...3 {
            do throws(RPCError) {
                try await self.transport.send(
                    Message(body: delivery.body, headers: headers),
                    to: destination,
                    options: SendOptions(isMandatory: true, deadline: self.clock.now + .seconds(10), delay: delay)
                )
                self.copyFailures.ended(for: delivery.body)
                return true
            } catch {
                self.logger.log(
                    level: self.copyFailures.isKnown(delivery.body) ? .debug : .info,
                    "a request cannot be sent on",
                    metadata: ["destination": "\(destination)", "error": "\(error)"]
                )
                // Another try would end in the same way.
                if [.tooLarge, .invalidTarget, .noSuchServer].contains(error.code) { return false }
            }
            do {
                guard !self.isStopping else { return false }
                try await self.clock.sleep(.seconds(1))
            } catch {
                return false  // The server's grace period is over.
            }
        }
        return false
    }

    /// Waits before a request is given back whose copy the broker does not take, the longer the more often.
    ///
    /// It would come again at once. A server that stops does not wait.
    func pause(after delivery: Delivery) async {
        let count = self.copyFailures.count(for: delivery.body)
        let delay = RetryBackoff.exponential(from: .seconds(1), limit: .seconds(64)).delay(after: count)
        do {
            try await self.intake.stopped.value(until: self.clock.now + delay, clock: self.clock)
        } catch {
            // The pause is over, or the grace period is.
        }
    }

    /// What a dead letter says of itself.
    ///
    /// What a peer has made up is cut to what is long enough for people, and short enough for the frame that headers must
    /// fit into: a copy that does not would never leave its queue.
    func headers(
        of delivery: Delivery,
        _ request: RequestPayload?,
        _ trail: RequestTrail,
        reason: DeadLetterReason,
        failure: RemoteFailure?,
        at time: UTCTime
    ) -> [String: String] {
        var headers = trail.headers
        headers[RequestTrail.Header.reason] = reason.rawValue
        headers[RequestTrail.Header.error] = failure.map { "\($0)".prefix(bytes: 1000) }
        headers[RequestTrail.Header.method] = request.map { $0.method.prefix(bytes: 255) }
        headers[RequestTrail.Header.queue] = self.origin(of: delivery)
        headers[RequestTrail.Header.host] = self.target.server
        headers[RequestTrail.Header.lastTime] = time.description
        headers[RequestTrail.Header.uniqueID] = request?.uniqueID.map { $0.prefix(bytes: 255) }
        return headers
    }
}

/// How often in a row the copies of requests could not be sent; of so many requests at most.
final class CopyFailures: Sendable {
    private static let maximumCount = 1024
    /// By the hash of their bodies: a request that comes again may have no other name.
    private let counts = Mutex<[Int: Int]>([:])

    func isKnown(_ body: [UInt8]) -> Bool {
        self.counts.withLock { !$0.isEmpty && $0[body.hashValue] != nil }
    }

    /// Counts a failure and answers how many there were.
    func count(for body: [UInt8]) -> Int {
        let key = body.hashValue
        return self.counts.withLock { counts in
            if counts[key] == nil, counts.count >= Self.maximumCount { counts.removeAll() }
            counts[key, default: 0] += 1
            return counts[key] ?? 1
        }
    }

    func ended(for body: [UInt8]) {
        self.counts.withLock { counts in
            if !counts.isEmpty { counts[body.hashValue] = nil }
        }
    }
}

extension String {
    /// As much of the text as fits into so many bytes of UTF-8; a scalar is not cut in two.
    func prefix(bytes maximum: Int) -> String {
        guard self.utf8.count > maximum else { return self }
        var end = self.utf8.index(self.startIndex, offsetBy: maximum)
        while end.samePosition(in: self.unicodeScalars) == nil { end = self.utf8.index(before: end) }
        return String(self.unicodeScalars[..<end])
    }
}
