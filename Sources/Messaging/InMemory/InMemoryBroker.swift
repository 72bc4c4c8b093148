internal import Synchronization

/// A broker within the process, with AMQP's semantics: queues that are shared round-robin, prefetch, acknowledgement
/// and redelivery, returned messages, expiry, deleted queues, and a stop of all publishers as under a memory alarm.
///
/// Every ``InMemoryTransport`` on the same broker reaches the others. For tests, and for programs of one process; what
/// works here still has to be shown on RabbitMQ.
public final class InMemoryBroker: Sendable {
    private struct Unacknowledged {
        let queue: String
        let consumer: UInt64
        let message: InMemoryQueue.Message
    }

    /// Deliveries that a test lets fail.
    private struct Failures {
        var count: Int
        let overtaken: Int
        let isMeant: @Sendable (Message) -> Bool
    }

    /// An exchange and a routing key.
    struct Route: Hashable {
        let exchange: String
        let key: String
    }

    private struct State {
        var queues: [String: InMemoryQueue] = [:]
        var bindings: [Route: [String]] = [:]
        var unacknowledged: [UInt64: Unacknowledged] = [:]
        /// How many of `unacknowledged` each consumer has.
        var outstanding: [UInt64: Int] = [:]
        var nextTag: UInt64 = 1
        var nextConsumer: UInt64 = 1
        var failures: [Failures] = []
        /// There while publishers are stopped.
        var unblocked: Eventual<Void>?
    }

    /// The time by which messages expire.
    let clock: any MessagingClock

    private let state = Mutex(State())

    /// Creates a broker without queues.
    ///
    /// - Parameter clock: The time by which messages expire, and that of all transports on this broker; the continuous
    ///   clock by default.
    public init(clock: any MessagingClock = ContinuousClock()) {
        self.clock = clock
    }

    // MARK: What tests may do to it

    /// Stops or resumes all publishers, as RabbitMQ does under a memory or disk alarm.
    ///
    /// - Parameter isBlocked: Whether publishers are to wait.
    public func setBlocked(_ isBlocked: Bool) {
        let unblocked: Eventual<Void>? = self.state.withLock { state in
            guard isBlocked else {
                defer { state.unblocked = nil }
                return state.unblocked
            }
            if state.unblocked == nil { state.unblocked = Eventual() }
            return nil
        }
        unblocked?.fulfil()
    }

    /// Deletes a queue with all that is in it; its consumers are cancelled by the broker.
    ///
    /// - Parameter name: The queue's name; that there is none is not an error.
    public func deleteQueue(_ name: String) {
        let consumers = self.state.withLock { state in Self.remove(name, &state) }
        for consumer in consumers { consumer.onCancelled() }
    }

    /// Cancels the consumers of a queue, which stays: what a broker does that moves the queue to another node.
    ///
    /// What they have not acknowledged goes back into the queue.
    ///
    /// - Parameter name: The queue's name; that there is none is not an error.
    public func cancelConsumers(of name: String) {
        let consumers = self.state.withLock { $0.queues[name]?.consumers } ?? []
        let ids = consumers.map(\.id)
        self.state.withLock { $0.queues[name]?.removeConsumers(ids, now: self.clock.now) }
        self.requeueAll(of: ids)
        for consumer in consumers { consumer.onCancelled() }
    }

    /// Lets deliveries fail: the message looks as if a consumer had died with it, and is handed out again, marked as
    /// redelivered.
    ///
    /// - Parameters:
    ///   - count: How many deliveries fail.
    ///   - overtaken: How many messages of the queue come before the message does again; none by default.
    ///   - isMeant: The messages that it is about; all by default.
    public func failDeliveries(
        _ count: Int,
        overtakenBy overtaken: Int = 0,
        where isMeant: @escaping @Sendable (Message) -> Bool = { _ in true }
    ) {
        self.state.withLock {
            $0.failures.append(Failures(count: count, overtaken: overtaken, isMeant: isMeant))
        }
    }

    /// How many messages wait in a queue.
    ///
    /// - Parameter queue: The queue's name.
    /// - Returns: Their number, those that were handed out not included; `nil` where there is no such queue.
    public func depth(of queue: String) -> Int? {
        self.status(of: queue)?.messages
    }

