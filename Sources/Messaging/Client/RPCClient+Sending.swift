internal import Logging

extension RPCClient {
    var fanoutTarget: Target {
        Target(topic: self.target.topic, exchange: self.target.exchange, isFanout: true)
    }

    /// Counts what became of a request that is no call.
    func count(_ way: RPCClientStatistics.Sending, _ ending: RPCClientStatistics.Ending, _ request: Request) {
        self.transport.replies.statistics.count(
            way,
            ending,
            request.method,
            namespace: request.namespace,
            topic: self.target.topic
        )
    }

    /// Sends a request and waits for its reply, and counts how that ended.
    func call(
        _ request: Request,
        timeout: Duration,
        in span: ProgramTracer.Carried? = nil
    ) async throws -> RawJSON {
        if span == nil, let tracer = self.tracer {
            return try await tracer.send(request, to: self.target, isCall: true) { request, span in
                try await self.call(request, timeout: timeout, in: span)
            }
        }
        let statistics = self.transport.replies.statistics
        let clock = self.transport.clock
        let startedAt = clock.now
        let place = statistics.beginCall(request.method, namespace: request.namespace, topic: self.target.topic)
        do {
            let result = try await self.sendCall(request, timeout: timeout, in: span)
            statistics.endCall(place, .succeeded, after: clock.now - startedAt)
            return result
        } catch {
            statistics.endCall(place, RPCClientStatistics.Ending(error), after: clock.now - startedAt)
            throw error
        }
    }

    private func sendCall(
        _ request: Request,
        timeout: Duration,
        in span: ProgramTracer.Carried?
    ) async throws -> RawJSON {
        let destination = try self.destination(of: self.target)
        guard !self.target.isFanout else {
            throw RPCError(
                .invalidTarget,
                "a call has one reply and cannot be fanned out; cast to \(self.target), or gather the answers of all"
            )
        }
        let served = RunningRequest.current
        let (deadline, timeToLive) = try self.limits(of: request, timeout: timeout, within: served?.deadline)
        let replyQueue: String
        do {
            replyQueue = try await self.transport.openReplyQueue(deadline: deadline)
        } catch {
            throw try self.explain(error, request)
        }
        let messageID = makeUniqueID()
        let uniqueID = makeUniqueID()
        span?.note(uniqueID: uniqueID, messageID: messageID)
        let message = Message(
            body: request.encoded(
                messageID: messageID,
                replyQueue: replyQueue,
                monitor: self.options.callMonitorTimeout,
                uniqueID: uniqueID
            ),
            timeToLive: timeToLive,
            headers: Self.headers(MessageHeader.ofCalls, span, served)
        )
        var options = SendOptions(isMandatory: true, deadline: deadline)
        // The reply says more than the confirm.
        options.confirmation = .patient
        let reply: ReplyPayload
        do {
            reply = try await self.transport.replies.reply(
                to: messageID,
                deadline: deadline,
                monitorTimeout: self.options.callMonitorTimeout,
                destination: destination,
                inspector: self.inspector
            ) { completion in
                self.transport.post(message, to: destination, options: options, onWritten: nil, completion: completion)
            }
        } catch let error as RPCError {
            let isInTime = self.transport.clock.now < deadline
            // Given up by its monitor, long before the server would notice that nobody waits any more.
            if error.code == .timeout, error.progress != nil, isInTime {
                await self.cancel(messageID, takenBy: error.progress?.host)
            }
            // Written and unconfirmed when the caller's time was over: to the caller that is a timeout as any other.
            let isTimeout = error.code == .connectionLost && !isInTime
            throw try self.explain(isTimeout ? RPCError(.timeout, error.message, cause: error) : error, request)
        } catch let withdrawal as CallWithdrawn {
            await self.cancel(messageID, takenBy: withdrawal.host)
            throw CancellationError()
        }
        if let failure = reply.failure {
            throw self.error(for: failure, of: request.method)
        }
        return reply.result ?? .null
    }

    /// Sends a request for which no reply is awaited.
    func cast(
        _ request: Request,
        to target: Target,
        in span: ProgramTracer.Carried? = nil
    ) async throws -> CastReceipt {
        if span == nil, let tracer = self.tracer {
            return try await tracer.send(request, to: target, isCall: false) { request, span in
                try await self.cast(request, to: target, in: span)
            }
        }
        let destination = try self.destination(of: target)
        let uniqueID = makeUniqueID()
        span?.note(uniqueID: uniqueID)
        let headers = Self.headers([:], span, RunningRequest.current)
        let way: RPCClientStatistics.Sending = target.isFanout ? .fanout : .cast
        guard self.options.awaitsConfirm else {
            try await self.castUnconfirmed(request, uniqueID, headers, to: destination, way)
            return CastReceipt(uniqueID: uniqueID, isRouted: true)
        }
        var isRouted = true
        do {
            try await self.send(
                Message(body: request.encoded(uniqueID: uniqueID), headers: headers),
                to: destination,
                options: SendOptions(isMandatory: true, deadline: self.transport.clock.now + self.options.timeout),
                repeatable: request.isRepeatable && !target.isFanout
            )
        } catch  where error.code == .noSuchServer && (target.isFanout || !self.options.requiresRoute) {
            isRouted = false
        } catch {
            self.count(way, Task.isCancelled ? .cancelled : .failed(error.code), request)
            throw try self.explain(error, request)
        }
        self.count(way, isRouted ? .succeeded : .unrouted, request)
        self.logger.debug(
            "cast sent",
            metadata: ["method": "\(request.method)", "target": "\(target)", "routed": "\(isRouted)"]
        )
        return CastReceipt(uniqueID: uniqueID, isRouted: isRouted)
    }

