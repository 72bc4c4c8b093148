public import Logging
internal import Synchronization

/// The requests to a topic that were given up: to be looked at, sent back, or thrown away.
///
/// ```swift
/// let deadLetters = DeadLetterQueue(transport, topic: "cinder-volume")
/// for letter in try await deadLetters.list() { print(letter.id, letter.method ?? "?", letter.error ?? "") }
/// try await deadLetters.replay(DeadLetterFilter(method: "create_volume"))
/// ```
///
/// Each look takes the letters out of the broker's hands and gives them back, in their order; two at the same time see
/// a part each.
public struct DeadLetterQueue: Sendable {
    /// What became of a letter that was to be replayed or dropped.
    public struct Outcome: Sendable {
        /// The letter.
        public let letter: DeadLetter
        /// Why it is still there; `nil` where it is done, or would be if this were not a dry run.
        public let error: RPCError?
    }

    /// The topic whose requests they are.
    public let topic: String

    private let transport: any Transport
    private let maximum: Int
    private let logger: Logger

    /// Takes the dead letters of a topic; nothing is connected before the first look.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - topic: The topic.
    ///   - maximum: How many letters are looked at, the oldest first; 10,000 by default, 65,535 at most.
    ///   - logger: Where it is written what was sent back and dropped.
    public init(
        _ transport: any Transport,
        topic: String,
        maximum: Int = 10_000,
        logger: Logger = Logger(label: "steward.rpc.dead-letters")
    ) {
        self.transport = transport
        self.topic = topic
        self.maximum = min(max(1, maximum), Int(UInt16.max))
        self.logger = logger
    }

    /// The letters, the oldest first; they stay where they are.
    ///
    /// - Parameter filter: Which ones; all by default.
    /// - Returns: Those that the filter includes.
    /// - Throws: `RPCError`: `unreachable`, `timeout`, `closed`, and what the broker refuses.
    public func list(_ filter: DeadLetterFilter = .all) async throws(RPCError) -> [DeadLetter] {
        try await self.visit(filter) { letter, _, _ in letter }
    }

    /// One letter; it stays where it is.
    ///
    /// - Parameter id: Its ``DeadLetter/id``.
    /// - Returns: The letter, or `nil` where there is none of that id.
    /// - Throws: As ``list(_:)``.
    public func letter(_ id: String) async throws(RPCError) -> DeadLetter? {
        try await self.list(DeadLetterFilter(ids: [id])).first
    }

    /// Sends letters back into the queues that they came from, where they are tried as often as new requests.
    ///
    /// A letter is taken out when the broker has confirmed that the request is in its queue. A request that was
    /// completed meanwhile is not run again, as far as its server's journal remembers.
    ///
    /// - Parameters:
    ///   - filter: Which ones.
    ///   - isDryRun: Whether only to say what would be done; `false` by default.
    /// - Returns: The letters that are meant, and why those are still there that could not be sent back.
    /// - Throws: As ``list(_:)``.
    @discardableResult
    public func replay(_ filter: DeadLetterFilter, isDryRun: Bool = false) async throws(RPCError) -> [Outcome] {
        try await self.visit(filter) { letter, delivery, listener in
            do throws(RPCError) {
                let queue = try self.origin(of: letter)
                guard !isDryRun else { return Outcome(letter: letter, error: nil) }
                try await self.sendBack(letter, delivery, to: queue)
            } catch {
                return Outcome(letter: letter, error: error)
            }
            return await self.remove(letter, delivery, from: listener, "dead letter is sent back")
        }
    }

    /// Throws letters away.
    ///
    /// - Parameters:
    ///   - filter: Which ones.
    ///   - isDryRun: Whether only to say what would be done; `false` by default.
    /// - Returns: The letters that are meant.
    /// - Throws: As ``list(_:)``.
    @discardableResult
    public func drop(_ filter: DeadLetterFilter, isDryRun: Bool = false) async throws(RPCError) -> [Outcome] {
        try await self.visit(filter) { letter, delivery, listener in
            guard !isDryRun else { return Outcome(letter: letter, error: nil) }
            return await self.remove(letter, delivery, from: listener, "dead letter is dropped")
        }
    }

    // MARK: Looking

