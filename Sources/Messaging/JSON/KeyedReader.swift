// The containers that types read from. Each only finds the token and asks the source for its value.

struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let source: DecodingSource
    let object: ObjectTokens

    var codingPath: [any CodingKey] { self.source.codingPath(of: self.object.token) }

    var allKeys: [Key] { self.source.keys(of: self.object).compactMap { Key(stringValue: $0) } }

    func contains(_ key: Key) -> Bool { self.source.find(key.stringValue, in: self.object) != nil }

    func decodeNil(forKey key: Key) throws -> Bool { self.source.isNull(at: try self.token(key)) }

    private func token(_ key: Key) throws -> Int {
        guard let token = self.source.find(key.stringValue, in: self.object) else {
            throw self.missing(key)
        }
        return token
    }

    private func missing(_ key: any CodingKey) -> DecodingError {
        .keyNotFound(key, .init(codingPath: self.codingPath, debugDescription: "is missing"))
    }

    /// The token of a member that is there and not null.
    private func tokenIfPresent(_ key: Key) -> Int? {
        guard let token = self.source.find(key.stringValue, in: self.object), !self.source.isNull(at: token) else {
            return nil
        }
        return token
    }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try self.source.bool(at: self.token(key)) }

    func decode(_ type: String.Type, forKey key: Key) throws -> String { try self.source.string(at: self.token(key)) }

    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try self.source.double(at: self.token(key)) }

    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try self.source.float(at: self.token(key)) }

    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try self.source.integer(at: self.token(key)) }

    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try self.source.integer(at: self.token(key)) }

    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 {
        try self.source.integer(at: self.token(key))
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try self.source.value(type, at: self.token(key))
    }

    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? {
        try self.tokenIfPresent(key).map { try self.source.bool(at: $0) }
    }

    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? {
        try self.tokenIfPresent(key).map { try self.source.string(at: $0) }
    }

    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? {
        try self.tokenIfPresent(key).map { try self.source.double(at: $0) }
    }

    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? {
        try self.tokenIfPresent(key).map { try self.source.float(at: $0) }
    }

    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: Int128.Type, forKey key: Key) throws -> Int128? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent(_ type: UInt128.Type, forKey key: Key) throws -> UInt128? {
        try self.tokenIfPresent(key).map { try self.source.integer(at: $0) }
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        // An optional dynamic value or raw text is nil for null like any other.
        try self.tokenIfPresent(key).map { try self.source.value(type, at: $0) }
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try self.source.keyed(by: type, at: self.token(key))
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try self.source.unkeyed(at: self.token(key))
    }

    func superDecoder() throws -> any Decoder {
        guard let token = self.source.find(JSONKey.super.stringValue, in: self.object) else {
            throw self.missing(JSONKey.super)
        }
        return ValueReader(source: self.source, token: token)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        ValueReader(source: self.source, token: try self.token(key))
    }
}