    /// Hands a request to the connection, and waits only where too many before it are not written.
    private func castUnconfirmed(
        _ request: Request,
        _ uniqueID: String,
        _ headers: [String: String],
        to destination: Destination,
        _ way: RPCClientStatistics.Sending
    ) async throws {
        let deadline = self.transport.clock.now + self.options.timeout
        let window = self.transport.replies.unwritten
        do {
            try await window.enter(until: deadline, clock: self.transport.clock)
        } catch is DeadlinePassed {
            self.count(way, .failed(.timeout), request)
            throw try self.explain(RPCError(.timeout, "the connection takes nothing at present"), request)
        } catch {
            self.count(way, .cancelled, request)
            throw error
        }
        var options = SendOptions(deadline: deadline)
        options.confirmation = .none
        let logger = self.logger
        let method = request.method
        self.transport.post(
            Message(body: request.encoded(uniqueID: uniqueID), headers: headers),
            to: destination,
            options: options,
            onWritten: nil
        ) { error in
            window.leave()
            self.count(way, error == nil ? .succeeded : .lost, request)
            if let error {
                logger.warning("cast is lost", metadata: ["method": "\(method)", "error": "\(error)"])
            }
        }
    }

    /// When a call ends, and how long its request may wait in a queue: for its own timeout, as in oslo (wire contract
    /// 5.1), or for what is left of the request that is being served here, if that is less.
    private func limits(
        of request: Request,
        timeout: Duration,
        within limit: ContinuousClock.Instant?
    ) throws(RPCError) -> (deadline: ContinuousClock.Instant, timeToLive: Duration) {
        let now = self.transport.clock.now
        guard timeout > .zero else {
            throw RPCError(.timeout, "the call of \(request.method) has no time left: its timeout is \(timeout)")
        }
        guard let limit, limit < now + timeout else { return (now + timeout, timeout) }
        guard limit > now else {
            throw RPCError(
                .timeout,
                "the call of \(request.method) has no time left: the caller of the request that makes it has given up"
            )
        }
        return (limit, limit - now)
    }

    /// What travels beside a request: with a tracer what it has injected, without one the trace of the request that is
    /// being served here, as it came.
    static func headers(
        _ own: [String: String],
        _ span: ProgramTracer.Carried?,
        _ served: RunningRequest?
    ) -> [String: String] {
        if let span { return own.merging(span.headers) { own, _ in own } }
        guard let served, served.job.delivery.isTraced, let parent = served.job.delivery.traceParent else { return own }
        return own.merging(parent.headers) { own, _ in own }
    }

    private var inspector: ReplyRouter.Inspector {
        let transport = self.transport
        let logger = self.logger
        return { destination, deadline in
            do {
                return try await transport.status(of: destination, deadline: deadline)
            } catch {
                // It only makes an error say more; the call itself ends as it would.
                logger.debug("the queue could not be looked at", metadata: ["error": "\(error)"])
                return nil
            }
        }
    }

    /// Tells the server, or all that may have it, that nobody waits for a call any more.
    ///
    /// In a task of its own, since the caller's is cancelled; awaited on the spot, and bounded, because whoever cancels
    /// wants to go on. A Python server has no such address, and the request runs to its end there.
    private func cancel(_ messageID: String, takenBy host: String?) async {
        let transport = self.transport
        let logger = self.logger
        let target = self.target.control
        let destination: Destination =
            if let server = host ?? target.server {
                .server(server, topic: target.topic, exchange: target.exchange)
            } else {
                .fanout(target.topic)
            }
        let body = RequestPayload(
            method: ControlMethod.cancel,
            args: RawJSON(.object(["id": .string(messageID)])),
            version: "1.0"
        ).encoded()
        let limit = Duration.milliseconds(250)
        await Task(executorPreference: preferredTaskExecutor) {
            do {
                try await transport.send(
                    Message(body: body, timeToLive: .seconds(60)),
                    to: destination,
                    options: SendOptions(deadline: transport.clock.now + limit)
                )
            } catch {
                logger.debug("the server could not be told of a cancelled call", metadata: ["error": "\(error)"])
            }
        }.value
    }

    /// Says of an error of the transport which request met it; where the task was cancelled, throws that instead: then
    /// the error is only what it looked like beneath.
    func explain(_ error: RPCError, _ request: Request) throws(CancellationError) -> RPCError {
        guard !Task.isCancelled else { throw CancellationError() }
        let what =
            switch error.code {
            case .noSuchServer:
                self.target.server.map { "there is no server '\($0)' of topic '\(self.target.topic)'" }
                    ?? "there is no server of topic '\(self.target.topic)'"
            case .timeout: "\(request.method) at \(self.target) timed out: \(error.message)"
            default: "\(request.method) at \(self.target): \(error.message)"
            }
        let progress = error.progress ?? (error.code == .invalidReply ? nil : CallProgress(isRouted: false))
        return RPCError(error.code, what, failure: error.failure, progress: progress, cause: error.cause)
    }
}

/// The names of our own headers, which travel beside oslo's message.
enum MessageHeader {
    /// Says that the caller is a client of this library, which understands more than oslo's.
    static let caller = "steward-caller"
    /// Says that a server sent the message to itself, and in which of its lives.
    static let probe = "steward-probe"
    /// What goes with each call.
    static let ofCalls = [Self.caller: "1"]
}

/// Methods of a control topic that the library itself calls.
enum ControlMethod {
    /// Cancels the handler of a call; its argument is `id`, the call's message id.
    static let cancel = "cancel"
}
