/// One value; what its `init(from:)` is handed.
struct ValueReader: Decoder, SingleValueDecodingContainer {
    let source: DecodingSource
    let token: Int

    var codingPath: [any CodingKey] { self.source.codingPath(of: self.token) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try self.source.keyed(by: type, at: self.token)
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try self.source.unkeyed(at: self.token) }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { self.source.isNull(at: self.token) }

    func decode(_ type: Bool.Type) throws -> Bool { try self.source.bool(at: self.token) }

    func decode(_ type: String.Type) throws -> String { try self.source.string(at: self.token) }

    func decode(_ type: Double.Type) throws -> Double { try self.source.double(at: self.token) }

    func decode(_ type: Float.Type) throws -> Float { try self.source.float(at: self.token) }

    func decode(_ type: Int.Type) throws -> Int { try self.source.integer(at: self.token) }

    func decode(_ type: Int8.Type) throws -> Int8 { try self.source.integer(at: self.token) }

    func decode(_ type: Int16.Type) throws -> Int16 { try self.source.integer(at: self.token) }

    func decode(_ type: Int32.Type) throws -> Int32 { try self.source.integer(at: self.token) }

    func decode(_ type: Int64.Type) throws -> Int64 { try self.source.integer(at: self.token) }

    func decode(_ type: Int128.Type) throws -> Int128 { try self.source.integer(at: self.token) }

    func decode(_ type: UInt.Type) throws -> UInt { try self.source.integer(at: self.token) }

    func decode(_ type: UInt8.Type) throws -> UInt8 { try self.source.integer(at: self.token) }

    func decode(_ type: UInt16.Type) throws -> UInt16 { try self.source.integer(at: self.token) }

    func decode(_ type: UInt32.Type) throws -> UInt32 { try self.source.integer(at: self.token) }

    func decode(_ type: UInt64.Type) throws -> UInt64 { try self.source.integer(at: self.token) }

    func decode(_ type: UInt128.Type) throws -> UInt128 { try self.source.integer(at: self.token) }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try self.source.value(type, at: self.token)
    }
}
