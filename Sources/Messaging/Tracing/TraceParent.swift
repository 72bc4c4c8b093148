/// W3C's trace context as it came with a message: which trace it belongs to.
///
/// It goes on with what a handler sends, whether the program has a tracer or not.
struct TraceParent: Sendable, Hashable {
    /// The headers' names.
    enum Header {
        static let parent = "traceparent"
        static let state = "tracestate"
    }

    /// The longest `tracestate` that goes on, in bytes; W3C asks for no more.
    private static let longestState = 512

    /// The header as it came.
    let text: String
    private let state: String?

    /// Reads headers; `nil` where there is no trace context, or none that W3C allows.
    init?(_ headers: [String: String]) {
        guard let text = headers[Header.parent], Self.isValid(text) else { return nil }
        self.text = text
        self.state = headers[Header.state].flatMap { state in
            let isPlain = state.utf8.allSatisfy { 0x20..<0x7F ~= $0 }
            return isPlain && !state.isEmpty && state.utf8.count <= Self.longestState ? state : nil
        }
    }

    /// Reads a request's context, where oslo.messaging's own tracing writes it.
    init?(_ context: RPCContext) {
        guard let text = context[Header.parent]?.stringValue else { return nil }
        var headers = [Header.parent: text]
        headers[Header.state] = context[Header.state]?.stringValue
        self.init(headers)
    }

    /// The id of the trace: 32 hexadecimal digits.
    var traceID: String { String(self.text.dropFirst(3).prefix(32)) }

    /// The headers for what is sent on; the parent is who sent the request, as nobody makes a span here.
    var headers: [String: String] {
        var headers = [Header.parent: self.text]
        headers[Header.state] = self.state
        return headers
    }

    /// Whether a text is `00-`, the trace's id, `-`, the parent's id, `-` and flags.
    ///
    /// A later version begins in the same way and may be longer, by what follows another dash.
    static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8.prefix(256))
        guard bytes.count >= 55, text.utf8.count < 256 else { return false }
        for (index, byte) in bytes.prefix(55).enumerated() {
            switch index {
            case 2, 35, 52: guard byte == UInt8(ascii: "-") else { return false }
            default:
                guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
                else { return false }
            }
        }
        let version = bytes[0..<2]
        let isWhole =
            version.elementsEqual("00".utf8) ? bytes.count == 55 : bytes.count == 55 || bytes[55] == UInt8(ascii: "-")
        let isPrintable = bytes.allSatisfy { 0x20..<0x7F ~= $0 }
        let isNamed = [bytes[3..<35], bytes[36..<52]].allSatisfy { $0.contains { $0 != UInt8(ascii: "0") } }
        return isWhole && isPrintable && isNamed && !version.elementsEqual("ff".utf8)
    }
}

extension Delivery {
    /// The trace that the message belongs to; `nil` where it says nothing of one that could be understood.
    var traceParent: TraceParent? { self.isTraced ? TraceParent(self.headers) : nil }
}
