/// Puts the frames of one message of one channel together: method, header, bodies.
struct ContentAssembler {
    enum Opening: Sendable {
        case deliver(DeliverHeader)
        case returned(ReturnHeader)
    }

    /// A message as far as it has come in, or why it is thrown away.
    final class Content {
        let opening: Opening
        fileprivate(set) var message: AMQPMessage
        fileprivate(set) var refusal: String?

        fileprivate init(_ opening: Opening, _ message: AMQPMessage) {
            self.opening = opening
            self.message = message
        }
    }

    private enum State {
        case idle
        case opened(Opening)
        case filling(Content, remaining: UInt64)
    }

    private var state = State.idle
    let maxBodySize: Int

    init(maxBodySize: Int) {
        self.maxBodySize = maxBodySize
    }

    var isIdle: Bool {
        if case .idle = self.state { true } else { false }
    }

    mutating func open(_ opening: Opening) throws(AMQPError) {
        guard self.isIdle else {
            throw FrameReader.violation("a message began inside another one")
        }
        self.state = .opened(opening)
    }

    /// Takes the header; properties are nil when they could not be decoded.
    mutating func header(_ properties: AMQPProperties?, bodySize: UInt64) throws(AMQPError) -> Content? {
        guard case .opened(let opening) = self.state else {
            throw FrameReader.violation("a content header came without its method")
        }
        let content = Content(opening, AMQPMessage(properties: properties ?? AMQPProperties(), body: []))
        if properties == nil {
            content.refusal = "its headers cannot be decoded"
        } else if bodySize > UInt64(self.maxBodySize) {
            content.refusal = "its body of \(bodySize) bytes exceeds the limit of \(self.maxBodySize)"
        } else {
            // An announcement is not yet a body: memory beyond this grows with what really comes.
            content.message.body.reserveCapacity(Int(min(bodySize, 1 << 20)))
        }
        guard bodySize > 0 else {
            self.state = .idle
            return content
        }
        self.state = .filling(content, remaining: bodySize)
        return nil
    }

    mutating func body(_ fragment: UnsafeRawBufferPointer) throws(AMQPError) -> Content? {
        guard case .filling(let content, let remaining) = self.state else {
            throw FrameReader.violation("a content body came without its header")
        }
        let count = UInt64(fragment.count)
        guard count <= remaining else {
            throw FrameReader.violation("a body is longer than its header announced")
        }
        if content.refusal == nil {
            unsafe content.message.body.append(contentsOf: fragment)
        }
        if count == remaining {
            self.state = .idle
            return content
        }
        self.state = .filling(content, remaining: remaining - count)
        return nil
    }
}
