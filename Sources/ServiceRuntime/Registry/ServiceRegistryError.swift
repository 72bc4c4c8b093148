/// What went wrong with the registry of services; no password is ever in it.
public struct ServiceRegistryError: Error, Sendable {
    /// What kind of error it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case unavailable, newerSchema, noRegistry, noSuchService, invalid, failed
        }
        private let kind: Kind

        /// The database cannot be used at present; it may be tried again.
        public static let unavailable = Code(kind: .unavailable)
        /// A later version of the software has changed the tables.
        public static let newerSchema = Code(kind: .newerSchema)
        /// The database has no registry, and whoever asked is not to make one.
        public static let noRegistry = Code(kind: .noRegistry)
        /// No service of this topic and host is recorded.
        public static let noSuchService = Code(kind: .noSuchService)
        /// A URL, a name or a reason that cannot be used.
        public static let invalid = Code(kind: .invalid)
        /// Any other error of the database, such as a missing permission.
        public static let failed = Code(kind: .failed)

        /// The code's name.
        public var description: String { self.kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code
    /// What was wrong and what can be done, for people.
    public let message: String
    /// The error beneath this one, if there is one.
    public let cause: (any Error)?

    /// Creates an error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The longest text that a registry takes, in bytes.
    private static let longest = 1024

    /// Refuses a text that not every database takes.
    static func check(_ name: String, _ text: String) throws(ServiceRegistryError) {
        guard text.utf8.count <= self.longest else {
            throw ServiceRegistryError(.invalid, "the \(name) of a service has more than \(self.longest) bytes")
        }
        guard !text.utf8.contains(0) else {
            throw ServiceRegistryError(.invalid, "the \(name) of a service holds a NUL")
        }
    }
}

extension ServiceRegistryError: CustomStringConvertible {
    /// The code, the message, and the cause where there is one.
    public var description: String {
        self.cause.map { "\(self.code): \(self.message) (\($0))" } ?? "\(self.code): \(self.message)"
    }
}
