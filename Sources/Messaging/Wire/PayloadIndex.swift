/// Notes where the members of a payload lie while its text is walked over: nothing is decoded, and of most requests and
/// replies little ever is.
struct PayloadIndex: JSONVisitor, ~Copyable {
    /// Where the value of a member lies, quotes included, and what it is; all zero if there is no such member.
    struct Field {
        var start: UInt32 = 0
        var end: UInt32 = 0
        var kind = JSONToken.Kind.null

        @inline(__always)
        init() {}

        @inline(__always)
        init(_ kind: JSONToken.Kind, from start: Int, to end: Int) {
            // No text is longer than what fits into 32 bits.
            self.start = UInt32(truncatingIfNeeded: start)
            self.end = UInt32(truncatingIfNeeded: end)
            self.kind = kind
        }

        /// A value inside of an object begins behind its brace.
        @inline(__always)
        var isPresent: Bool { self.start != 0 }
    }

    /// One entry of the request's context.
    struct ContextEntry {
        /// The whole key, with the prefix.
        fileprivate(set) var key: JSONStringToken
        fileprivate(set) var value: Field
    }

    /// The keys that are known.
    private enum Name {
        case unknown, method, args, namespace, version, messageID, replyQueue, timeout, uniqueID, host, result, failure
        case ending, context
    }

    static let contextPrefix: StaticString = "_context_"

    private(set) var method = Field()
    private(set) var args = Field()
    private(set) var namespace = Field()
    private(set) var version = Field()
    private(set) var messageID = Field()
    private(set) var replyQueue = Field()
    private(set) var timeout = Field()
    private(set) var uniqueID = Field()
    private(set) var host = Field()
    private(set) var result = Field()
    private(set) var failure = Field()
    private(set) var ending = Field()
    private(set) var context: [ContextEntry] = []
    /// The members of `args`, if they are an object.
    private(set) var arguments: [JSONToken]?

    /// The first byte of the text; to be used only while that is walked over.
    private let base: UnsafePointer<UInt8>?
    private var depth = 0
    /// The key whose value comes next.
    private var key = JSONStringToken(start: 0, end: 0, hasEscapes: false)
    private var name = Name.unknown
    /// The container that is the value of a member.
    private var opened = Field()
    private var isInArguments = false
    private var argumentIndex = MemberIndex(at: 0)

    /// Begins with a text whose first byte is at `base`.
    init(_ base: UnsafePointer<UInt8>? = nil) {
        self.base = base
    }

    // MARK: - Walking

    @inline(__always)
    mutating func key(_ token: JSONStringToken) {
        if self.depth == 1 {
            self.key = token
            self.name = Self.name(of: token, in: self.base)
        } else if self.isInArguments {
            self.argumentIndex.key(token)
        }
    }

    @inline(__always)
    mutating func string(_ token: JSONStringToken) {
        if self.depth == 1 {
            let kind: JSONToken.Kind = token.hasEscapes ? .escapedString : .string
            self.take(Field(kind, from: token.start &- 1, to: token.end &+ 1))
        } else if self.isInArguments {
            self.argumentIndex.string(token)
        }
    }

    @inline(__always)
    mutating func scalar(_ kind: JSONToken.Kind, from start: Int, to end: Int) {
        if self.depth == 1 {
            self.take(Field(kind, from: start, to: end))
        } else if self.isInArguments {
            self.argumentIndex.scalar(kind, from: start, to: end)
        }
    }

    @inline(__always)
    mutating func open(_ kind: JSONToken.Kind, at start: Int) {
        self.depth &+= 1
        if self.depth == 2 {
            self.opened = Field(kind, from: start, to: start)
            if kind == .object, self.name == .args {
                self.isInArguments = true
                self.argumentIndex = MemberIndex(at: start)
            }
        }
        if self.isInArguments { self.argumentIndex.open(kind, at: start) }
    }

    @inline(__always)
    mutating func close(at end: Int) {
        self.depth &-= 1
        if self.isInArguments { self.argumentIndex.close(at: end) }
        if self.depth == 1 {
            self.opened.end = UInt32(truncatingIfNeeded: end)
            self.take(self.opened)
        }
    }

    /// Takes a member that another reader has found.
    mutating func take(_ key: JSONStringToken, _ value: RawRange) {
        guard let base = self.base else { return }
        self.key = key
        self.name = Self.name(of: key, in: base)
        let kind: JSONToken.Kind
        switch JSONKind(firstByte: base[value.start]) {
        case .string: kind = .escapedString
        case .object: kind = .unreadObject
        case .array: kind = .unreadArray
        case .null: kind = .null
        case .boolean: kind = base[value.start] == UInt8(ascii: "t") ? .true : .false
        case .number: kind = .decimal
        }
        self.take(Field(kind, from: value.start, to: value.end))
    }

    /// Keys that are not known are passed over; of repeated keys the last one counts.
    private mutating func take(_ value: Field) {
        switch self.name {
        case .unknown: break
        case .method: self.method = value
        case .args:
            self.args = value
            self.arguments = self.isInArguments ? self.argumentIndex.tokens : nil
            self.isInArguments = false
        case .namespace: self.namespace = value
        case .version: self.version = value
        case .messageID: self.messageID = value
        case .replyQueue: self.replyQueue = value
        case .timeout: self.timeout = value
        case .uniqueID: self.uniqueID = value
        case .host: self.host = value
        case .result: self.result = value
        case .failure: self.failure = value
        case .ending: self.ending = value
        case .context:
            if self.context.isEmpty { self.context.reserveCapacity(8) }
            self.context.append(ContextEntry(key: self.key, value: value))
        }
    }

    // MARK: - Names

    private static func name(of key: JSONStringToken, in base: UnsafePointer<UInt8>?) -> Name {
        guard let base else { return .unknown }
        guard key.hasEscapes else {
            return Self.name(UnsafeBufferPointer(start: base + key.start, count: key.end &- key.start))
        }
        var name = JSONText.string(base, key)
        return name.withUTF8 { Self.name($0) }
    }

    /// Finds a name by its length first: of those of one length at most three are compared.
    @inline(__always)
    private static func name(_ text: UnsafeBufferPointer<UInt8>) -> Name {
        guard let base = text.baseAddress else { return .unknown }
        switch text.count {
        case 4: return Self.begins(base, "args") ? .args : .unknown
        case 5: return Self.begins(base, "_host") ? .host : .unknown
        case 6:
            if Self.begins(base, "method") { return .method }
            if Self.begins(base, "result") { return .result }
            return Self.begins(base, "ending") ? .ending : .unknown
        case 7:
            if Self.begins(base, "_msg_id") { return .messageID }
            if Self.begins(base, "version") { return .version }
            return Self.begins(base, "failure") ? .failure : .unknown
        case 8:
            if Self.begins(base, "_reply_q") { return .replyQueue }
            return Self.begins(base, "_timeout") ? .timeout : .unknown
        case ..<9: return .unknown
        case 9 where Self.begins(base, "namespace"): return .namespace
        case 10 where Self.begins(base, "_unique_id"): return .uniqueID
        default: return Self.begins(base, Self.contextPrefix) ? .context : .unknown
        }
    }

    /// Whether the text at `base`, which is as long at least, begins with `expected`.
    @inline(__always)
    private static func begins(_ base: UnsafePointer<UInt8>, _ expected: StaticString) -> Bool {
        for index in 0..<expected.utf8CodeUnitCount where base[index] != expected.utf8Start[index] { return false }
        return true
    }
}
