/// Why bytes could not be compressed or decompressed.
package struct CompressionError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case truncated, corrupt, trailingData, tooLarge, outOfMemory, cancelled
        }
        private let kind: Kind

        /// The compressed bytes end too early.
        package static let truncated = Code(kind: .truncated)
        /// The bytes are not of this format, or a checksum is wrong.
        package static let corrupt = Code(kind: .corrupt)
        /// More bytes follow the end of the compressed stream: a second one, or something else.
        package static let trailingData = Code(kind: .trailingData)
        /// The result would be larger than the limit.
        package static let tooLarge = Code(kind: .tooLarge)
        /// The library got no memory.
        package static let outOfMemory = Code(kind: .outOfMemory)
        /// The task was cancelled.
        package static let cancelled = Code(kind: .cancelled)

        /// The code's name.
        package var description: String { self.kind.rawValue }
    }

    /// What is wrong.
    package let code: Code
    /// What was wrong, for people.
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    package var description: String { "\(self.code): \(self.message)" }
}
