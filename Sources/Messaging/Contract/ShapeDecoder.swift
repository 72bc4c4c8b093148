/// What a type reads from while its shape is searched.
struct ShapeDecoder: Decoder, SingleValueDecodingContainer {
    let record: ShapeRecord
    let search: ShapeSearch
    let offer: ShapeSearch.Offer

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        self.record.note(JSONShape(.object))
        return KeyedDecodingContainer(ShapeMembers<Key>(decoder: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        self.record.note(JSONShape(.array))
        return ShapeElements(decoder: self)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    /// The decoder of a part of the value.
    func decoder(of part: ShapeRecord) -> ShapeDecoder {
        ShapeDecoder(record: part, search: self.search, offer: self.offer)
    }

    private func integer<Integer: FixedWidthInteger>() -> Integer {
        self.record.note(JSONShape(.integer))
        return Integer(clamping: self.offer.number)
    }

    func decodeNil() -> Bool {
        self.record.isOptional = true
        return false
    }

    func decode(_ type: Bool.Type) throws -> Bool {
        self.record.note(JSONShape(.boolean))
        return false
    }

    func decode(_ type: String.Type) throws -> String {
        self.record.note(JSONShape(.string))
        return self.offer.text
    }

    func decode(_ type: Double.Type) throws -> Double {
        self.record.note(JSONShape(.number))
        return Double(self.offer.number)
    }

    func decode(_ type: Float.Type) throws -> Float {
        self.record.note(JSONShape(.number))
        return Float(self.offer.number)
    }

    func decode(_ type: Int.Type) throws -> Int { self.integer() }

    func decode(_ type: Int8.Type) throws -> Int8 { self.integer() }

    func decode(_ type: Int16.Type) throws -> Int16 { self.integer() }

    func decode(_ type: Int32.Type) throws -> Int32 { self.integer() }

    func decode(_ type: Int64.Type) throws -> Int64 { self.integer() }

    func decode(_ type: Int128.Type) throws -> Int128 { self.integer() }

    func decode(_ type: UInt.Type) throws -> UInt { self.integer() }

    func decode(_ type: UInt8.Type) throws -> UInt8 { self.integer() }

    func decode(_ type: UInt16.Type) throws -> UInt16 { self.integer() }

    func decode(_ type: UInt32.Type) throws -> UInt32 { self.integer() }

    func decode(_ type: UInt64.Type) throws -> UInt64 { self.integer() }

    func decode(_ type: UInt128.Type) throws -> UInt128 { self.integer() }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let (shape, value) = self.search.sample(type)
        self.record.note(shape)
        guard let value else {
            throw DecodingError.valueNotFound(
                type,
                .init(codingPath: [], debugDescription: "no \(type) can be made up; let it conform to ContractExample")
            )
        }
        return value
    }
}

/// The members that a type asks for.
private struct ShapeMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: ShapeDecoder

    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { [] }

    private func part(_ key: some CodingKey) -> ShapeDecoder {
        self.decoder.decoder(of: self.decoder.record.member(key.stringValue))
    }

    /// Who asks can do without.
    func contains(_ key: Key) -> Bool {
        self.decoder.record.member(key.stringValue).isOptional = true
        return true
    }

    func decodeNil(forKey key: Key) throws -> Bool { self.part(key).decodeNil() }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try self.part(key).decode(type) }

    func decode(_ type: String.Type, forKey key: Key) throws -> String { try self.part(key).decode(type) }

    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try self.part(key).decode(type) }

    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try self.part(key).decode(type) }

    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try self.part(key).decode(type) }

    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try self.part(key).decode(type) }

    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try self.part(key).decode(type) }

    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try self.part(key).decode(type) }

    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try self.part(key).decode(type) }

    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try self.part(key).decode(type) }

    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try self.part(key).decode(type) }

    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try self.part(key).decode(type) }

    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try self.part(key).decode(type) }

    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try self.part(key).decode(type) }

    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try self.part(key).decode(type) }

    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 { try self.part(key).decode(type) }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try self.part(key).decode(type)
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        let part = self.part(key)
        part.record.isOptional = true
        part.record.note(self.decoder.search.shape(of: type))
        return nil
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try self.part(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try self.part(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { self.part(JSONKey.super) }

    func superDecoder(forKey key: Key) throws -> any Decoder { self.part(key) }
}

/// The elements that a type asks for: one, unless it wants more.
private struct ShapeElements: UnkeyedDecodingContainer {
    /// Enough for any tuple, and an end for a type that reads until it is refused.
    private static let limit = 64

    let decoder: ShapeDecoder
    private(set) var currentIndex = 0

    init(decoder: ShapeDecoder) { self.decoder = decoder }

    var codingPath: [any CodingKey] { [] }
    var count: Int? { nil }
    var isAtEnd: Bool { self.currentIndex > 0 }

    private mutating func part() throws -> ShapeDecoder {
        guard self.currentIndex < Self.limit else {
            throw DecodingError.valueNotFound(Any.self, .init(codingPath: [], debugDescription: "is missing"))
        }
        self.currentIndex += 1
        return self.decoder.decoder(of: self.decoder.record.appendElement())
    }

    mutating func decodeNil() throws -> Bool { false }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try self.part().decode(type) }

    mutating func decode(_ type: String.Type) throws -> String { try self.part().decode(type) }

    mutating func decode(_ type: Double.Type) throws -> Double { try self.part().decode(type) }

    mutating func decode(_ type: Float.Type) throws -> Float { try self.part().decode(type) }

    mutating func decode(_ type: Int.Type) throws -> Int { try self.part().decode(type) }

    mutating func decode(_ type: Int8.Type) throws -> Int8 { try self.part().decode(type) }

    mutating func decode(_ type: Int16.Type) throws -> Int16 { try self.part().decode(type) }

    mutating func decode(_ type: Int32.Type) throws -> Int32 { try self.part().decode(type) }

    mutating func decode(_ type: Int64.Type) throws -> Int64 { try self.part().decode(type) }

    mutating func decode(_ type: Int128.Type) throws -> Int128 { try self.part().decode(type) }

    mutating func decode(_ type: UInt.Type) throws -> UInt { try self.part().decode(type) }

    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try self.part().decode(type) }

    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try self.part().decode(type) }

    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try self.part().decode(type) }

    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try self.part().decode(type) }

    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try self.part().decode(type) }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try self.part().decode(type) }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try self.part().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try self.part().unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder { try self.part() }
}
