internal import Messaging

/// What a service is addressed by, and recorded under: its topic and its host.
public struct ServiceKey: Sendable, Hashable, CustomStringConvertible {
    /// The topic that is served.
    public var topic: String
    /// The host, or `host@backend`.
    public var host: String

    /// Names a service.
    public init(topic: String, host: String) {
        self.topic = topic
        self.host = host
    }

    /// The topic and the host, as the queue's name has them.
    public var description: String { "\(self.topic).\(self.host)" }
}

/// What a service writes about itself when it starts.
public struct ServiceRegistration: Sendable, Hashable {
    /// What the service is addressed by.
    public var key: ServiceKey
    /// The program, such as `volume-worker`.
    public var binary: String
    /// Where the host stands; cinder's default is `nova`.
    public var availabilityZone: String
    /// The versions of the interfaces that are served.
    public var versions: [String]
    /// Tells this start from all others.
    public var incarnation: String

    /// Describes a service.
    ///
    /// - Parameters:
    ///   - key: What it is addressed by.
    ///   - binary: The program.
    ///   - availabilityZone: Where the host stands; `nova` by default.
    ///   - versions: The versions that are served.
    ///   - incarnation: Tells this start from all others; by default a new one.
    public init(
        key: ServiceKey,
        binary: String,
        availabilityZone: String = "nova",
        versions: [String],
        incarnation: String = makeUniqueIncarnation()
    ) {
        self.key = key
        self.binary = binary
        self.availabilityZone = availabilityZone
        self.versions = versions
        self.incarnation = incarnation
    }

    /// A new name for a start of a service.
    public static func makeUniqueIncarnation() -> String { makeUniqueID() }

    /// Refuses what not every database takes.
    ///
    /// - Throws: `invalid`.
    package func validate() throws(ServiceRegistryError) {
        let texts = [
            ("host", self.key.host), ("topic", self.key.topic), ("binary", self.binary),
            ("availability zone", self.availabilityZone), ("incarnation", self.incarnation),
        ]
        for (name, text) in texts {
            guard !text.isEmpty else { throw ServiceRegistryError(.invalid, "the \(name) of a service is empty") }
            try ServiceRegistryError.check(name, text)
        }
        try ServiceRegistryError.check("versions", self.versions.joined(separator: ","))
    }
}

/// What operators have decided about a service.
public struct ServiceStanding: Codable, Sendable, Hashable {
    /// Whether schedulers are to give it nothing more; what reaches it is served all the same.
    public var isDisabled: Bool
    /// Why it is disabled, in an operator's words.
    public var disabledReason: String?
    /// Whether it refuses to change anything.
    public var isFrozen: Bool

    /// Describes a standing; neither disabled nor frozen by default.
    public init(isDisabled: Bool = false, disabledReason: String? = nil, isFrozen: Bool = false) {
        self.isDisabled = isDisabled
        self.disabledReason = disabledReason
        self.isFrozen = isFrozen
    }

    enum CodingKeys: String, CodingKey {
        case isDisabled = "disabled"
        case disabledReason = "disabled_reason"
        case isFrozen = "frozen"
    }
}

/// What an operator changes in a service's standing; the rest stays.
public struct ServiceStandingChange: Sendable, Hashable {
    /// Whether it is to be disabled; `nil` where that stays.
    public var isDisabled: Bool?
    /// Why, where it is disabled.
    public var disabledReason: String?
    /// Whether it is to be frozen; `nil` where that stays.
    public var isFrozen: Bool?

    private init(isDisabled: Bool? = nil, disabledReason: String? = nil, isFrozen: Bool? = nil) {
        self.isDisabled = isDisabled
        self.disabledReason = disabledReason
        self.isFrozen = isFrozen
    }

    /// Gives it work again.
    public static let enable = ServiceStandingChange(isDisabled: false)
    /// Gives it no more work.
    public static func disable(reason: String? = nil) -> ServiceStandingChange {
        ServiceStandingChange(isDisabled: true, disabledReason: reason)
    }
    /// Has it refuse changes.
    public static let freeze = ServiceStandingChange(isFrozen: true)
    /// Lets it make changes again.
    public static let thaw = ServiceStandingChange(isFrozen: false)

    /// This change, and then another one.
    func followed(by later: ServiceStandingChange) -> ServiceStandingChange {
        ServiceStandingChange(
            isDisabled: later.isDisabled ?? self.isDisabled,
            disabledReason: later.isDisabled == nil ? self.disabledReason : later.disabledReason,
            isFrozen: later.isFrozen ?? self.isFrozen
        )
    }

    /// Refuses what not every database takes.
    ///
    /// - Throws: `invalid`.
    package func validate() throws(ServiceRegistryError) {
        if let reason = self.disabledReason { try ServiceRegistryError.check("reason", reason) }
    }
}

extension ServiceStanding {
    /// Makes a change.
    public mutating func apply(_ change: ServiceStandingChange) {
        if let isDisabled = change.isDisabled {
            self.isDisabled = isDisabled
            self.disabledReason = isDisabled ? change.disabledReason : nil
        }
        if let isFrozen = change.isFrozen { self.isFrozen = isFrozen }
    }
}

/// A row of the registry.
public struct ServiceRecord: Sendable, Hashable {
    /// What the service wrote about itself when it started last.
    public var registration: ServiceRegistration
    /// What operators have decided.
    public var standing: ServiceStanding
    /// How often it has reported, all starts together: what its life is judged by.
    public var reportCount: Int64
    /// When it reported last, for people: UTC, by the database's clock.
    public var updatedAt: String
    /// How long ago that was, by the same clock.
    public var age: Duration

    /// Describes a row.
    public init(
        registration: ServiceRegistration,
        standing: ServiceStanding = ServiceStanding(),
        reportCount: Int64,
        updatedAt: String,
        age: Duration
    ) {
        self.registration = registration
        self.standing = standing
        self.reportCount = reportCount
        self.updatedAt = updatedAt
        self.age = age
    }

    /// What the service is addressed by.
    public var key: ServiceKey { self.registration.key }
}
