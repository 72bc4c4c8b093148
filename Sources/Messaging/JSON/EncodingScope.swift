/// The place of one value in the output; what its `encode(to:)` is handed.
final class EncodingScope: Encoder {
    private enum Shape {
        case empty, keyed, unkeyed, single
    }

    /// Where a value stands in the one around it.
    enum Place {
        case whole
        case key(String)
        case index(Int)

        init(_ key: String?, _ index: Int?) {
            self = key.map { .key($0) } ?? index.map { .index($0) } ?? .whole
        }
    }

    let output: EncodingOutput
    private let parent: EncodingScope?
    private let place: Place
    /// The way to a scope without a parent.
    private let rootPath: [any CodingKey]
    /// The containers around this value.
    private let depth: Int
    /// The number of open scopes of the output while this one is the innermost.
    private let openScopes: Int
    private var shape = Shape.empty
    private(set) var count = 0

    /// The scope of a whole document.
    init(output: EncodingOutput) {
        self.output = output
        self.parent = nil
        self.place = .whole
        self.rootPath = []
        self.depth = 0
        self.openScopes = 0
    }

    /// The scope of a value inside of `parent`'s.
    private init(parent: EncodingScope, place: Place) {
        self.output = parent.output
        self.parent = parent
        self.place = place
        self.rootPath = []
        self.depth = parent.innerDepth
        self.openScopes = parent.openScopes + 1
    }

    /// The scope of a container that is filled later, into an output of its own.
    ///
    /// The outer output holds it, so that a reference to its parent would be a cycle.
    private init(output: EncodingOutput, outer: EncodingScope, place: Place) {
        self.output = output
        self.parent = nil
        self.place = place
        self.rootPath = outer.codingPath
        self.depth = outer.innerDepth
        self.openScopes = output.openScopes
    }

    private var innerDepth: Int { self.shape == .keyed || self.shape == .unkeyed ? self.depth + 1 : self.depth }

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    var codingPath: [any CodingKey] {
        var path: [any CodingKey] = []
        var root: [any CodingKey] = []
        var scope: EncodingScope? = self
        while let current = scope {
            root = current.rootPath
            switch current.place {
            case .whole: break
            case .key(let key): path.append(JSONKey(stringValue: key))
            case .index(let index): path.append(JSONKey(intValue: index))
            }
            scope = current.parent
        }
        return root + path.reversed()
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
    ///
    /// Keys come as text, as the containers of other modules' types are never specialised and every generic step on the
    /// way costs more than the value itself.
    @inline(__always)
    private func begin(_ key: String?) throws {
        guard self.output.openScopes == self.openScopes else {
            throw self.misuse("is written to after the value that it belongs to was finished")
        }
        if self.count > 0 {
            guard self.shape != .single else { throw self.misuse("gets a second value where one is allowed") }
            self.output.writer.write(byte: JSONByte.comma)
        }
        self.count &+= 1
        if let key { self.output.writer.write(key: key) }
    }

    /// Writes a scalar.
    @inline(__always)
    func write(_ key: String?, _ body: (inout JSONWriter) -> Void) throws {
        try self.begin(key)
        body(&self.output.writer)
    }

    /// Writes a value of any type.
    ///
    /// After an error nothing of it is left.
    func write<Value: Encodable>(_ value: Value, _ key: String?) throws {
        if Value.self == String.self {
            return try self.write(key) { $0.write(unsafeBitCast(value, to: String.self)) }
        }
        if Value.self == Int.self { return try self.write(key) { $0.write(unsafeBitCast(value, to: Int.self)) } }
        if Value.self == Double.self { return try self.write(key) { $0.write(unsafeBitCast(value, to: Double.self)) } }
        if Value.self == RawJSON.self {
            return try self.write(key) { $0.write(unsafeBitCast(value, to: RawJSON.self)) }
        }
        if Value.self == JSONValue.self {
            return try self.write(key) { $0.write(unsafeBitCast(value, to: JSONValue.self)) }
        }
        let start = self.output.writer.count
        let count = self.count
        try self.begin(key)
        do {
            try self.writeScoped(value, at: .init(key, self.shape == .unkeyed ? count : nil))
        } catch {
            self.output.truncate(to: start)
            self.count = count
            throw error
        }
    }

    /// Writes the whole document.
    func write(_ value: some Encodable) throws {
        try self.write(value, nil)
    }

    private func writeScoped(_ value: some Encodable, at place: Place) throws {
        let child = EncodingScope(parent: self, place: place)
        // Types that wrap others take a scope without adding to the depth of the document.
        guard child.depth <= self.output.maximumDepth, child.openScopes < 2048 else { throw self.output.tooDeep }
        self.output.openScopes = child.openScopes
        defer { self.output.openScopes = self.openScopes }
        try value.encode(to: child)
        child.close()
    }

    /// Writes a value of this module's as the only one of this scope.
    func writeOnly(_ value: some Encodable) throws {
        self.open(.single)
        try self.write(value, nil)
    }

    /// Keeps a place for a container that is filled later.
    func insert(_ key: String?) -> EncodingScope {
        let index = self.count
        do {
            try self.begin(key)
        } catch {
            self.output.failure = self.output.failure ?? error
        }
        let writer = JSONWriter(like: self.output.writer)
        let output = EncodingOutput(writer: writer, maximumDepth: self.output.maximumDepth)
        output.openScopes = 1
        let scope = EncodingScope(output: output, outer: self, place: .init(key, index))
        self.output.insert(scope)
        return scope
    }

    // MARK: - Misuse

    private func misuse(_ what: String) -> EncodingError {
        EncodingError.invalidValue(self, .init(codingPath: self.codingPath, debugDescription: "the encoder \(what)"))
    }

    private func fail(_ what: String) {
        self.output.failure = self.output.failure ?? self.misuse(what)
    }
}
