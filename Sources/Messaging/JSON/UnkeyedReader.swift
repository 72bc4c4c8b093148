/// The elements of an array, one after the other.
struct UnkeyedReader: UnkeyedDecodingContainer {
    private let source: DecodingSource
    private let array: Int
    private let end: Int
    /// The token of the next element.
    private var token: Int
    private(set) var currentIndex = 0

    init(source: DecodingSource, array: Int) {
        self.source = source
        self.array = array
        self.token = array + 1
        self.end = source.tokens.next(after: array)
    }

    var codingPath: [any CodingKey] { self.source.codingPath(of: self.array) }
    var isAtEnd: Bool { self.token >= self.end }

    var count: Int? {
        var count = self.currentIndex
        var token = self.token
        while token < self.end {
            count += 1
            token = self.source.tokens.next(after: token)
        }
        return count
    }

    mutating func decodeNil() throws -> Bool {
        guard self.source.isNull(at: try self.current()) else { return false }
        self.advance()
        return true
    }

    private func current() throws -> Int {
        guard self.token < self.end else {
            let path = self.codingPath + [JSONKey(intValue: self.currentIndex)]
            let error = JSONError(code: .missing, message: "is missing")
            throw DecodingError.valueNotFound(
                Any.self,
                .init(codingPath: path, debugDescription: error.message, underlyingError: error)
            )
        }
        return self.token
    }

    private mutating func advance() {
        self.token = self.source.tokens.next(after: self.token)
        self.currentIndex += 1
    }

    /// Reads the next element; one that cannot be read is not passed over.
    @inline(__always)
    private mutating func next<Value>(_ read: (DecodingSource, Int) throws -> Value) throws -> Value {
        let value = try read(self.source, try self.current())
        self.advance()
        return value
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try self.next { try $0.bool(at: $1) } }

    mutating func decode(_ type: String.Type) throws -> String { try self.next { try $0.string(at: $1) } }

    mutating func decode(_ type: Double.Type) throws -> Double { try self.next { try $0.double(at: $1) } }

    mutating func decode(_ type: Float.Type) throws -> Float { try self.next { try $0.float(at: $1) } }

    mutating func decode(_ type: Int.Type) throws -> Int { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: Int8.Type) throws -> Int8 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: Int16.Type) throws -> Int16 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: Int32.Type) throws -> Int32 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: Int64.Type) throws -> Int64 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: Int128.Type) throws -> Int128 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt.Type) throws -> UInt { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try self.next { try $0.integer(at: $1) } }

    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try self.next { try $0.integer(at: $1) } }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try self.next { try $0.value(type, at: $1) }
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try self.next { try $0.keyed(by: type, at: $1) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try self.next { try $0.unkeyed(at: $1) }
    }

    mutating func superDecoder() throws -> any Decoder {
        try self.next { ValueReader(source: $0, token: $1) }
    }
}