    /// How many consume a queue.
    ///
    /// - Parameter queue: The queue's name.
    /// - Returns: The number of its consumers; `nil` where there is no such queue.
    public func consumers(of queue: String) -> Int? {
        self.status(of: queue)?.consumers
    }

    /// The names of all queues, sorted.
    public var queueNames: [String] {
        self.state.withLock { state in
            self.expire(&state)
            return state.queues.keys.sorted()
        }
    }

    // MARK: For the transport

    /// Makes a queue, if there is none of the name, and binds it.
    func declare(
        _ queue: String,
        boundTo route: Route? = nil,
        _ arguments: InMemoryQueue.Arguments = InMemoryQueue.Arguments()
    ) {
        self.state.withLock { state in
            let now = self.expire(&state)
            if state.queues[queue] == nil { state.queues[queue] = InMemoryQueue(arguments, now: now) }
            guard let route, state.bindings[route]?.contains(queue) != true else { return }
            state.bindings[route, default: []].append(queue)
        }
    }

    /// Publishes to an exchange, or with `nil` for one straight to the queue that the key names; answers whether a
    /// queue took the message.
    func publish(_ message: Message, from userID: String, exchange: String?, key: String) -> Bool {
        self.state.withLock { state in
            let now = self.expire(&state)
            let queues: [String]
            if let exchange {
                queues = state.bindings[Route(exchange: exchange, key: key)] ?? []
            } else {
                queues = state.queues[key] == nil ? [] : [key]
            }
            for queue in queues {
                state.queues[queue]?.append(message, from: userID, now: now)
                self.dispatch(queue, &state)
            }
            return !queues.isEmpty
        }
    }

    /// Holds a message for a time and then puts it into a queue, if that is still there.
    ///
    /// In a task of its own, because the message outlives its sender.
    func publish(_ message: Message, from userID: String, queue: String, after delay: Duration) {
        Task(executorPreference: preferredTaskExecutor) { [weak self, clock] in
            do {
                try await clock.sleep(delay)
            } catch {
                return  // Nobody cancels it.
            }
            _ = self?.publish(message, from: userID, exchange: nil, key: queue)
        }
    }

    /// What is in a queue and who consumes it.
    func status(of queue: String) -> QueueStatus? {
        self.state.withLock { state in
            let now = self.expire(&state)
            state.queues[queue]?.dropExpired(at: now)
            return state.queues[queue].map {
                QueueStatus(consumers: $0.consumers.count, messages: $0.messages.count)
            }
        }
    }

    /// Waits while publishers are stopped.
    func waitUntilUnblocked(deadline: ContinuousClock.Instant?) async throws {
        try await self.state.withLock(\.unblocked)?.value(until: deadline, clock: self.clock)
    }

    /// Adds a consumer; deliveries begin before this returns.
    func consume(
        _ queue: String,
        prefetch: Int?,
        deliver: @escaping @Sendable ([Delivery]) -> Void,
        onCancelled: @escaping @Sendable () -> Void
    ) -> UInt64 {
        self.state.withLock { state in
            let id = state.nextConsumer
            state.nextConsumer += 1
            state.queues[queue, default: InMemoryQueue(.init(), now: self.clock.now)].add(
                InMemoryQueue.Consumer(id: id, prefetch: prefetch, deliver: deliver, onCancelled: onCancelled)
            )
            self.dispatch(queue, &state)
            return id
        }
    }

    /// Removes consumers; what they had not acknowledged stays theirs until it is settled or given back.
    ///
    /// Queues that go with their last consumer go now.
    func cancel(_ consumers: [UInt64]) {
        self.state.withLock { state in
            let now = self.clock.now
            for (name, queue) in state.queues where queue.consumers.contains(where: { consumers.contains($0.id) }) {
                state.queues[name]?.removeConsumers(consumers, now: now)
                // Nobody is left to be told of it.
                if queue.arguments.isAutoDeleted, state.queues[name]?.consumers.isEmpty == true {
                    _ = Self.remove(name, &state)
                }
            }
        }
    }

