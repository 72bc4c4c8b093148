/// What a copy of a request carries beside its body: what has become of the request so far.
///
/// Peers that know nothing of it pass over it. What is missing or is not what it should be reads as if it had not been
/// sent: a message is not lost for its headers.
struct RequestTrail: Sendable, Hashable {
    /// How many attempts were started.
    var attempts = 0
    /// How often it was sent back from the dead letters.
    var replays = 0
    /// Who sent it, where that is known; the sender of a copy is a server.
    var user: String?
    /// How often the broker handed it out again, without anybody knowing whether its worker died of it.
    var redeliveries = 0
    /// How often it was put off because the server's journal could not answer.
    var deferrals = 0
    /// When its first attempt failed.
    var firstFailure: UTCTime?

    init() {}

    init(_ headers: [String: String]) {
        self.attempts = Self.count(headers[Header.attempts])
        self.replays = Self.count(headers[Header.replays])
        self.deferrals = Self.count(headers[Header.deferrals])
        self.redeliveries = Self.count(headers[Header.redeliveries])
        // AMQP's own limit; a part of a name would be somebody else's.
        self.user = headers[Header.user].flatMap { $0.isEmpty || $0.utf8.count > 255 ? nil : $0 }
        self.firstFailure = headers[Header.firstTime].flatMap { UTCTime($0) }
    }

    var headers: [String: String] {
        var headers: [String: String] = [:]
        if self.attempts > 0 { headers[Header.attempts] = "\(self.attempts)" }
        if self.replays > 0 { headers[Header.replays] = "\(self.replays)" }
        if self.deferrals > 0 { headers[Header.deferrals] = "\(self.deferrals)" }
        if self.redeliveries > 0 { headers[Header.redeliveries] = "\(self.redeliveries)" }
        headers[Header.user] = self.user
        if let firstFailure { headers[Header.firstTime] = firstFailure.description }
        return headers
    }

    /// Whether the header of this name makes a message the copy of another.
    static func isMark(_ name: String) -> Bool {
        [Header.attempts, Header.replays, Header.deferrals, Header.redeliveries].contains(name)
    }

    /// Whoever sends a request may write what he likes: numbers stay where they can be counted on.
    private static func count(_ text: String?) -> Int {
        min(max(text.flatMap { Int($0) } ?? 0, 0), 1_000_000)
    }

    /// The names of the headers.
    enum Header {
        static let attempts = "steward-attempts"
        static let replays = "steward-replays"
        static let user = "steward-user"
        static let deferrals = "steward-deferrals"
        static let redeliveries = "steward-redeliveries"
        static let firstTime = "steward-first-time"
        static let lastTime = "steward-last-time"
        static let reason = "steward-reason"
        static let error = "steward-error"
        static let method = "steward-method"
        static let queue = "steward-queue"
        static let host = "steward-host"
        static let uniqueID = "steward-unique-id"
        /// oslo's own (wire contract 2.2), where the transport has left the body as it came.
        static let compression = "compression"
    }
}

extension Delivery {
    /// Who sent the request, as far as that is certain.
    ///
    /// A copy is sent by a server, and says for whom. That is believed where the copy comes from whoever uses the same
    /// log-in as `transport`. Anybody else could claim anything, and is not the sender either: whoever replays a
    /// stranger's letter does not lend it his rights.
    func sender(over transport: any Transport) -> String? {
        guard self.isCopy else { return self.userID }
        guard let userID, transport.users.contains(userID) else { return nil }
        return RequestTrail(self.headers).user
    }
}
