// The containers that types write to. Each only passes on to its scope.

struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }

    func encodeNil(forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.writeNull() } }

    func encode(_ value: Bool, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: String, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Double, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Float, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int8, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int16, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int32, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int64, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: Int128, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt8, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt16, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt32, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt64, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: UInt128, forKey key: Key) throws { try self.scope.write(key.stringValue) { $0.write(value) } }

    func encode(_ value: some Encodable, forKey key: Key) throws { try self.scope.write(value, key.stringValue) }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        self.scope.insert(key.stringValue).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        self.scope.insert(key.stringValue).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { self.scope.insert(JSONKey.super.stringValue) }

    func superEncoder(forKey key: Key) -> any Encoder { self.scope.insert(key.stringValue) }
}

struct UnkeyedWriter: UnkeyedEncodingContainer {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }
    var count: Int { self.scope.count }

    func encodeNil() throws { try self.scope.write(nil) { $0.writeNull() } }

    func encode(_ value: Bool) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: String) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Double) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Float) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int8) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int16) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int32) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int64) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int128) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt8) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt16) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt32) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt64) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt128) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: some Encodable) throws { try self.scope.write(value, nil) }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        self.scope.insert(nil).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { self.scope.insert(nil).unkeyedContainer() }

    func superEncoder() -> any Encoder { self.scope.insert(nil) }
}

struct SingleValueWriter: SingleValueEncodingContainer {
    let scope: EncodingScope

    var codingPath: [any CodingKey] { self.scope.codingPath }

    func encodeNil() throws { try self.scope.write(nil) { $0.writeNull() } }

    func encode(_ value: Bool) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: String) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Double) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Float) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int8) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int16) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int32) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int64) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: Int128) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt8) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt16) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt32) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt64) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: UInt128) throws { try self.scope.write(nil) { $0.write(value) } }

    func encode(_ value: some Encodable) throws { try self.scope.write(value, nil) }
}
