/// A queue of an ``InMemoryBroker``: its messages in order, and its consumers.
struct InMemoryQueue {
    struct Message: Sendable {
        let message: Messaging.Message
        let userID: String
        let expiresAt: ContinuousClock.Instant?
        /// Its place in the queue, to which it returns when it is given back, as RabbitMQ has it.
        var place: UInt64
        var isRedelivered = false
    }

    struct Consumer: Sendable {
        let id: UInt64
        /// How many unacknowledged messages it may have; `nil` for a consumer that acknowledges nothing.
        let prefetch: Int?
        let deliver: @Sendable ([Delivery]) -> Void
        let onCancelled: @Sendable () -> Void
    }

    /// How a queue is declared.
    struct Arguments: Sendable {
        /// Whether it goes with its last consumer.
        var isAutoDeleted = false
        /// How long it stays without a consumer: `x-expires`; `nil` for ever.
        var expiry: Duration?
    }

    let arguments: Arguments
    /// A slice, because what leaves does so at the head.
    private(set) var messages: ArraySlice<Message> = []
    private(set) var consumers: [Consumer] = []
    /// Since when nobody consumes it.
    private(set) var unusedSince: ContinuousClock.Instant
    /// Whose turn it is.
    private var turn = 0
    private var nextPlace: UInt64 = 0

    init(_ arguments: Arguments, now: ContinuousClock.Instant) {
        self.arguments = arguments
        self.unusedSince = now
    }

    func isExpired(at now: ContinuousClock.Instant) -> Bool {
        guard let expiry = self.arguments.expiry, self.consumers.isEmpty else { return false }
        return self.unusedSince + expiry <= now
    }

    // MARK: Messages

    mutating func append(_ message: Messaging.Message, from userID: String, now: ContinuousClock.Instant) {
        self.messages.append(
            Message(
                message: message,
                userID: userID,
                expiresAt: message.timeToLive.map { now + $0 },
                place: self.nextPlace
            )
        )
        self.nextPlace += 1
    }

    /// Puts back what was handed out, where it was.
    mutating func giveBack(_ message: Message) {
        var message = message
        message.isRedelivered = true
        let index = self.messages.firstIndex { $0.place > message.place } ?? self.messages.endIndex
        self.messages.insert(message, at: index)
    }

    /// Drops what has expired at the head; what has expired behind a message that has not waits until it comes there, as at
    /// RabbitMQ.
    mutating func dropExpired(at now: ContinuousClock.Instant) {
        let count = self.messages.prefix { $0.expiresAt.map { $0 <= now } ?? false }.count
        self.messages.removeFirst(count)
    }

    mutating func takeFirst() -> Message {
        defer {
            // Else the slice keeps what it has handed out.
            if self.messages.isEmpty { self.messages = [] }
        }
        return self.messages.removeFirst()
    }

    /// Lets so many messages overtake the first, which looks as if a consumer had died with it.
    mutating func failFirst(overtakenBy count: Int) {
        var first = self.messages.removeFirst()
        first.isRedelivered = true
        let index = self.messages.startIndex + min(count, self.messages.count)
        // It takes the place behind those; equal places keep their order.
        if index > self.messages.startIndex { first.place = self.messages[index - 1].place }
        self.messages.insert(first, at: index)
    }

    // MARK: Consumers

    mutating func add(_ consumer: Consumer) {
        self.consumers.append(consumer)
    }

    mutating func removeConsumers(_ ids: [UInt64], now: ContinuousClock.Instant) {
        guard self.consumers.contains(where: { ids.contains($0.id) }) else { return }
        self.consumers.removeAll { ids.contains($0.id) }
        if self.consumers.isEmpty { self.unusedSince = now }
    }

    /// The next consumer in turn that has room.
    mutating func nextConsumer(outstanding: [UInt64: Int]) -> Consumer? {
        let count = self.consumers.count
        for index in (0..<count).map({ (self.turn + $0) % count }) {
            let consumer = self.consumers[index]
            if let prefetch = consumer.prefetch, outstanding[consumer.id, default: 0] >= prefetch { continue }
            self.turn = (index + 1) % count
            return consumer
        }
        return nil
    }
}
