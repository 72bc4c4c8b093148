/// The place of one value in the output; what its `encode(to:)` is handed.
final class EncodingScope: Encoder {
    private enum Shape {
        case empty, keyed, unkeyed, single
    }

    let output: EncodingOutput
    private let parent: EncodingScope?
    private let key: (any CodingKey)?
    /// The containers around this value.
    private let depth: Int
    /// The number of open scopes of the output while this one is the innermost.
    private let openScopes: Int
    private var shape = Shape.empty
    private(set) var count = 0

    init(output: EncodingOutput, parent: EncodingScope?, key: (any CodingKey)?) {
        self.output = output
        self.parent = parent
        self.key = key
        if let parent {
            self.depth = parent.shape == .keyed || parent.shape == .unkeyed ? parent.depth + 1 : parent.depth
            self.openScopes = output === parent.output ? parent.openScopes + 1 : 1
        } else {
            self.depth = 0
            self.openScopes = 0
        }
    }

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    var codingPath: [any CodingKey] {
        var path: [any CodingKey] = []
        var scope: EncodingScope? = self
        while let current = scope {
            if let key = current.key { path.append(key) }
            scope = current.parent
        }
        return path.reversed()
    }

    // MARK: - Containers

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        self.open(.keyed)
        return KeyedEncodingContainer(KeyedWriter<Key>(scope: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        self.open(.unkeyed)
        return UnkeyedWriter(scope: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        self.open(.single)
        return SingleValueWriter(scope: self)
    }

    private func open(_ shape: Shape) {
        if self.shape == shape { return }
        guard self.shape == .empty, self.output.openScopes == self.openScopes else {
            self.fail("asks for containers of different kinds for one value")
            return
        }
        self.shape = shape
        if shape != .single, self.depth >= self.output.maximumDepth {
            self.output.failure = self.output.failure ?? self.output.tooDeep
        }
        switch shape {
        case .keyed: self.output.writer.write(byte: JSONByte.openBrace)
        case .unkeyed: self.output.writer.write(byte: JSONByte.openBracket)
        case .single, .empty: break
        }
    }

    /// Ends the value after its type has written what it has to write.
    private func close() {
        switch self.shape {
        case .keyed: self.output.writer.write(byte: JSONByte.closeBrace)
        case .unkeyed: self.output.writer.write(byte: JSONByte.closeBracket)
        case .single where self.count > 0: break
        case .single, .empty: self.output.writer.write(plain: "{}")
        }
    }

    /// Ends a container that was kept open until the end.
    func finish() throws {
        if let failure = self.output.failure { throw failure }
        self.close()
        for insert in self.output.inserts { try insert.scope.finish() }
    }

    // MARK: - Values

    /// Begins a member, an element, or the only value.
    @inline(__always)
    func begin(_ key: (some CodingKey)?) throws {
        guard self.output.openScopes == self.openScopes else {
            throw self.misuse("is written to after the value that it belongs to was finished")
        }
        if self.count > 0 {
            guard self.shape != .single else { throw self.misuse("gets a second value where one is allowed") }
            self.output.writer.write(byte: JSONByte.comma)
        }
        self.count &+= 1
        if let key { self.output.writer.write(key: key.stringValue) }
    }

    /// Writes a scalar.
    @inline(__always)
    func write(_ key: (some CodingKey)?, _ body: (inout JSONWriter) -> Void) throws {
        try self.begin(key)
        body(&self.output.writer)
    }

    /// Writes a value of any type. After an error nothing of it is left.
    func write<Value: Encodable>(_ value: Value, _ key: (some CodingKey)?) throws {
        let start = self.output.writer.count
        let count = self.count
        do {
            try self.begin(key)
            try self.write(value, at: key ?? (self.shape == .unkeyed ? JSONKey(intValue: count) : nil))
        } catch {
            self.output.truncate(to: start)
            self.count = count
            throw error
        }
    }

    /// Writes the whole document.
    func write(_ value: some Encodable) throws {
        try self.write(value, at: nil)
    }

    private func write<Value: Encodable>(_ value: Value, at key: (any CodingKey)?) throws {
        // Generic code, such as an array's, comes here with types that need no scope.
        if Value.self == String.self, let value = value as? String { return self.output.writer.write(value) }
        if Value.self == Int.self, let value = value as? Int { return self.output.writer.write(value) }
        if Value.self == Double.self, let value = value as? Double { return self.output.writer.write(value) }
        if Value.self == Bool.self, let value = value as? Bool { return self.output.writer.write(value) }
        if Value.self == RawJSON.self, let value = value as? RawJSON { return self.output.writer.write(value) }
        if Value.self == JSONValue.self, let value = value as? JSONValue { return self.output.writer.write(value) }
        let child = EncodingScope(output: self.output, parent: self, key: key)
        // Types that wrap others take a scope without adding to the depth of the document.
        guard child.depth <= self.output.maximumDepth, child.openScopes < 2048 else {
            throw self.output.tooDeep
        }
        self.output.openScopes = child.openScopes
        defer { self.output.openScopes = self.openScopes }
        try value.encode(to: child)
        child.close()
    }

    /// Writes a value of this module's as the only one of this scope.
    func writeOnly(_ value: some Encodable) throws {
        self.open(.single)
        try self.write(value, nil as JSONKey?)
    }

    /// Keeps a place for a container that is filled later.
    func insert(_ key: (some CodingKey)?) -> EncodingScope {
        let index = self.count
        do {
            try self.begin(key)
        } catch {
            self.output.failure = self.output.failure ?? error
        }
        return self.output.insert(parent: self, key: key ?? JSONKey(intValue: index))
    }

    // MARK: - Misuse

    private func misuse(_ what: String) -> EncodingError {
        EncodingError.invalidValue(self, .init(codingPath: self.codingPath, debugDescription: "the encoder \(what)"))
    }

    private func fail(_ what: String) {
        self.output.failure = self.output.failure ?? self.misuse(what)
    }
}
