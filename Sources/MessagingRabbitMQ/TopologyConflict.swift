internal import AMQPClient

/// An exchange or queue that exists otherwise than it is wanted here (wire contract 1.3, "peers that disagree").
///
/// A plan of what differs, for people: nothing is changed or deleted.
public struct TopologyConflict: Error, Sendable, Hashable, CustomStringConvertible {
    /// One property that differs.
    public struct Difference: Sendable, Hashable, CustomStringConvertible {
        /// The property: `durable`, `auto_delete`, `type`, or the name of an argument.
        public let property: String
        /// What is wanted here; `nil` for none.
        public let wanted: String?
        /// What exists; `nil` for none.
        public let existing: String?

        /// The three in one line.
        public var description: String {
            "\(self.property) is \(self.existing ?? "not set") and should be \(self.wanted ?? "left out")"
        }
    }

    /// `exchange` or `queue`.
    public let kind: String
    /// Its name.
    public let name: String
    /// What differs, as far as the broker tells.
    public let differences: [Difference]
    /// How many messages are in the queue; `nil` where that is not known.
    public let messages: Int?
    /// How many consume the queue; `nil` where that is not known.
    public let consumers: Int?

    /// What differs, and what can be done.
    public var description: String {
        let list = self.differences.map(\.description).joined(separator: "; ")
        var plan = "the \(self.kind) '\(self.name)' exists otherwise: \(list)."
        if let messages, let consumers {
            plan += " It has \(messages) messages and \(consumers) consumers."
        }
        plan += " Nothing was changed. Either configure this service as its peers are (see QueueProfile), or let all "
        plan +=
            self.kind == "queue"
            ? "consumers finish its messages, stop them, delete it, and start again"
            : "services that use it stop, delete it, and start again"
        return plan
    }
}

extension TopologyConflict.Difference {
    /// Reads what the broker says of a declaration that does not fit: `… - inequivalent arg 'durable' for queue 'q' in
    /// vhost '/': received 'true' but current is 'false'`.
    ///
    /// The text may be cut off at 255 bytes, where names are long.
    init?(parsing text: String) {
        guard let start = text.firstRange(of: "inequivalent arg '")?.upperBound,
            let end = text[start...].firstIndex(of: "'")
        else { return nil }
        self.property = String(text[start..<end])
        let parts = text[end...].split(separator: " but current is ", maxSplits: 1)
        let received = parts.first.flatMap { part in
            part.firstRange(of: ": received ").map { part[$0.upperBound...] }
        }
        self.wanted = Self.value(received)
        self.existing = Self.value(parts.count == 2 ? parts[1] : nil)
    }

    /// `'5'`, `the value '5' of type 'signedint'` or `none`.
    private static func value(_ text: Substring?) -> String? {
        guard let text, let start = text.firstIndex(of: "'") else { return nil }
        let rest = text[text.index(after: start)...]
        let end = rest.firstRange(of: "' of type '")?.lowerBound ?? rest.lastIndex(of: "'") ?? rest.endIndex
        return String(rest[..<end])
    }
}
