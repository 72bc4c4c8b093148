/// The tokens of an object, ready to be searched.
struct ObjectTokens {
    let token: Int
    fileprivate let lastKey: Int
    /// The values by key, for an object of many keys.
    fileprivate let index: [String: Int]?
}

/// A document while types read it.
///
/// It borrows the bytes of the caller for the time of one decoding. Confined to that call, except for what a type keeps
/// of its decoder, which gets a copy of the bytes first.
final class DecodingSource {
    private var base: UnsafePointer<UInt8>
    private let count: Int
    private var ownedBytes: UnsafeMutablePointer<UInt8>?
    let tokens: TokenList
    /// The same bytes where they can be shared, so that raw texts are slices of them.
    private let shared: ArraySlice<UInt8>?
    private let limits: JSONLimits
    /// Where the document stands in the one that it is a part of, if it is.
    private let parent: (source: DecodingSource, token: Int)?

    /// Takes the bytes that `tokens` were made from.
    init(
        _ buffer: UnsafeBufferPointer<UInt8>,
        tokens: consuming TokenList,
        shared: ArraySlice<UInt8>? = nil,
        limits: JSONLimits,
        parent: (source: DecodingSource, token: Int)? = nil
    ) {
        self.base = tokens.base
        self.count = buffer.count
        self.tokens = tokens
        self.shared = shared
        self.limits = limits
        self.parent = parent
    }

    deinit {
        self.ownedBytes?.deallocate()
    }

