/// A way of compressing a message's body, by the names that kombu gives it in the header `compression` (wire contract
/// 2.2).
package struct CompressionAlgorithm: Sendable, Hashable, CustomStringConvertible {
    private enum Kind {
        case gzip, bzip2
    }

    private let kind: Kind

    /// What kombu calls gzip: deflate in zlib's format (RFC 1950).
    ///
    /// What truly is gzip (RFC 1952) is read as well.
    package static let gzip = CompressionAlgorithm(kind: .gzip)
    /// bzip2.
    package static let bzip2 = CompressionAlgorithm(kind: .bzip2)

    private init(kind: Kind) {
        self.kind = kind
    }

    /// Finds an algorithm by its media type or by one of kombu's other names for it.
    ///
    /// - Parameter name: `application/x-gzip`, `gzip`, `zlib`, `application/x-bz2`, `bz2`, `bzip2` or `bzip`; `nil` is
    ///   the answer to any other.
    package init?(named name: String) {
        switch name {
        case "application/x-gzip", "gzip", "zlib": self = .gzip
        case "application/x-bz2", "bz2", "bzip2", "bzip": self = .bzip2
        default: return nil
        }
    }

    /// The media type: what the header `compression` says.
    package var mediaType: String {
        switch self.kind {
        case .gzip: "application/x-gzip"
        case .bzip2: "application/x-bz2"
        }
    }

    /// The media type.
    package var description: String { self.mediaType }

    /// Compresses bytes, letting other tasks run in between.
    ///
    /// - Parameter bytes: What is to be compressed.
    /// - Returns: One complete stream.
    /// - Throws: `outOfMemory`.
    package func compress(_ bytes: [UInt8]) async throws(CompressionError) -> [UInt8] {
        switch self.kind {
        case .gzip: try await run(try Deflater(), over: bytes, limit: .max)
        case .bzip2: try await run(try Bzip2Compressor(), over: bytes, limit: .max)
        }
    }

    /// Decompresses bytes, letting other tasks run in between.
    ///
    /// - Parameters:
    ///   - bytes: One complete stream, and nothing after it.
    ///   - limit: The largest result, in bytes: a few bytes can stand for gigabytes.
    /// - Returns: What was compressed.
    /// - Throws: `CompressionError`.
    package func decompress(_ bytes: [UInt8], limit: Int) async throws(CompressionError) -> [UInt8] {
        switch self.kind {
        case .gzip: try await run(try Inflater(), over: bytes, limit: limit)
        case .bzip2: try await run(try Bzip2Decompressor(), over: bytes, limit: limit)
        }
    }
}
