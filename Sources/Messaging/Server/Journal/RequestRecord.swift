/// What is remembered of one request: the rules that all journals share.
///
/// A request travels as the message that its caller sent and, after failed attempts, as copies of it. Each carries how
/// many attempts had been started when it was sent, and so their order is known: the latest is the one that counts.
/// Copies are announced before they are sent (`moving`, `parking`) and confirmed after (`waiting`, `parked`). So at each
/// moment at which a worker may be killed, either the original still counts, or it is known that a copy has to exist.
package struct RequestRecord: Sendable, Hashable {
    package enum Phase: String, Sendable {
        /// It was started, and has not ended as far as is known.
        case running
        /// A copy for the next attempt is being sent.
        case moving
        /// The copy is in the broker.
        case waiting
        /// A copy is being sent to the dead letters.
        case parking
        /// It is among the dead letters.
        case parked
        /// It was run to its end.
        case done

        /// Whether a repetition might run beside it, or a copy be lost, if it were forgotten.
        package var isUnderway: Bool { [.running, .moving, .parking].contains(self) }
    }

    package var phase = Phase.running
    /// How often it was sent back from the dead letters; each time its attempts are counted anew.
    package var replays: Int
    /// What the message that counts carries as its number of attempts.
    package var carrier: Int
    /// How many attempts were started.
    package var attempts: Int
    package var reason: DeadLetterReason?
    package var reply: [UInt8]?

    /// A record as it was stored.
    package init(
        phase: Phase,
        replays: Int,
        carrier: Int,
        attempts: Int,
        reason: DeadLetterReason?,
        reply: [UInt8]?
    ) {
        self.phase = phase
        self.replays = replays
        self.carrier = carrier
        self.attempts = attempts
        self.reason = reason
        self.reply = reply
    }

    /// A request that is started for the first time, as far as is known here.
    package init(starting delivery: RequestDelivery) {
        self.replays = delivery.replays
        self.carrier = delivery.attempts
        self.attempts = delivery.attempts + 1
    }

    /// It was delivered (again).
    package mutating func begin(_ delivery: RequestDelivery) -> RequestStanding {
        if self.phase == .done { return .done(reply: self.reply) }
        guard delivery.replays == self.replays else {
            // Behind a replay, all that was before it is of the past.
            guard delivery.replays > self.replays else { return .superseded }
            self = RequestRecord(starting: delivery)
            return .run(attempt: self.attempts)
        }
        switch self.phase {
        case .parking: return .leave(.deadLetters(attempts: self.attempts, reason: self.reason ?? .failed))
        case .parked: return .superseded
        case .moving where delivery.attempts < self.carrier: return .leave(.retry(attempts: self.carrier))
        case .running, .moving, .waiting, .done:
            guard delivery.attempts >= self.carrier else { return .superseded }
            self.phase = .running
            self.carrier = delivery.attempts
            self.attempts = max(self.attempts, delivery.attempts) + 1
            return .run(attempt: self.attempts)
        }
    }

    /// It has come to its end; a reply that is known is not taken back.
    package mutating func complete(reply: [UInt8]?) {
        self.phase = .done
        self.reply = reply ?? self.reply
    }

    /// Its last start does not count.
    package mutating func withdraw() {
        if self.phase == .running { self.attempts = max(0, self.attempts - 1) }
    }

    /// A copy is about to be sent; answers whether it shall be.
    package mutating func leave(for onward: RequestOnward) -> Bool {
        guard self.phase != .done else { return false }
        switch onward {
        case .retry(let attempts):
            self.phase = .moving
            self.carrier = attempts
            self.attempts = attempts
        case .deadLetters(let attempts, let reason):
            self.phase = .parking
            self.attempts = attempts
            self.reason = reason
        }
        return true
    }

    /// The broker has the copy, which may even have been delivered since.
    package mutating func left() {
        switch self.phase {
        case .moving: self.phase = .waiting
        case .parking: self.phase = .parked
        case .running, .waiting, .parked, .done: break
        }
    }
}
