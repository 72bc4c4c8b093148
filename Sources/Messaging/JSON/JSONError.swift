/// Why a JSON text could not be read or a value could not be written.
public struct JSONError: Error, Sendable, CustomStringConvertible {
    /// The kind of a JSON error.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case syntax, depth, size, type, missing, range, unencodable, invalid
        }

        private let value: Value

        /// The text is not JSON (Python's `NaN`, `Infinity` and `-Infinity` count as JSON here).
        public static let syntax = Code(value: .syntax)
        /// Arrays and objects are nested deeper than the limit.
        public static let depth = Code(value: .depth)
        /// The text is longer than the limit.
        public static let size = Code(value: .size)
        /// A value is of another type than the reader expects.
        public static let type = Code(value: .type)
        /// A required key or array element is absent.
        public static let missing = Code(value: .missing)
        /// A number does not fit into the type that the reader expects.
        public static let range = Code(value: .range)
        /// A Swift value cannot be written as JSON.
        public static let unencodable = Code(value: .unencodable)
        /// A value has the right JSON type, but the type that reads it refused it.
        public static let invalid = Code(value: .invalid)

        /// The name of the code.
        public var description: String { self.value.rawValue }
    }

    /// The kind of error.
    public var code: Code
    /// What was wrong, without the place.
    public var message: String
    /// Where in the document, such as `volume.tags[2]`; empty for the whole document.
    public var path: String
    /// The byte at which reading stopped, for errors in the text itself.
    public var offset: Int?
    /// The error thrown by the type that was read or written, if any.
    public var cause: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The kind of error.
    ///   - message: What was wrong, without the place.
    ///   - path: Where in the document; empty for the whole document.
    ///   - offset: The byte at which reading stopped.
    ///   - cause: The error thrown by the type that was read or written.
    public init(code: Code, message: String, path: String = "", offset: Int? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.path = path
        self.offset = offset
        self.cause = cause
    }

    /// The place and what was wrong, in one line.
    public var description: String { self.description(of: "key") }

    /// The place and what was wrong, in one line, with a name of the caller's for what the path leads to.
    ///
    ///     error.description(of: "argument")  // argument 'size': expected an integer, found a string
    ///
    /// - Parameter noun: What the path leads to, such as `argument`.
    /// - Returns: The line.
    public func description(of noun: String) -> String {
        if !self.path.isEmpty {
            return self.code == .missing
                ? "\(noun) '\(self.path)' \(self.message)" : "\(noun) '\(self.path)': \(self.message)"
        }
        guard let offset = self.offset else { return self.message }
        return "\(self.message) (at byte \(offset))"
    }
}

/// How much of a peer's JSON is accepted.
public struct JSONLimits: Hashable, Sendable {
    /// The deepest nesting of arrays and objects that is read or written; 256 by default, never above 512.
    ///
    /// Reading and writing recurse, so this is what keeps a hostile document from exhausting the stack.
    public var maximumDepth: Int {
        didSet { self.maximumDepth = Self.clamped(self.maximumDepth) }
    }

    /// The longest text that is read, in bytes; 128 MiB by default, which is RabbitMQ's own limit.
    public var maximumSize: Int

    /// The limits used where none are given.
    public static let `default` = JSONLimits()

    /// Creates limits.
    ///
    /// - Parameters:
    ///   - maximumDepth: The deepest nesting; brought into 1 to 512.
    ///   - maximumSize: The longest text in bytes.
    public init(maximumDepth: Int = 256, maximumSize: Int = 128 << 20) {
        self.maximumDepth = Self.clamped(maximumDepth)
        self.maximumSize = maximumSize
    }

    private static func clamped(_ depth: Int) -> Int { min(max(depth, 1), 512) }

    func check(size: Int) throws(JSONError) {
        // Offsets of decoded documents are kept in 32 bits.
        guard size <= min(self.maximumSize, Int(Int32.max)) else {
            throw JSONError(
                code: .size,
                message: "the text has \(size) bytes, more than the limit of \(self.maximumSize)"
            )
        }
    }
}
