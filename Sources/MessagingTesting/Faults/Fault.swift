/// Something that goes wrong with a message on its way to the broker, or at it; see ``FaultyTransport``.
public struct Fault: Sendable {
    enum Kind: Sendable {
        case lost
        case unconfirmed(isTaken: Bool)
        case returned
        case refused
        case blocked
        case duplicated(copies: Int)
        case delayed(Duration)
        case heldBack
        case malformed
        case preceded(@Sendable () async -> Void)
    }

    let kind: Kind
    /// The fault's name.
    public let description: String

    private init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// The broker confirms the message and loses it, as one does that dies before it has written to disk.
    public static let lost = Fault(.lost, "lost")

    /// The connection ends before the confirm: the sender gets `connectionLost` and cannot know what became of it.
    ///
    /// - Parameter isTaken: Whether the broker took the message in nevertheless.
    /// - Returns: The fault.
    public static func unconfirmed(isTaken: Bool) -> Fault {
        Fault(.unconfirmed(isTaken: isTaken), isTaken ? "taken but not confirmed" : "neither taken nor confirmed")
    }

    /// The message is returned as unroutable, although there is a queue for it: `noSuchServer` where it is mandatory, and
    /// silently gone where it is not.
    public static let returned = Fault(.returned, "returned")

    /// The broker answers with a `basic.nack`: `rejected`.
    public static let refused = Fault(.refused, "refused")

    /// The broker lets nobody publish: the sender waits until its deadline, and gets `blocked`.
    public static let blocked = Fault(.blocked, "blocked")

    /// The message is put into the queue more than once, as by a sender that repeats what was not confirmed.
    ///
    /// - Parameter copies: How many there are in the end; two by default.
    /// - Returns: The fault.
    public static func duplicated(copies: Int = 2) -> Fault {
        Fault(.duplicated(copies: copies), "duplicated")
    }

    /// The message stays on its way for some time of the transport's clock; the sender waits for its confirm, until its
    /// deadline at most.
    ///
    /// - Parameter duration: How long.
    /// - Returns: The fault.
    public static func delayed(by duration: Duration) -> Fault {
        Fault(.delayed(duration), "delayed by \(duration)")
    }

    /// The message is overtaken by the next one to the same destination.
    ///
    /// Or it comes with ``FaultyTransport/releaseHeld()``. Its sender gets the confirm at once.
    public static let heldBack = Fault(.heldBack, "held back")

    /// Half of the body arrives: JSON that nobody can read.
    public static let malformed = Fault(.malformed, "malformed")

    /// Something is done first, and then the message is sent: breaking the connection, deleting a queue under its
    /// consumer, stopping publishers.
    ///
    /// ```swift
    /// faulty.inject(.preceded { transport.interrupt() }, .nth(3)) { $0.method == "create_volume" }
    /// ```
    ///
    /// - Parameter action: What is done.
    /// - Returns: The fault.
    public static func preceded(by action: @escaping @Sendable () async -> Void) -> Fault {
        Fault(.preceded(action), "preceded by an action")
    }

    /// Which of the messages that a rule is about are hit.
    public struct Occurrence: Sendable {
        enum Kind: Sendable {
            case always
            case first(Int)
            case nth(Int)
            case every(Int)
            case probability(Double)
        }

        let kind: Kind

        /// All of them.
        public static let always = Occurrence(kind: .always)
        /// The first one alone.
        public static let once = Occurrence(kind: .first(1))
        /// The first so many.
        public static func first(_ count: Int) -> Occurrence { Occurrence(kind: .first(count)) }
        /// One alone, counted from 1.
        public static func nth(_ number: Int) -> Occurrence { Occurrence(kind: .nth(number)) }
        /// Each time so many have passed, the last of them.
        public static func every(_ count: Int) -> Occurrence { Occurrence(kind: .every(max(1, count))) }
        /// Each with a probability from 0 to 1, drawn from the transport's seed: the same messages in the same order meet
        /// the same fate in every run.
        public static func probability(_ probability: Double) -> Occurrence {
            Occurrence(kind: .probability(probability))
        }
    }
}
