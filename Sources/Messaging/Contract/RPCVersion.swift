/// A version of an RPC interface: `major.minor`, with an optional revision.
///
/// A server that implements one version takes requests of the same major and of a minor that is not higher; where the
/// minors are equal, the revision must not be higher either (wire contract 4.2).
public struct RPCVersion: Sendable, Hashable {
    /// Changes that break callers raise this number.
    public let major: Int
    /// Additions that old callers do not notice raise this number.
    public let minor: Int
    /// A step within a minor version; most interfaces have none, which counts as zero.
    public let revision: Int

    /// Creates a version from its numbers.
    ///
    /// - Parameters:
    ///   - major: Counts the changes that break callers.
    ///   - minor: Counts the additions.
    ///   - revision: A step within the minor version; none by default.
    public init(_ major: Int, _ minor: Int, revision: Int = 0) {
        self.major = major
        self.minor = minor
        self.revision = revision
    }

    /// Reads a version as it stands on the wire.
    ///
    /// - Parameter text: The version, such as `3.0`.
    /// - Throws: `RPCError` with the code `invalidVersion` when the text is not two or three numbers with dots between
    ///   them.
    public init(parsing text: String) throws(RPCError) {
        guard let version = RPCVersion(text) else {
            throw RPCError(
                .invalidVersion,
                "'\(text.prefix(64))' is not an RPC version; write major.minor, such as 3.0"
            )
        }
        self = version
    }

    /// Reads a version, or answers `nil` where the text is none.
    ///
    /// - Parameter text: The version, such as `3.0`.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count) else { return nil }
        var numbers: [Int] = []
        for part in parts {
            // `Int` would also take a sign, which no version has.
            guard let number = Int(part), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            numbers.append(number)
        }
        self.init(numbers[0], numbers[1], revision: numbers.count == 3 ? numbers[2] : 0)
    }

    /// Whether a server that implements this version can serve a request of `requested`.
    ///
    /// - Parameter requested: The version for which a request asks.
    /// - Returns: Whether it can (wire contract 4.2).
    public func supports(_ requested: RPCVersion) -> Bool {
        guard requested.major == self.major, requested.minor <= self.minor else { return false }
        return requested.minor < self.minor || requested.revision <= self.revision
    }

    /// The version that a request without one asks for, and that an endpoint without one offers (wire contract 4.2).
    public static let unspecified = RPCVersion(1, 0)
}

extension RPCVersion: Comparable {
    /// Orders versions by major, then minor, then revision.
    ///
    /// - Parameters:
    ///   - one: A version.
    ///   - other: Another one.
    /// - Returns: Whether `one` is the earlier.
    public static func < (one: RPCVersion, other: RPCVersion) -> Bool {
        (one.major, one.minor, one.revision) < (other.major, other.minor, other.revision)
    }
}

extension RPCVersion: CustomStringConvertible, ExpressibleByStringLiteral {
    /// The version as it stands on the wire; a revision of zero is left out.
    public var description: String {
        self.revision == 0 ? "\(self.major).\(self.minor)" : "\(self.major).\(self.minor).\(self.revision)"
    }

    /// Writes a version down in source code; text that is no version is a programmer's mistake and traps.
    ///
    /// - Parameter value: The version, such as `"3.0"`.
    public init(stringLiteral value: String) {
        guard let version = RPCVersion(value) else {
            preconditionFailure("\"\(value)\" is not an RPC version; write major.minor, such as \"3.0\"")
        }
        self = version
    }
}
