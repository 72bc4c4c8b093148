/// Who asks for a method.
public struct Caller: Sendable {
    /// The user as whom the caller is logged in at the broker; `nil` where the caller did not send it.
    ///
    /// It is AMQP's `user-id`, which the broker has compared with the log-in.
    public let userID: String?
    /// The request context, which is what the caller says of itself; nobody has verified it.
    public let context: RPCContext

    /// Creates a caller.
    ///
    /// - Parameters:
    ///   - userID: The verified user, if there is one.
    ///   - context: The request context.
    public init(userID: String?, context: RPCContext) {
        self.userID = userID
        self.context = context
    }
}

/// Who may call a method.
///
/// ```swift
/// RPCMethod<VolumeReference, Void>("delete_volume", since: "3.0", access: .all(.users(["cinder"]), .roles(["admin"])))
/// ```
///
/// It is asked before a request's arguments are decoded. A refusal reaches the caller as ``RPCError/Code/accessDenied``.
public struct AccessPolicy: Sendable {
    /// The rule in words, for descriptions and for the message of a refusal.
    public let description: String
    private let rule: (@Sendable (Caller) -> Bool)?

    private init(_ description: String, rule: (@Sendable (Caller) -> Bool)?) {
        self.description = description
        self.rule = rule
    }

    /// Everyone who can send to the broker; the default.
    public static let anyone = AccessPolicy("anyone", rule: nil)

    /// Callers whose context has one of these roles, letter by letter.
    ///
    /// The context is not verified: whoever can send to the broker can claim a role. It keeps honest services apart; for
    /// others combine it with ``users(_:)``.
    ///
    /// - Parameter roles: The roles.
    /// - Returns: The rule; with no roles it refuses everyone.
    public static func roles(_ roles: Set<String>) -> AccessPolicy {
        AccessPolicy("role \(Self.list(roles))") { !roles.isDisjoint(with: $0.context.roles) }
    }

    /// Callers that are logged in at the broker as one of these users, as the broker has verified.
    ///
    /// A message without AMQP's `user-id` is refused: Python's library does not send it.
    ///
    /// - Parameter users: The users' names.
    /// - Returns: The rule; with no users it refuses everyone.
    public static func users(_ users: Set<String>) -> AccessPolicy {
        AccessPolicy("user \(Self.list(users))") { $0.userID.map(users.contains) ?? false }
    }

    /// Callers that all of the rules let through.
    ///
    /// - Parameter policies: The rules.
    /// - Returns: The rule; with none it lets everyone through.
    public static func all(_ policies: AccessPolicy...) -> AccessPolicy {
        AccessPolicy("all of (\(policies.map(\.description).joined(separator: ", ")))") { caller in
            policies.allSatisfy { $0.permits(caller) }
        }
    }

    /// Callers that one of the rules lets through.
    ///
    /// - Parameter policies: The rules.
    /// - Returns: The rule; with none it refuses everyone.
    public static func any(_ policies: AccessPolicy...) -> AccessPolicy {
        AccessPolicy("any of (\(policies.map(\.description).joined(separator: ", ")))") { caller in
            policies.contains { $0.permits(caller) }
        }
    }

    /// A rule of your own.
    ///
    /// - Parameters:
    ///   - description: The rule in words; callers see it.
    ///   - rule: Whether a caller may; must return at once.
    /// - Returns: The rule.
    public static func custom(
        _ description: String,
        _ rule: @escaping @Sendable (Caller) -> Bool
    ) -> AccessPolicy {
        AccessPolicy(description, rule: rule)
    }

    /// Whether nobody is refused.
    var isOpen: Bool { self.rule == nil }

    /// Whether a caller may.
    ///
    /// - Parameter caller: Who asks.
    /// - Returns: Whether the rule lets it through.
    public func permits(_ caller: Caller) -> Bool {
        self.rule?(caller) ?? true
    }

    private static func list(_ names: Set<String>) -> String {
        names.isEmpty ? "nobody" : names.sorted().joined(separator: " or ")
    }
}

extension AccessPolicy: CustomStringConvertible {}
