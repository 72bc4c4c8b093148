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
        // Byte by byte: this is done for each request.
        var complete = (major: 0, minor: 0)
        var dots = 0
        var number: Int?
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let (shifted, isTooLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
                let (sum, hasOverflown) = shifted.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
                guard !isTooLarge, !hasOverflown else { return nil }
                number = sum
            case UInt8(ascii: "."):
                guard let value = number, dots < 2 else { return nil }
                if dots == 0 { complete.major = value } else { complete.minor = value }
                dots += 1
                number = nil
            default:
                return nil
            }
        }
        guard let last = number, dots > 0 else { return nil }
        self.init(complete.major, dots == 1 ? last : complete.minor, revision: dots == 2 ? last : 0)
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