    /// Takes all letters that are there now, looks at those that the filter includes, and gives the rest back.
    ///
    /// What comes meanwhile is not looked at: a request that fails again at once would be replayed for ever.
    private func visit<Value: Sendable>(
        _ filter: DeadLetterFilter,
        _ body: (DeadLetter, Delivery, any Listener) async -> Value
    ) async throws(RPCError) -> [Value] {
        let destination = Destination.deadLetters(topic: self.topic)
        let deadline = self.transport.clock.now + .seconds(10)
        guard let status = try await self.transport.status(of: destination, deadline: deadline), status.messages > 0
        else { return [] }
        let arrivals = Arrivals(count: min(status.messages, self.maximum))
        let listener = try await self.transport.listen(
            on: .deadLetters(topic: self.topic),
            prefetch: arrivals.count
        ) { arrivals.take($0) }
        await self.wait(for: arrivals)
        await listener.stopConsuming()
        let now = UTCTime.now
        var values: [Value] = []
        for delivery in arrivals.deliveries {
            let letter = DeadLetter(delivery)
            if filter.includes(letter, now: now), !Task.isCancelled {
                values.append(await body(letter, delivery, listener))
            }
        }
        await listener.close()
        guard !Task.isCancelled else { throw RPCError(.closed, "looking at the dead letters was cancelled") }
        return values
    }

    /// Waits until all are there, or no more come: somebody else may have taken some.
    private func wait(for arrivals: Arrivals) async {
        var before = -1
        while before != arrivals.deliveries.count {
            before = arrivals.deliveries.count
            do {
                let clock = self.transport.clock
                return try await arrivals.isComplete.value(until: clock.now + .seconds(2), clock: clock)
            } catch {
                // Time for another look, unless the task was cancelled.
                if Task.isCancelled { return }
            }
        }
    }

    /// What the listener has handed out.
    private final class Arrivals: Sendable {
        let count: Int
        let isComplete = Eventual<Void>()
        private let taken = Mutex<[Delivery]>([])

        init(count: Int) { self.count = count }

        var deliveries: [Delivery] { self.taken.withLock { $0 } }

        func take(_ deliveries: [Delivery]) {
            let isComplete = self.taken.withLock { taken in
                taken += deliveries.prefix(self.count - taken.count)
                return taken.count == self.count
            }
            if isComplete { self.isComplete.fulfil() }
        }
    }

    // MARK: Changing

    /// The queue that a letter came from: one of the topic's own, since anybody can write anything into a letter.
    private func origin(of letter: DeadLetter) throws(RPCError) -> String {
        guard let queue = letter.queue, !queue.isEmpty else {
            throw RPCError(.invalidTarget, "the letter does not say from which queue it came; send the request anew")
        }
        let fanout = "\(self.topic)_fanout"
        guard
            queue == self.topic || queue.hasPrefix("\(self.topic).") || queue == fanout || queue.hasPrefix("\(fanout)_")
        else {
            throw RPCError(
                .invalidTarget,
                "the letter says that it came from '\(queue.prefix(bytes: 255))', which is no queue of the topic "
                    + "'\(self.topic)'; drop it, or send the request anew"
            )
        }
        return queue
    }

    private func sendBack(_ letter: DeadLetter, _ delivery: Delivery, to queue: String) async throws(RPCError) {
        var trail = RequestTrail()
        trail.replays = letter.replays + 1
        trail.user = delivery.sender(over: self.transport)
        var headers = trail.headers
        headers[RequestTrail.Header.compression] = delivery.compression.map { $0.prefix(bytes: 255) }
        let message = Message(body: delivery.body, headers: headers)
        let options = SendOptions(isMandatory: true, deadline: self.transport.clock.now + .seconds(10))
        do {
            try await self.transport.send(message, to: .queue(queue), options: options)
        } catch let error where error.code == .noSuchServer {
            // A fanout queue goes with its server; the host's own queue is there again when it is.
            guard queue.hasPrefix("\(self.topic)_fanout"), let host = letter.host else {
                throw RPCError(.noSuchServer, "there is no queue '\(queue)'; start a server of the topic first")
            }
            try await self.transport.send(message, to: .queue("\(self.topic).\(host)"), options: options)
        }
    }

    private func remove(
        _ letter: DeadLetter,
        _ delivery: Delivery,
        from listener: any Listener,
        _ event: Logger.Message
    ) async -> Outcome {
        guard await !listener.acknowledge([delivery]).isEmpty else {
            let message = "the connection was lost before the letter was taken out; it is still there"
            return Outcome(letter: letter, error: RPCError(.connectionLost, message))
        }
        self.logger.info(event, metadata: ["unique_id": "\(letter.id)", "method": "\(letter.method ?? "-")"])
        return Outcome(letter: letter, error: nil)
    }
}
