/// Whether messages can come and go at present, and why not.
///
/// It is what an operator's probe asks. It never touches the broker: what is known is answered at once.
public struct Readiness: Sendable, Hashable {
    /// How much of the work can be done.
    public struct Level: Sendable, Hashable {
        enum Kind: Int, Sendable { case notReady, degraded, ready }
        let kind: Kind

        /// Everything works: the broker has confirmed all consumers, and takes messages.
        public static let ready = Level(kind: .ready)
        /// Messages are taken and settled, but some can wait or be refused: a broker that is out of memory takes none.
        public static let degraded = Level(kind: .degraded)
        /// Messages do not come, or may not.
        public static let notReady = Level(kind: .notReady)
    }

    /// How much of the work can be done.
    public let level: Level
    /// What is wrong, one sentence each; none where nothing is.
    public let reasons: [String]

    package init(level: Level, reasons: [String]) {
        self.level = level
        self.reasons = reasons
    }

    /// Nothing is wrong.
    public static let ready = Readiness(level: .ready, reasons: [])

    /// Some messages can wait or be refused.
    public static func degraded(_ reason: String) -> Readiness { Readiness(level: .degraded, reasons: [reason]) }

    /// Messages do not come, or may not.
    public static func notReady(_ reason: String) -> Readiness { Readiness(level: .notReady, reasons: [reason]) }

    /// Whether messages come; a service that is only degraded serves too.
    public var isReady: Bool { self.level != .notReady }

    /// What two parts make together: the worse of the levels, and the reasons of both.
    public func and(_ other: Readiness) -> Readiness {
        Readiness(
            level: self.level.kind.rawValue < other.level.kind.rawValue ? self.level : other.level,
            reasons: self.reasons + other.reasons
        )
    }
}

extension Readiness.Level: CustomStringConvertible {
    /// `ready`, `degraded` or `not ready`.
    public var description: String {
        switch self.kind {
        case .ready: "ready"
        case .degraded: "degraded"
        case .notReady: "not ready"
        }
    }
}

extension Readiness: CustomStringConvertible {
    /// The level and the reasons.
    public var description: String {
        self.reasons.isEmpty ? "\(self.level)" : "\(self.level): \(self.reasons.joined(separator: "; "))"
    }
}