    /// Acknowledges; answers the tags that were outstanding.
    func acknowledge(_ tags: [UInt64]) -> Set<UInt64> {
        self.settle(tags, requeue: false)
    }

    /// Takes messages off their consumers, back into the queue or not.
    @discardableResult
    func settle(_ tags: [UInt64], requeue: Bool) -> Set<UInt64> {
        self.state.withLock { state in
            var settled: Set<UInt64> = []
            var queues: Set<String> = []
            for tag in tags {
                guard let entry = state.unacknowledged.removeValue(forKey: tag) else { continue }
                settled.insert(tag)
                queues.insert(entry.queue)
                let outstanding = state.outstanding[entry.consumer, default: 1] - 1
                state.outstanding[entry.consumer] = outstanding > 0 ? outstanding : nil
                if requeue { state.queues[entry.queue]?.giveBack(entry.message) }
            }
            for queue in queues { self.dispatch(queue, &state) }
            return settled
        }
    }

    /// Gives back all that consumers have not acknowledged: what a broker does when a connection ends.
    func requeueAll(of consumers: [UInt64]) {
        let tags = self.state.withLock { state in
            state.unacknowledged.filter { consumers.contains($0.value.consumer) }.map(\.key).sorted()
        }
        self.settle(tags, requeue: true)
    }

    /// Hands messages out while a consumer has room, in turn.
    ///
    /// Within the lock, so that the order stays; what is called returns at once by the contract of `Transport.listen`.
    private func dispatch(_ name: String, _ state: inout State) {
        guard var queue = state.queues.removeValue(forKey: name) else { return }
        defer { state.queues[name] = queue }
        guard !queue.consumers.isEmpty else { return }
        let now = self.clock.now
        while true {
            queue.dropExpired(at: now)
            guard let first = queue.messages.first else { return }
            if let overtaken = Self.failure(of: first.message, &state) {
                queue.failFirst(overtakenBy: overtaken)
                continue
            }
            guard let consumer = queue.nextConsumer(outstanding: state.outstanding) else { return }
            let message = queue.takeFirst()
            let tag = state.nextTag
            state.nextTag += 1
            if consumer.prefetch != nil {
                state.unacknowledged[tag] = Unacknowledged(queue: name, consumer: consumer.id, message: message)
                state.outstanding[consumer.id, default: 0] += 1
            }
            consumer.deliver([
                Delivery(
                    body: message.message.body,
                    headers: message.message.headers,
                    userID: message.userID,
                    queue: name,
                    timeToLive: message.message.timeToLive,
                    isRedelivered: message.isRedelivered,
                    receivedAt: now,
                    token: Delivery.Token(tag: tag)
                )
            ])
        }
    }

    /// How many messages overtake one whose delivery is to fail; `nil` where it is not.
    private static func failure(of message: Message, _ state: inout State) -> Int? {
        guard let index = state.failures.firstIndex(where: { $0.isMeant(message) }) else { return nil }
        state.failures[index].count -= 1
        let overtaken = state.failures[index].overtaken
        if state.failures[index].count <= 0 { state.failures.remove(at: index) }
        return overtaken
    }

    // MARK: Queues that go

    /// Removes a queue; answers whom it leaves without one.
    private static func remove(_ name: String, _ state: inout State) -> [InMemoryQueue.Consumer] {
        guard let queue = state.queues.removeValue(forKey: name) else { return [] }
        for (route, queues) in state.bindings where queues.contains(name) {
            let others = queues.filter { $0 != name }
            state.bindings[route] = others.isEmpty ? nil : others
        }
        state.unacknowledged = state.unacknowledged.filter { $0.value.queue != name }
        for consumer in queue.consumers { state.outstanding[consumer.id] = nil }
        return queue.consumers
    }

    /// Removes the queues that nobody has consumed for as long as they stay; answers the time.
    @discardableResult
    private func expire(_ state: inout State) -> ContinuousClock.Instant {
        let now = self.clock.now
        for (name, queue) in state.queues where queue.isExpired(at: now) { _ = Self.remove(name, &state) }
        return now
    }
}
