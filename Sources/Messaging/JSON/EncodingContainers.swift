// The containers that types write to. Each only passes on to its scope.

struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }

    func encodeNil(forKey key: Key) throws { try self.scope.write(key) { $0.writeNull() } }

    func encode(_ value: Bool, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: String, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Double, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Float, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int8, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int16, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int32, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int64, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: Int128, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt8, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt16, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt32, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt64, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: UInt128, forKey key: Key) throws { try self.scope.write(key) { $0.write(value) } }

    func encode(_ value: some Encodable, forKey key: Key) throws { try self.scope.write(value, key) }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        self.scope.insert(key).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        self.scope.insert(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { self.scope.insert(JSONKey.super) }

    func superEncoder(forKey key: Key) -> any Encoder { self.scope.insert(key) }
}

/// No key, for elements and single values.
private let noKey: JSONKey? = nil

struct UnkeyedWriter: UnkeyedEncodingContainer {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }
    var count: Int { self.scope.count }

    func encodeNil() throws { try self.scope.write(noKey) { $0.writeNull() } }

    func encode(_ value: Bool) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: String) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Double) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Float) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int8) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int16) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int32) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int64) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int128) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt8) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt16) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt32) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt64) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt128) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: some Encodable) throws { try self.scope.write(value, noKey) }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        self.scope.insert(noKey).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { self.scope.insert(noKey).unkeyedContainer() }

    func superEncoder() -> any Encoder { self.scope.insert(noKey) }
}

struct SingleValueWriter: SingleValueEncodingContainer {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }

    func encodeNil() throws { try self.scope.write(noKey) { $0.writeNull() } }

    func encode(_ value: Bool) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: String) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Double) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Float) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int8) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int16) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int32) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int64) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: Int128) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt8) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt16) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt32) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt64) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: UInt128) throws { try self.scope.write(noKey) { $0.write(value) } }

    func encode(_ value: some Encodable) throws { try self.scope.write(value, noKey) }
}
