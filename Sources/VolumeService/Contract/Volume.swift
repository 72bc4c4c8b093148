/// A volume as its worker knows it; names and states are cinder's.
public struct Volume: Codable, Sendable, Hashable {
    /// In which part of its life a volume is.
    public struct Status: Codable, Sendable, Hashable, RawRepresentable {
        /// The word on the wire and in the database.
        public let rawValue: String

        /// Takes a word.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// It is being made; after a crash in this state the request can be repeated.
        public static let creating = Status(rawValue: "creating")
        /// It can be used.
        public static let available = Status(rawValue: "available")
        /// It is being made larger.
        public static let extending = Status(rawValue: "extending")
        /// It is being removed.
        public static let deleting = Status(rawValue: "deleting")
        /// It could not be made, or is not what it should be; ``Volume/fault`` says why.
        public static let error = Status(rawValue: "error")
        /// It could not be removed; ``Volume/fault`` says why.
        public static let errorDeleting = Status(rawValue: "error_deleting")
    }

    /// The id.
    public var id: VolumeID
    /// A name for people.
    public var name: String?
    /// The size in GiB.
    public var size: Int
    /// In which part of its life it is.
    public var status: Status
    /// Why the status is an error.
    public var fault: String?
    /// The worker that keeps it.
    public var host: String
    /// When it was asked for: UTC, as `2026-01-02T03:04:05.678901`.
    public var createdAt: String
    /// When it changed last.
    public var updatedAt: String

    enum CodingKeys: String, CodingKey {
        case id, name, size, status, fault, host
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }
}

extension Volume.Status: CustomStringConvertible {
    /// The word.
    public var description: String { rawValue }
}
