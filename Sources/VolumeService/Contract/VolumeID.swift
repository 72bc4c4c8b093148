/// The id of a volume: 1 to 64 of the letters `A-Z` and `a-z`, the digits, `-` and `_`.
///
/// A UUID, as OpenStack gives to volumes, is one. Nothing that has a meaning in a path can be part of it, so that a
/// driver may make names of it.
public struct VolumeID: Sendable, Hashable {
    /// The text.
    public let text: String

    /// Checks a text; `nil` if it is no id.
    public init?(_ text: some StringProtocol) {
        guard (1...64).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed) else { return nil }
        self.text = String(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension VolumeID: Codable {
    /// Reads an id and checks it.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = VolumeID(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "a volume id has 1 to 64 letters, digits, '-' or '_'"
            )
        }
        self = id
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension VolumeID: Comparable, CustomStringConvertible {
    /// Orders ids by their bytes.
    public static func < (one: VolumeID, other: VolumeID) -> Bool { one.text < other.text }

    /// The text.
    public var description: String { text }
}
