/// One value, or one key, of a document that was read through once.
struct JSONToken {
    enum Kind: UInt8 {
        case null, `true`, `false`, integer, decimal, notANumber, positiveInfinity, negativeInfinity
        case string, escapedString, array, object
        /// Containers of which only the extent is known.
        case unreadArray, unreadObject
    }

    /// The first byte of the text; of strings, after the quote.
    var start: UInt32
    /// The byte after the text; of strings, the closing quote.
    var end: UInt32
    /// The token after this value and everything inside it; of keys, the key before it in the object, or zero.
    var next: UInt32
    /// Of objects, the last key, or zero if there is none.
    var lastKey: UInt32 = 0
    var kind: Kind
}

extension JSONToken {
    /// The token of a string or a key.
    init(_ token: JSONStringToken, next: Int) {
        // No text is longer than what fits into 32 bits.
        self.start = UInt32(truncatingIfNeeded: token.start)
        self.end = UInt32(truncatingIfNeeded: token.end)
        self.next = UInt32(truncatingIfNeeded: next)
        self.kind = token.hasEscapes ? .escapedString : .string
    }
}

/// The values of a document in the order of its text.
///
/// A key stands before its value, and leads back to the key before it: the first match from the end is the one that counts
/// when a key is repeated.
struct TokenList: ~Copyable {
    /// The first byte of the text.
    let base: UnsafePointer<UInt8>
    private var tokens: UnsafeMutablePointer<JSONToken>
    private var capacity: Int
    private var count = 0
    /// The innermost container that is still open; its token's `end` is the container around it.
    private var current = 0

    private init(base: UnsafePointer<UInt8>, capacity: Int) {
        self.base = base
        self.capacity = capacity
        self.tokens = .allocate(capacity: capacity)
    }

    /// Reads the whole text, which lies inside of `depth` containers.
    static func reading(
        _ buffer: UnsafeBufferPointer<UInt8>,
        limits: JSONLimits,
        depth: Int = 0
    ) throws(JSONError) -> TokenList {
        var scanner = try JSONScanner(buffer, limits: limits)
        var list = TokenList(base: scanner.base, capacity: min(scanner.end / 8 + 1, 4096))
        try scanner.walk(depth: depth, &list)
        try scanner.expectEnd()
        return list
    }

    /// Takes tokens that were made before, of which there is one at least.
    init(_ tokens: [JSONToken], base: UnsafePointer<UInt8>) {
        self.init(base: base, capacity: tokens.count)
        for token in tokens { self.append(token) }
    }

    deinit {
        self.tokens.deallocate()
    }

    /// A token; the root is the first, and every other index comes from a token.
    subscript(index: Int) -> JSONToken {
        @inline(__always) get { self.tokens[index] }
    }

    /// The token after a value and everything inside it; of a key, the key before it.
    @inline(__always)
    func next(after index: Int) -> Int { Int(self.tokens[index].next) }

    @inline(__always)
    private mutating func append(_ token: JSONToken) {
        if self.count == self.capacity { self.grow() }
        (self.tokens + self.count).initialize(to: token)
        self.count &+= 1
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<JSONToken>.allocate(capacity: self.capacity * 2)
        grown.moveInitialize(from: self.tokens, count: self.count)
        self.tokens.deallocate()
        self.tokens = grown
        self.capacity *= 2
    }
}

extension TokenList: JSONVisitor {
    @inline(__always)
    mutating func key(_ token: JSONStringToken) {
        let index = self.count
        self.append(JSONToken(token, next: Int(self.tokens[self.current].lastKey)))
        self.tokens[self.current].lastKey = UInt32(truncatingIfNeeded: index)
    }

    @inline(__always)
    mutating func string(_ token: JSONStringToken) {
        self.append(JSONToken(token, next: self.count &+ 1))
    }

    @inline(__always)
    mutating func scalar(_ kind: JSONToken.Kind, from start: Int, to end: Int) {
        self.append(
            JSONToken(
                start: UInt32(truncatingIfNeeded: start),
                end: UInt32(truncatingIfNeeded: end),
                next: UInt32(truncatingIfNeeded: self.count &+ 1),
                kind: kind
            )
        )
    }

    @inline(__always)
    mutating func open(_ kind: JSONToken.Kind, at start: Int) {
        let index = self.count
        self.append(
            JSONToken(
                start: UInt32(truncatingIfNeeded: start),
                end: UInt32(truncatingIfNeeded: self.current),
                next: 0,
                kind: kind
            )
        )
        self.current = index
    }

    @inline(__always)
    mutating func close(at end: Int) {
        let container = self.current
        self.current = Int(self.tokens[container].end)
        self.tokens[container].end = UInt32(truncatingIfNeeded: end)
        self.tokens[container].next = UInt32(truncatingIfNeeded: self.count)
    }
}

extension JSONToken.Kind {
    @inline(__always)
    init(_ number: JSONNumberToken.Kind) {
        switch number {
        case .integer: self = .integer
        case .decimal: self = .decimal
        case .notANumber: self = .notANumber
        case .positiveInfinity: self = .positiveInfinity
        case .negativeInfinity: self = .negativeInfinity
        }
    }

    /// The kind with its article, for messages.
    var description: String {
        switch self {
        case .null: "null"
        case .true, .false: "a boolean"
        case .integer: "an integer"
        case .decimal, .notANumber, .positiveInfinity, .negativeInfinity: "a number"
        case .string, .escapedString: "a string"
        case .array, .unreadArray: "an array"
        case .object, .unreadObject: "an object"
        }
    }
}