    /// Copies the bytes, as the caller's are about to go.
    func takeOwnership() {
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: self.count)
        copy.initialize(from: self.base, count: self.count)
        self.ownedBytes = copy
        self.base = UnsafePointer(copy)
    }

    // MARK: - Containers

    /// Objects of more keys than this are searched by a dictionary.
    private static let linearSearchLimit = 24

    func keyed<Key: CodingKey>(by type: Key.Type, at token: Int) throws -> KeyedDecodingContainer<Key> {
        if self.isUnread(token) { return try self.ownPart(at: token).keyed(by: type, at: 0) }
        guard self.tokens[token].kind == .object else { throw self.mismatch("an object", at: token) }
        return KeyedDecodingContainer(KeyedReader<Key>(source: self, object: self.object(at: token)))
    }

    func unkeyed(at token: Int) throws -> any UnkeyedDecodingContainer {
        if self.isUnread(token) { return try self.ownPart(at: token).unkeyed(at: 0) }
        guard self.tokens[token].kind == .array else { throw self.mismatch("an array", at: token) }
        return UnkeyedReader(source: self, array: token)
    }

    @inline(__always)
    private func isUnread(_ token: Int) -> Bool {
        let kind = self.tokens[token].kind
        return kind == .unreadArray || kind == .unreadObject
    }

    /// Reads a container of which only the extent is known; it borrows the same bytes.
    private func part(at token: Int) throws(JSONError) -> DecodingSource {
        let (start, end) = self.extent(of: self.tokens[token])
        let buffer = UnsafeBufferPointer(start: self.base + start, count: end - start)
        return DecodingSource(
            buffer,
            tokens: try TokenList.reading(buffer, limits: self.limits, depth: 1),
            shared: self.sharedSlice(from: start, to: end),
            limits: self.limits,
            parent: (self, token)
        )
    }

    /// The same with its own bytes, for a reader whose end cannot be seen.
    private func ownPart(at token: Int) throws(JSONError) -> DecodingSource {
        let part = try self.part(at: token)
        part.takeOwnership()
        return part
    }

    private func sharedSlice(from start: Int, to end: Int) -> ArraySlice<UInt8>? {
        guard let shared = self.shared else { return nil }
        return shared[(shared.startIndex + start)..<(shared.startIndex + end)]
    }

    private func object(at token: Int) -> ObjectTokens {
        let lastKey = Int(self.tokens[token].lastKey)
        var count = 0
        var key = lastKey
        while key != 0, count <= Self.linearSearchLimit {
            count &+= 1
            key = self.tokens.next(after: key)
        }
        guard key != 0 else { return ObjectTokens(token: token, lastKey: lastKey, index: nil) }
        var index: [String: Int] = [:]
        key = lastKey
        while key != 0 {
            let name = self.text(at: key)
            if index[name] == nil { index[name] = key &+ 1 }
            key = self.tokens.next(after: key)
        }
        return ObjectTokens(token: token, lastKey: lastKey, index: index)
    }

    /// The value of a key, the last one if it is repeated.
    @inline(__always)
    func find(_ name: String, in object: ObjectTokens) -> Int? {
        if let index = object.index { return index[name] }
        return name.withUTF8Bytes { expected in
            var key = object.lastKey
            while key != 0 {
                if self.matches(self.tokens[key], expected) { return key &+ 1 }
                key = self.tokens.next(after: key)
            }
            return nil
        }
    }

    @inline(__always)
    private func matches(_ key: JSONToken, _ expected: UnsafeBufferPointer<UInt8>) -> Bool {
        if key.kind == .escapedString { return self.matchesEscaped(key, expected) }
        let count = Int(key.end &- key.start)
        guard count == expected.count else { return false }
        let text = self.base + Int(key.start)
        var index = 0
        while index < count {
            guard text[index] == expected[index] else { return false }
            index &+= 1
        }
        return true
    }

    private func matchesEscaped(_ key: JSONToken, _ expected: UnsafeBufferPointer<UInt8>) -> Bool {
        let token = JSONStringToken(start: Int(key.start), end: Int(key.end), hasEscapes: true)
        return JSONText.string(self.base, token).utf8.elementsEqual(expected)
    }

    /// The keys of an object in their order, each once.
    func keys(of object: ObjectTokens) -> [String] {
        if let index = object.index { return index.sorted { $0.value < $1.value }.map(\.key) }
        var keys: [String] = []
        var key = object.lastKey
        while key != 0 {
            let name = self.text(at: key)
            if !keys.contains(name) { keys.append(name) }
            key = self.tokens.next(after: key)
        }
        return keys.reversed()
    }

    private func text(at token: Int) -> String {
        let token = self.tokens[token]
        return JSONText.string(
            self.base,
            .init(start: Int(token.start), end: Int(token.end), hasEscapes: token.kind == .escapedString)
        )
    }

    // MARK: - Values

    @inline(__always)
    func isNull(at token: Int) -> Bool { self.tokens[token].kind == .null }

    func bool(at token: Int) throws -> Bool {
        switch self.tokens[token].kind {
        case .true: return true
        case .false: return false
        default: throw self.mismatch("a boolean", at: token)
        }
    }

    func string(at token: Int) throws -> String {
        let kind = self.tokens[token].kind
        guard kind == .string || kind == .escapedString else { throw self.mismatch("a string", at: token) }
        return self.text(at: token)
    }

    func integer<Integer: FixedWidthInteger>(at index: Int) throws -> Integer {
        let token = self.tokens[index]
        let value: Integer?
        switch token.kind {
        case .integer: value = JSONText.integer(self.base, from: Int(token.start), to: Int(token.end))
        case .decimal:
            let number = try self.double(at: index)
            guard number == number.rounded(.towardZero) else { throw self.mismatch("an integer", at: index) }
            value = Integer(exactly: number)
        default: throw self.mismatch("an integer", at: index)
        }
        if let value { return value }
        let text = self.rawText(of: token)
        let shown = text.count <= 40 ? text : "an integer of \(text.count) digits"
        throw self.corrupted(
            .range,
            "\(shown) is out of range, which is \(Integer.min) to \(Integer.max)",
            at: index
        )
    }

    func double(at index: Int) throws -> Double {
        let token = self.tokens[index]
        switch token.kind {
        case .integer, .decimal: return JSONText.double(self.base, from: Int(token.start), to: Int(token.end))
        case .notANumber: return .nan
        case .positiveInfinity: return .infinity
        case .negativeInfinity: return -.infinity
        default: throw self.mismatch("a number", at: index)
        }
    }

    func float(at index: Int) throws -> Float {
        let double = try self.double(at: index)
        let float = Float(double)
        if float.isInfinite, !double.isInfinite {
            throw self.corrupted(.range, "\(double) is out of range", at: index)
        }
        return float
    }

    func value<Value: Decodable>(_ type: Value.Type, at token: Int) throws -> Value {
        // Generic code, such as an array's, comes here with types that need no decoder.
        if type == String.self { return unsafeBitCast(try self.string(at: token), to: type) }
        if type == Int.self { return unsafeBitCast(try self.integer(at: token) as Int, to: type) }
        if type == Double.self { return unsafeBitCast(try self.double(at: token), to: type) }
        if type == JSONValue.self { return unsafeBitCast(try self.dynamicValue(at: token), to: type) }
        if type == RawJSON.self { return unsafeBitCast(RawJSON(checked: self.rawBytes(at: token)), to: type) }
        if self.isUnread(token) {
            var part = try self.part(at: token)
            defer {
                // As for the whole document: a type may have kept what borrows the caller's bytes.
                if !isKnownUniquelyReferenced(&part) { part.takeOwnership() }
            }
            return try part.value(type, at: 0)
        }
        return try Value(from: ValueReader(source: self, token: token))
    }

    func dynamicValue(at token: Int) throws -> JSONValue {
        let bytes = UnsafeBufferPointer(start: self.base, count: self.count)
        let (start, end) = self.extent(of: self.tokens[token])
        // The text was checked against the limits of this decoding when the tokens were made.
        return try JSONValue(parsing: bytes[start..<end], limits: JSONLimits(maximumDepth: 512, maximumSize: .max))
    }

    private func rawBytes(at token: Int) -> ArraySlice<UInt8> {
        let (start, end) = self.extent(of: self.tokens[token])
        return self.sharedSlice(from: start, to: end)
            ?? Array(UnsafeBufferPointer(start: self.base + start, count: end - start))[...]
    }

    private func rawText(of token: JSONToken) -> String {
        let (start, end) = self.extent(of: token)
        return String(decoding: UnsafeBufferPointer(start: self.base + start, count: end - start), as: UTF8.self)
    }

    /// Where the text of a value begins and ends, quotes included.
    private func extent(of token: JSONToken) -> (start: Int, end: Int) {
        let quotes = token.kind == .string || token.kind == .escapedString ? 1 : 0
        return (Int(token.start) - quotes, Int(token.end) + quotes)
    }

    // MARK: - Errors

    /// The way from the document to a value, found by walking down: only errors ask for it.
    func codingPath(of target: Int) -> [any CodingKey] {
        var path = self.parent.map { $0.source.codingPath(of: $0.token) } ?? []
        var current = 0
        while current != target {
            let container = self.tokens[current]
            var child = current + 1
            var position = 0
            var name: String?
            while true {
                if container.kind == .object {
                    name = self.text(at: child)
                    child += 1
                }
                // A container's tokens are in order, so that the first that reaches past the target holds it.
                if self.tokens.next(after: child) > target { break }
                child = self.tokens.next(after: child)
                position += 1
            }
            path.append(name.map { JSONKey(stringValue: $0) } ?? JSONKey(intValue: position))
            current = child
        }
        return path
    }

    private func mismatch(_ expected: String, at index: Int) -> DecodingError {
        let kind = self.tokens[index].kind
        let context = DecodingError.Context(
            codingPath: self.codingPath(of: index),
            debugDescription: "expected \(expected), found \(kind.description)"
        )
        return kind == .null ? .valueNotFound(Any.self, context) : .typeMismatch(Any.self, context)
    }

    private func corrupted(_ code: JSONError.Code, _ message: String, at index: Int) -> DecodingError {
        .dataCorrupted(
            .init(
                codingPath: self.codingPath(of: index),
                debugDescription: message,
                underlyingError: JSONError(code: code, message: message)
            )
        )
    }
}
