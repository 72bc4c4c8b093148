/// One value, or one key, of a document that was read through once.
struct JSONToken {
    enum Kind: UInt8 {
        case null, `true`, `false`, integer, decimal, notANumber, positiveInfinity, negativeInfinity
        case string, escapedString, array, object
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

/// The values of a document in the order of its text.
///
/// A key stands before its value, and leads back to the key before it: the first match from the end is the one that counts
/// when a key is repeated.
struct TokenList: ~Copyable {
    private var tokens: UnsafeMutablePointer<JSONToken>
    private var capacity: Int
    private var count = 0
    private var scanner: JSONScanner

    private init(_ scanner: JSONScanner) {
        self.scanner = scanner
        self.capacity = min(scanner.end / 8 + 1, 4096)
        self.tokens = .allocate(capacity: self.capacity)
    }

    /// Reads the whole text.
    static func reading(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) -> TokenList {
        var list = TokenList(try JSONScanner(buffer, limits: limits))
        try list.read(depth: 0)
        try list.scanner.expectEnd()
        return list
    }

    deinit {
        self.tokens.deallocate()
    }

    /// The first byte of the text.
    var base: UnsafePointer<UInt8> { self.scanner.base }

    /// A token; the root is the first, and every other index comes from a token.
    subscript(index: Int) -> JSONToken {
        @inline(__always) get { self.tokens[index] }
    }

    /// The token after a value and everything inside it; of a key, the key before it.
    @inline(__always)
    func next(after index: Int) -> Int { Int(self.tokens[index].next) }

    @inline(__always)
    private mutating func append(_ kind: JSONToken.Kind, from start: Int, to end: Int) {
        if self.count == self.capacity { self.grow() }
        (self.tokens + self.count).initialize(
            to: JSONToken(start: UInt32(start), end: UInt32(end), next: UInt32(self.count &+ 1), kind: kind)
        )
        self.count &+= 1
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<JSONToken>.allocate(capacity: self.capacity * 2)
        grown.moveInitialize(from: self.tokens, count: self.count)
        self.tokens.deallocate()
        self.tokens = grown
        self.capacity *= 2
    }

    private mutating func read(depth: Int) throws(JSONError) {
        switch self.scanner.peek() {
        case JSONByte.quote:
            let token = try self.scanner.takeString()
            self.append(token.hasEscapes ? .escapedString : .string, from: token.start, to: token.end)
        case JSONByte.openBrace:
            try self.readObject(depth: depth + 1)
        case JSONByte.openBracket:
            try self.readArray(depth: depth + 1)
        default:
            let start = self.scanner.position
            let kind: JSONToken.Kind =
                switch try self.scanner.takeScalar() {
                case .null: .null
                case .bool(let value): value ? .true : .false
                case .number(let number): JSONToken.Kind(number.kind)
                }
            self.append(kind, from: start, to: self.scanner.position)
        }
    }

    private mutating func readObject(depth: Int) throws(JSONError) {
        try self.scanner.checkDepth(depth)
        let object = self.count
        self.append(.object, from: self.scanner.position, to: 0)
        self.scanner.position &+= 1
        var lastKey: UInt32 = 0
        if !self.scanner.take(JSONByte.closeBrace) {
            repeat {
                let key = try self.scanner.takeKey()
                let index = self.count
                self.append(key.hasEscapes ? .escapedString : .string, from: key.start, to: key.end)
                self.tokens[index].next = lastKey
                lastKey = UInt32(index)
                try self.scanner.takeColon()
                try self.read(depth: depth)
            } while try self.scanner.takeSeparator(closing: JSONByte.closeBrace)
        }
        self.tokens[object].lastKey = lastKey
        self.close(object)
    }

    private mutating func readArray(depth: Int) throws(JSONError) {
        try self.scanner.checkDepth(depth)
        let array = self.count
        self.append(.array, from: self.scanner.position, to: 0)
        self.scanner.position &+= 1
        if !self.scanner.take(JSONByte.closeBracket) {
            repeat {
                try self.read(depth: depth)
            } while try self.scanner.takeSeparator(closing: JSONByte.closeBracket)
        }
        self.close(array)
    }

    private mutating func close(_ container: Int) {
        self.tokens[container].end = UInt32(self.scanner.position)
        self.tokens[container].next = UInt32(self.count)
    }
}

extension JSONToken.Kind {
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
        case .array: "an array"
        case .object: "an object"
        }
    }
}
