/// The request context: the dictionary that travels with each request as `_context_*` keys (wire contract 6), and, in a
/// handler, what the server knows of the request.
///
/// ```swift
/// var context = RPCContext.admin()
/// context["project_id"] = "demo"
/// ```
public struct RPCContext: Sendable {
    /// What a server knows of the request that it hands to a handler.
    public struct Request: Sendable {
        /// The method's name on the wire.
        public let method: String
        /// Whether the caller waits for a reply.
        public let isCall: Bool
        /// The user as whom the caller is logged in at the broker, as the broker has verified; `nil` where the caller did
        /// not send it, as Python's library does not.
        public let userID: String?
        /// The id that the sender gave to this message; a repeated delivery has the same one.
        public let uniqueID: String?
        /// When the caller gives up, as far as the message tells; work that cannot end before is in vain.
        public let deadline: ContinuousClock.Instant?
        /// Whether the broker handed this message out before.
        public let isRedelivered: Bool
        /// The caller's call monitor timeout (oslo's `client_timeout`), if it wants to hear of a long call.
        public let callMonitorTimeout: Duration?
        /// Which attempt this is, counted from 1: above that, an earlier one failed or its worker died.
        public let attempt: Int
        /// What names an at-least-once request in the server's ``RequestJournal``; `nil` where it has no id.
        public let journalKey: String?
    }

    /// The entries, by their names without the prefix `_context_`.
    public var values: [String: JSONValue]
    /// In a handler, the request that is being served; a client's own context has none.
    public internal(set) var request: Request?

    /// Creates a context.
    ///
    /// - Parameter values: Its entries, by their names without the prefix `_context_`; none by default.
    public init(_ values: [String: JSONValue] = [:]) {
        self.values = values
    }

    /// One entry, by its name without the prefix `_context_`; `nil` removes it.
    ///
    /// - Parameter name: The entry's name.
    /// - Returns: Its value, or `nil` where there is none.
    public subscript(name: String) -> JSONValue? {
        get { self.values[name] }
        set { self.values[name] = newValue }
    }

    /// The least that an OpenStack worker wants to see of a request made by the system itself: `is_admin`, and a fresh
    /// request id (wire contract 6).
    ///
    /// - Returns: A context that acts as administrator.
    public static func admin() -> RPCContext {
        RPCContext([
            "is_admin": true, "request_id": .string(self.makeRequestID()), "roles": ["admin"], "read_deleted": "no",
        ])
    }

    /// The id under which one request is known in the logs of all services.
    public var requestID: String? { self["request_id"]?.stringValue }

    /// Whether the caller acts as administrator.
    public var isAdmin: Bool { self["is_admin"]?.boolValue ?? false }

    /// The caller's roles.
    public var roles: [String] { self["roles"]?.arrayValue?.compactMap(\.stringValue) ?? [] }

    /// A request id as OpenStack writes them: `req-` and a random UUID.
    private static func makeRequestID() -> String {
        var text = makeUniqueID()
        for offset in [8, 13, 18, 23] {
            text.insert("-", at: text.index(text.startIndex, offsetBy: offset))
        }
        return "req-" + text
    }
}
