/// One life of a channel on the wire, from `channel.open` to its loss.
///
/// What is tied to that life (delivery tags, confirms, unanswered methods) dies with it.
final class WireChannel {
    let number: UInt16
    /// Unique in the connection object, over all channels and reconnections.
    let epoch: UInt64
    let owner: ChannelState
    /// Methods that wait for their answers, in the order in which they were sent.
    var calls = Queue<PendingCall>()
    var assembler: ContentAssembler
    var acknowledgements = AcknowledgementTracker()
    /// Whether ``acknowledgements`` has something that the end of the batch must write.
    var isAcknowledging = false
    /// Who waits until these acknowledgements are sent.
    var acknowledgementWaits: [Wait<Bool>] = []

    var isConfirming = false
    var nextPublishTag: UInt64 = 1
    var unconfirmed: [UInt64: PublishRequest] = [:]
    private var lowestUnconfirmed: UInt64 = 1
    private var lastReturned: UInt64 = 0

    /// Set when the channel is gone.
    var isDefunct = false
    /// Set when this side sent `channel.close`: what still comes is thrown away.
    var isClosing = false

    init(number: UInt16, epoch: UInt64, owner: ChannelState, maxBodySize: Int) {
        self.number = number
        self.epoch = epoch
        self.owner = owner
        self.assembler = ContentAssembler(maxBodySize: maxBodySize)
    }

    // MARK: Confirms

    func sent(_ request: PublishRequest) {
        request.stage = .unconfirmed
        self.unconfirmed[self.nextPublishTag] = request
        self.nextPublishTag += 1
    }

    /// Takes the requests out that a confirm with this tag is about.
    func confirmed(_ tag: UInt64, multiple: Bool) throws(AMQPError) -> [PublishRequest] {
        guard self.isConfirming, tag < self.nextPublishTag else {
            throw FrameReader.violation("a confirm has the tag \(tag), which was never sent")
        }
        guard multiple else {
            let request = self.unconfirmed.removeValue(forKey: tag)
            // A broker may confirm one by one for ever; what searches begins here, and must not count from the first.
            while self.lowestUnconfirmed < self.nextPublishTag, self.unconfirmed[self.lowestUnconfirmed] == nil {
                self.lowestUnconfirmed += 1
            }
            return request.map { [$0] } ?? []
        }
        // The tag 0 with `multiple` means all of them (AMQP 0-9-1, basic.ack).
        let last = tag == 0 ? self.nextPublishTag - 1 : tag
        var requests: [PublishRequest] = []
        while self.lowestUnconfirmed <= last {
            if let request = self.unconfirmed.removeValue(forKey: self.lowestUnconfirmed) {
                requests.append(request)
            }
            self.lowestUnconfirmed += 1
        }
        return requests
    }

    /// Marks the request that a returned message belongs to; false when there is none.
    ///
    /// The broker returns in the order of publishing, so the search goes on where it ended the last time.
    func markReturned(_ header: ReturnHeader, _ message: AMQPMessage) -> Bool {
        var tag = max(self.lastReturned + 1, self.lowestUnconfirmed)
        while tag < self.nextPublishTag {
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
