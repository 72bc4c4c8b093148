internal import Synchronization

/// A broker within the process, with AMQP's semantics: queues that are shared round-robin, prefetch, acknowledgement
/// and redelivery, returned messages, expiry, deleted queues, and a stop of all publishers as under a memory alarm.
///
/// Every ``InMemoryTransport`` on the same broker reaches the others. For tests, and for programs of one process; what
/// works here still has to be shown on RabbitMQ.
public final class InMemoryBroker: Sendable {
    struct QueuedMessage: Sendable {
        let message: Message
        let userID: String
        let expiresAt: ContinuousClock.Instant?
        var isRedelivered = false
    }

    struct Consumer: Sendable {
        let id: UInt64
        /// How many unacknowledged messages it may have; `nil` for a consumer that acknowledges nothing.
        let prefetch: Int?
        let deliver: @Sendable ([Delivery]) -> Void
        let onCancelled: @Sendable () -> Void
    }

    private struct Queue {
        var messages: [QueuedMessage] = []
        var consumers: [Consumer] = []
        /// Whose turn it is.
        var turn = 0
        /// Whether it goes with its last consumer.
        var isAutoDeleted = false
    }

    private struct Unacknowledged {
        let queue: String
        let consumer: UInt64
        let message: QueuedMessage
    }

    /// An exchange and a routing key.
    struct Route: Hashable {
        let exchange: String
        let key: String
    }

    private struct State {
        var queues: [String: Queue] = [:]
        var bindings: [Route: [String]] = [:]
        var unacknowledged: [UInt64: Unacknowledged] = [:]
        /// How many of `unacknowledged` each consumer has.
        var outstanding: [UInt64: Int] = [:]
        var nextTag: UInt64 = 1
        var nextConsumer: UInt64 = 1
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
        let consumers = self.state.withLock { state in
            guard let queue = state.queues.removeValue(forKey: name) else { return [Consumer]() }
            for route in state.bindings.keys { state.bindings[route]?.removeAll { $0 == name } }
            for (tag, entry) in state.unacknowledged where entry.queue == name { state.unacknowledged[tag] = nil }
            for consumer in queue.consumers { state.outstanding[consumer.id] = nil }
            return queue.consumers
        }
        for consumer in consumers { consumer.onCancelled() }
    }

    /// How many messages wait in a queue.
    ///
    /// - Parameter queue: The queue's name.
    /// - Returns: Their number, those that were handed out not included; `nil` where there is no such queue.
    public func depth(of queue: String) -> Int? {
        self.state.withLock { $0.queues[queue]?.messages.count }
    }

    /// How many consume a queue.
    ///
    /// - Parameter queue: The queue's name.
    /// - Returns: The number of its consumers; `nil` where there is no such queue.
    public func consumers(of queue: String) -> Int? {
        self.state.withLock { $0.queues[queue]?.consumers.count }
    }

    /// The names of all queues, sorted.
    public var queueNames: [String] { self.state.withLock { $0.queues.keys.sorted() } }

    // MARK: For the transport

    /// Makes a queue, if there is none of the name, and binds it.
    func declare(_ queue: String, boundTo route: Route? = nil, isAutoDeleted: Bool = false) {
        self.state.withLock { state in
            if state.queues[queue] == nil { state.queues[queue] = Queue(isAutoDeleted: isAutoDeleted) }
            guard let route, state.bindings[route]?.contains(queue) != true else { return }
            state.bindings[route, default: []].append(queue)
        }
    }

    /// Publishes to an exchange, or with `nil` for one straight to the queue that the key names; answers whether a
    /// queue took the message.
    func publish(_ message: Message, from userID: String, exchange: String?, key: String) -> Bool {
        self.state.withLock { state in
            let queues: [String]
            if let exchange {
                queues = state.bindings[Route(exchange: exchange, key: key)] ?? []
            } else {
                queues = state.queues[key] == nil ? [] : [key]
            }
            for queue in queues {
                let expiresAt = message.timeToLive.map { self.clock.now + $0 }
                state.queues[queue]?.messages.append(
                    QueuedMessage(message: message, userID: userID, expiresAt: expiresAt)
                )
                self.dispatch(queue, &state)
            }
            return !queues.isEmpty
        }
    }

    /// Holds a message for a time and then puts it into a queue, if that is still there.
    ///
    /// In a task of its own, because the message outlives its sender.
    func publish(_ message: Message, from userID: String, queue: String, after delay: Duration) {
        Task { [weak self, clock] in
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
            state.queues[queue].map { QueueStatus(consumers: $0.consumers.count, messages: $0.messages.count) }
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
            if state.queues[queue] == nil { state.queues[queue] = Queue() }
            state.queues[queue]?.consumers.append(
                Consumer(id: id, prefetch: prefetch, deliver: deliver, onCancelled: onCancelled)
            )
            self.dispatch(queue, &state)
            return id
        }
    }

    /// Removes consumers; what they had not acknowledged stays theirs until it is settled or given back.
    ///
    /// Queues that go with their last consumer go now.
    func cancel(_ consumers: [UInt64]) {
        let deleted = self.state.withLock { state in
            var deleted: [String] = []
            for (name, queue) in state.queues where queue.consumers.contains(where: { consumers.contains($0.id) }) {
                state.queues[name]?.consumers.removeAll { consumers.contains($0.id) }
                if queue.isAutoDeleted, state.queues[name]?.consumers.isEmpty == true { deleted.append(name) }
            }
            return deleted
        }
        for name in deleted { self.deleteQueue(name) }
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
            // From the last to the first, so that what goes back stands in its old order at the queue's head.
            for tag in tags.reversed() {
                guard let entry = state.unacknowledged.removeValue(forKey: tag) else { continue }
                settled.insert(tag)
                queues.insert(entry.queue)
                let outstanding = state.outstanding[entry.consumer, default: 1] - 1
                state.outstanding[entry.consumer] = outstanding > 0 ? outstanding : nil
                if requeue {
                    var message = entry.message
                    message.isRedelivered = true
                    state.queues[entry.queue]?.messages.insert(message, at: 0)
                }
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
        guard var queue = state.queues[name], !queue.consumers.isEmpty, !queue.messages.isEmpty else { return }
        let now = self.clock.now
        var taken = 0
        for message in queue.messages {
            if let expiresAt = message.expiresAt, expiresAt <= now {
                taken += 1
                continue
            }
            let order = (0..<queue.consumers.count).map { (queue.turn + $0) % queue.consumers.count }
            guard
                let index = order.first(where: { index in
                    let consumer = queue.consumers[index]
                    guard let prefetch = consumer.prefetch else { return true }
                    return state.outstanding[consumer.id, default: 0] < prefetch
                })
            else { break }
            let consumer = queue.consumers[index]
            queue.turn = (index + 1) % queue.consumers.count
            taken += 1
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
        queue.messages.removeFirst(taken)
        state.queues[name] = queue
    }
}
