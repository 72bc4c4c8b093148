import Synchronization

/// One message on its way: waiting for the connection, or sent and waiting for its confirm; ends exactly once.
///
/// `@unchecked Sendable`: touched only by whoever made it, until it is submitted, and then on the loop's thread; but for
/// `isConfirmed`, which is atomic.
final class PublishRequest: LoopWork, AMQPSending, @unchecked Sendable {
    enum Stage {
        /// Not seen by the connection yet.
        case new
        /// Not written yet: the connection is down, blocked, or too much is unsent.
        case waiting
        /// Written; the broker has not confirmed it.
        case unconfirmed
    }

    let message: AMQPMessage
    let exchange: String
    let routingKey: String
    let mandatory: Bool
    /// The channel that it goes over.
    let channelID: Int
    /// When it ends, if it is not confirmed before.
    let deadline: ContinuousClock.Instant
    /// Whether its confirm may be left unread for a moment.
    let isPatient: Bool
    var stage = Stage.new
    /// Whether it was given up before the connection saw it.
    private var isWithdrawn = false
    /// Why it came back; the confirm that follows then means "nowhere".
    var returned: ReturnHeader?
    private var onWritten: (@Sendable () -> Void)?
    private var completion: (@Sendable (Result<Void, AMQPError>) -> Void)?
    private let confirmation = Atomic<Bool>(false)
    private let connection: AMQPConnection

    init(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool,
        channelID: Int,
        deadline: ContinuousClock.Instant,
        isPatient: Bool,
        on connection: AMQPConnection
    ) {
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.channelID = channelID
        self.deadline = deadline
        self.isPatient = isPatient
        self.connection = connection
    }

    var fullOperation: String { "basic.publish '\(self.exchange)' '\(self.routingKey)'" }
    var isPending: Bool { self.completion != nil }
    var isConfirmed: Bool { self.confirmation.load(ordering: .relaxed) }

    /// Hands it to its connection.
    ///
    /// - Parameters:
    ///   - onWritten: Told when it is written, if it ever is.
    ///   - completion: Told once what became of it.
    func submit(
        onWritten: (@Sendable () -> Void)? = nil,
        _ completion: @escaping @Sendable (Result<Void, AMQPError>) -> Void
    ) {
        self.onWritten = onWritten
        self.completion = completion
        self.connection.loop.submit(self)
    }

    // MARK: On the loop's thread

    func run() {
        self.stage = .waiting
        if self.isWithdrawn { return self.fail(self.cancellation) }
        self.connection.assumeIsolated { $0.accept(self) }
    }

    func written() {
        self.stage = .unconfirmed
        self.onWritten?()
        self.onWritten = nil
    }

    /// The broker is responsible for the message now, or could not place it.
    func confirm() {
        guard let returned else {
            self.confirmation.store(true, ordering: .relaxed)
            return self.finish(.success(()))
        }
        self.fail(
            AMQPError(
                .unroutable,
                operation: self.fullOperation,
                message: "the message fitted no queue and came back",
                reply: CloseReply(code: returned.replyCode, text: returned.replyText, methodID: MethodID.basicReturn)
            )
        )
    }

    func reject() {
        self.fail(
            AMQPError(
                .rejected,
                operation: self.fullOperation,
                message: "the broker refused the message (a full queue, for instance)"
            )
        )
    }

    func finish(_ result: Result<Void, AMQPError>) {
        guard let completion else { return }
        self.completion = nil
        self.onWritten = nil
        completion(result)
    }

    func fail(_ error: AMQPError) {
        self.finish(.failure(error))
    }

    /// What it fails with at its deadline.
    var expiry: AMQPError {
        guard self.stage == .unconfirmed else {
            return self.connection.assumeIsolated { $0.obstacle }.during(self.fullOperation)
        }
        let obstacle = self.connection.assumeIsolated { $0.blockedReason == nil ? nil : $0.obstacle }
        return AMQPError(
            .timeout,
            operation: self.fullOperation,
            message: "the deadline passed before the broker answered",
            outcomeIsUnknown: true,
            cause: obstacle?.during(self.fullOperation)
        )
    }

    /// Whether a returned message is this one; the protocol gives it no number.
    func matches(_ header: ReturnHeader, _ message: AMQPMessage) -> Bool {
        self.mandatory && self.returned == nil && self.exchange == header.exchange
            && self.routingKey == header.routingKey
            && self.message.properties.messageID == message.properties.messageID
            && self.message.properties.correlationID == message.properties.correlationID
            && self.message.body.count == message.body.count && self.message.body == message.body
    }

    // MARK: For the sender

    func withdraw() {
        self.connection.loop.execute {
            if self.stage == .new {
                self.isWithdrawn = true
            } else {
                self.fail(self.cancellation)
            }
        }
    }

    private var cancellation: AMQPError {
        AMQPError(
            .cancelled,
            operation: self.fullOperation,
            message: "the waiting task was cancelled",
            outcomeIsUnknown: self.stage == .unconfirmed
        )
    }
}
