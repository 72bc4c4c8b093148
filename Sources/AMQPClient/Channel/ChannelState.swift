/// A consumer as it was started, and whether it gets messages at present.
final class ConsumerState {
    var record: ConsumeRecord
    /// The arguments for the next start, where they change with what was delivered.
    let arguments: (@Sendable () -> AMQPTable)?
    let onDelivery: @Sendable ([AMQPDelivery]) -> Void
    let onCancelled: @Sendable (AMQPCancellation) -> Void
    /// Whether the program's call that started it succeeded: only then it is started again after a fault.
    var isEstablished = false
    /// Whether that call has not gone on yet.
    var isStarting = true
    /// Whether the broker knows the consumer.
    var isActive = false
    /// Whether the broker cancelled it since it was last asked for: perhaps before whoever asked has gone on.
    var isCancelled = false
    /// Messages of the present read, handed over together.
    var batch: [AMQPDelivery] = []

    init(
        _ record: ConsumeRecord,
        arguments: (@Sendable () -> AMQPTable)? = nil,
        onDelivery: @escaping @Sendable ([AMQPDelivery]) -> Void,
        onCancelled: @escaping @Sendable (AMQPCancellation) -> Void
    ) {
        self.record = record
        self.arguments = arguments
        self.onDelivery = onDelivery
        self.onCancelled = onCancelled
    }

    func renewArguments() {
        if let arguments { self.record.arguments = arguments() }
    }
}

/// A channel as the program sees it: what was set on it, independent of reconnections.
final class ChannelState {
    struct Prefetch {
        var count: UInt16
        var global: Bool
    }

    let id: Int
    /// The channel on the wire; nil while there is none or it is not set up again yet.
    var wire: WireChannel?
    var isClosed = false
    var prefetch: Prefetch?
    var confirms = false
    /// By tag.
    var consumers: [String: ConsumerState] = [:] {
        didSet { self.lastConsumer = nil }
    }
    /// The one that was looked for last: its messages come together.
    private var lastConsumer: ConsumerState?
    /// Consumers that have not been started again yet, by tag.
    ///
    /// Until each was tried once, nothing else is done on the reopened channel but publishing: a new consumer must not
    /// take the place of an exclusive one.
    var unrestored: Set<String> = []
    /// Messages that could not be sent yet, in order.
    var waitingPublishes = Queue<PublishRequest>()
    /// The length of ``waitingPublishes`` at which those that were given up are swept out.
    var nextSweep = 64
    /// Who waits until the channel is open.
    var openWaits: [Wait<Void>] = []
    var onReturn: (@Sendable (AMQPReturn) -> Void)?
    /// When ``wire`` was last replaced after a refused message.
    var renewedAt: ContinuousClock.Instant?

    init(id: Int) {
        self.id = id
    }

    /// The consumer with a tag.
    func consumer(_ tag: String) -> ConsumerState? {
        if let lastConsumer, lastConsumer.record.tag == tag { return lastConsumer }
        self.lastConsumer = self.consumers[tag]
        return self.lastConsumer
    }
}
