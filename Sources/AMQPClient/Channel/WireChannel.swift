/// One life of a channel on the wire, from `channel.open` to its loss.
///
/// What is tied to that life (delivery tags, confirms, unanswered methods) dies with it.
final class WireChannel {
    let number: UInt16
    /// Unique in the connection object, over all channels and reconnections.
    let epoch: UInt64
    let owner: ChannelState
    /// Methods that wait for their answers, in the order in which they were sent.
    private(set) var calls = Queue<PendingCall>()
    /// Since when the broker owes nothing but the answer to the first of them.
    private(set) var firstCallSince = ContinuousClock.now
    var assembler: ContentAssembler
    var acknowledgements = AcknowledgementTracker()
    /// Whether ``acknowledgements`` has something that the end of the batch must write.
    var isAcknowledging = false
    /// Who waits until these acknowledgements are sent.
    var acknowledgementWaits: [(Bool) -> Void] = []

    var isConfirming = false
    var unconfirmed = UnconfirmedPublishes()
    private var lastReturned: UInt64 = 0

    /// Set when the channel is gone.
    var isDefunct = false
    /// Set when another one has taken its place: nothing more is sent over it.
    var isRetired = false
    /// Set when this side sent `channel.close`: what still comes is thrown away.
    var isClosing = false

    init(number: UInt16, epoch: UInt64, owner: ChannelState, maxBodySize: Int) {
        self.number = number
        self.epoch = epoch
        self.owner = owner
        self.assembler = ContentAssembler(maxBodySize: maxBodySize)
    }

    // MARK: Methods

    func append(_ call: PendingCall) {
        if self.calls.isEmpty { self.firstCallSince = .now }
        self.calls.append(call)
    }

    /// Takes out the one that is answered.
    func popCall() {
        _ = self.calls.popFirst()
        self.firstCallSince = .now
    }

    /// Takes all of them out, because none will be answered any more.
    func drainCalls() -> [PendingCall] {
        self.calls.drain()
    }

    // MARK: Confirms

    func sent(_ request: PublishRequest) {
        self.unconfirmed.append(request)
        request.written()
    }

    /// Takes the requests out that a confirm with this tag is about, and hands each to the closure.
    func confirmed(_ tag: UInt64, multiple: Bool, _ body: (PublishRequest) -> Void) throws(AMQPError) {
        guard self.isConfirming, tag < self.unconfirmed.nextTag else {
            throw FrameReader.violation("a confirm has the tag \(tag), which was never sent")
        }
        guard multiple else {
            if let request = self.unconfirmed.remove(tag) { body(request) }
            return
        }
        // The tag 0 with `multiple` means all of them (AMQP 0-9-1, basic.ack).
        let last = tag == 0 ? self.unconfirmed.nextTag - 1 : tag
        while let request = self.unconfirmed.removeFirst(upTo: last) { body(request) }
    }

    /// Marks the request that a returned message belongs to; false when there is none.
    ///
    /// The broker returns in the order of publishing, so the search goes on where it ended the last time.
    func markReturned(_ header: ReturnHeader, _ message: AMQPMessage) -> Bool {
        var tag = max(self.lastReturned + 1, self.unconfirmed.lowestTag)
        while tag < self.unconfirmed.nextTag {
            if let request = self.unconfirmed[tag], request.matches(header, message) {
                request.returned = header
                self.lastReturned = tag
                return true
            }
            tag += 1
        }
        return false
    }
}
