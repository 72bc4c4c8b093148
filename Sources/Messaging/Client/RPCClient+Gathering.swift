/// What one of several servers answered.
public struct RPCAnswer<Value: Sendable>: Sendable {
    /// The method's result, or why there is none: `remote` or a refusal's code with the server's failure, or `invalidReply`.
    public let result: Result<Value, RPCError>
}

extension RPCClient {
    /// Asks every server of the topic, and answers what they say within a time.
    ///
    /// The request is a fanout that names a reply queue; servers of oslo.messaging answer such a one, too.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - arguments: Its arguments.
    ///   - context: The request context; `nil` (the default) for the client's own.
    ///   - limit: How long answers are waited for; all of it, because nobody knows how many will come.
    ///   - maximum: After so many answers it is not waited any longer; `nil` (the default) for any number.
    ///   - quiet: When nothing has come for so long since the last answer, it is not waited any longer; `nil` (the default)
    ///     for as long as it takes. Before the first answer it plays no part.
    /// - Returns: The answers in the order they came; none where no server listens, at once.
    /// - Throws: `RPCError` where the request cannot be sent; `CancellationError`.
    public func gather<Arguments, Value>(
        _ method: RPCMethod<Arguments, Value>,
        _ arguments: Arguments,
        context: RPCContext? = nil,
        within limit: Duration,
        upTo maximum: Int? = nil,
        quiet: Duration? = nil
    ) async throws -> [RPCAnswer<Value>] {
        let request = try await self.request { () throws(RPCError) in
            try Request(method, arguments, in: self, context: context)
        }
        return try await self.gather(request, within: limit, upTo: maximum, quiet: quiet).map { reply in
            if let failure = reply.failure {
                let message = "\(method.name) at a server of \(self.target.topic) failed: \(failure)"
                return RPCAnswer(result: .failure(RPCError(RPCError.Code(of: failure), message, failure: failure)))
            }
            do {
                return RPCAnswer(result: .success(try method.result.decode(reply.result ?? .null)))
            } catch {
                let message = "a reply to \(method.name) is not what its contract says: \(error)"
                return RPCAnswer(result: .failure(RPCError(.invalidReply, message, cause: error)))
            }
        }
    }

    /// Asks every server of the topic with a method without arguments.
    ///
    /// - Parameters:
    ///   - method: The method, from the service's contract.
    ///   - context: The request context; `nil` (the default) for the client's own.
    ///   - limit: How long answers are waited for.
    ///   - maximum: After so many answers it is not waited any longer; `nil` (the default) for any number.
    ///   - quiet: When nothing has come for so long since the last answer, it is not waited any longer; `nil` (the default)
    ///     for as long as it takes. Before the first answer it plays no part.
    /// - Returns: The answers in the order they came.
    /// - Throws: As with arguments.
    public func gather<Value>(
        _ method: RPCMethod<Void, Value>,
        context: RPCContext? = nil,
        within limit: Duration,
        upTo maximum: Int? = nil,
        quiet: Duration? = nil
    ) async throws -> [RPCAnswer<Value>] {
        try await self.gather(method, (), context: context, within: limit, upTo: maximum, quiet: quiet)
    }

    private func gather(
        _ request: Request,
        within limit: Duration,
        upTo maximum: Int?,
        quiet: Duration?,
        in span: ProgramTracer.Carried? = nil
    ) async throws -> [ReplyPayload] {
        if span == nil, let tracer = self.tracer {
            return try await tracer.send(request, to: self.fanoutTarget, isCall: true) { request, span in
                try await self.gather(request, within: limit, upTo: maximum, quiet: quiet, in: span)
            }
        }
        let clock = self.transport.clock
        let deadline = clock.now + limit
        let destination = try self.destination(of: self.fanoutTarget)
        let replies = self.transport.replies
        let messageID = makeUniqueID()
        do {
            let replyQueue = try await self.transport.openReplyQueue(deadline: deadline)
            replies.gather(messageID)
            try await self.transport.send(
                Message(
                    body: request.encoded(messageID: messageID, replyQueue: replyQueue),
                    timeToLive: max(deadline - clock.now, .zero),
                    headers: Self.headers([:], span, RunningRequest.current)
                ),
                to: destination,
                options: SendOptions(isMandatory: true, deadline: deadline)
            )
            self.count(.gather, .succeeded, request)
        } catch {
            _ = replies.gathered(messageID)
            let isUnrouted = error.code == .noSuchServer
            self.count(
                .gather,
                isUnrouted ? .unrouted : Task.isCancelled ? .cancelled : .failed(error.code),
                request
            )
            if isUnrouted { return [] }
            throw try self.explain(error, request)
        }
        do {
            var (count, lastChange) = (0, clock.now)
            while clock.now < deadline, maximum.map({ count < $0 }) ?? true {
                if let quiet, count > 0, clock.now - lastChange >= quiet { break }
                // Short steps only where an early end is possible.
                let step = maximum == nil && quiet == nil ? deadline : min(deadline, clock.now + .milliseconds(10))
                try await clock.sleep(until: step, tolerance: nil)
                let gathered = replies.gatheredCount(messageID)
                if gathered != count { (count, lastChange) = (gathered, clock.now) }
            }
        } catch {
            _ = replies.gathered(messageID)
            throw error
        }
        return replies.gathered(messageID)
    }
}
