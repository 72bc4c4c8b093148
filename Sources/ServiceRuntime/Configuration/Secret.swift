/// A text that must not be seen: a password, a token, a URL with one inside.
///
/// It prints, encodes and travels masked; only ``reveal()`` gives it away.
public struct Secret: Sendable, Hashable {
    private let value: String
    /// What may be shown instead of the secret.
    public let masked: String

    /// Hides a text.
    ///
    /// - Parameters:
    ///   - value: The secret.
    ///   - masked: What may be shown instead; three stars by default.
    public init(_ value: String, masked: String = "***") {
        self.value = value
        self.masked = masked
    }

    /// Hides the passwords of a transport URL, and what its options say; the rest may be shown.
    ///
    /// ```swift
    /// "\(Secret(url: "rabbit://guest:guest@node-1:5672/cinder"))"  // rabbit://guest:***@node-1:5672/cinder
    /// ```
    public init(url: String) {
        self.init(url, masked: URLMask.mask(url))
    }

    /// The secret itself, to be handed to the one that needs it and to nobody else.
    public func reveal() -> String { self.value }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The mask.
    public var description: String { self.masked }
    /// The mask.
    public var debugDescription: String { self.masked }
    /// The mask alone, so that `dump` finds nothing either.
    public var customMirror: Mirror { Mirror(self, children: ["masked": self.masked]) }
}

extension Secret: Encodable {
    /// Writes the mask.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.masked)
    }
}

/// Masks the passwords of transport URLs (wire contract 5.6).
enum URLMask {
    static func mask(_ url: String) -> String {
        // An option of the query may be a password too, and a fragment has no business there.
        let end = url.firstIndex { $0 == "?" || $0 == "#" } ?? url.endIndex
        let tail = end == url.endIndex ? "" : "\(url[end])***"
        let address = url[..<end]
        guard let separator = address.firstRange(of: "://") else {
            return address.contains("@") ? "***" : address + tail
        }
        let scheme = address[..<separator.upperBound]
        let rest = address[separator.upperBound...]
        guard let lastAt = rest.lastIndex(of: "@") else { return scheme + rest + tail }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let hosts = rest[..<slash].split(separator: ",", omittingEmptySubsequences: false)
        if lastAt < slash, hosts.allSatisfy(isHost) {
            return scheme + hosts.map(mask(host:)).joined(separator: ",") + rest[slash...] + tail
        }
        // Not a URL as it should be: whatever stands before the last '@' may be part of a password.
        let user = rest[..<lastAt].prefix { $0 != ":" && $0 != "," && $0 != "/" }
        return scheme + user + ":***" + rest[lastAt...] + tail
    }

    /// Whether this is `[user[:password]@]host[:port]` and nothing else.
    private static func isHost(_ text: Substring) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = parts.last else { return false }
        if address.hasPrefix("[") { return true }
        let port = address.split(separator: ":", omittingEmptySubsequences: false).dropFirst()
        return port.count <= 1 && port.allSatisfy { $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    }

    private static func mask(host: Substring) -> String {
        guard let at = host.firstIndex(of: "@"), let colon = host[..<at].firstIndex(of: ":") else {
            return String(host)
        }
        return host[...colon] + "***" + host[at...]
    }
}
