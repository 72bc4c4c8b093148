extension JSONValue: Codable {
    /// Reads any value.
    ///
    /// This module's decoder keeps it exactly; others as far as they can.
    public init(from decoder: any Decoder) throws {
        if let reader = decoder as? ValueReader {
            self = try reader.source.dynamicValue(at: reader.token)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = Self.attempt({ try container.decode(Bool.self) }) {
            self = .bool(value)
        } else if let value = Self.attempt({ try container.decode(Int.self) }) {
            self = .integer(value)
        } else if let value = Self.attempt({ try container.decode(UInt64.self) }) {
            self.init(value)
        } else if let value = Self.attempt({ try container.decode(Double.self) }) {
            self = .double(value)
        } else if let value = Self.attempt({ try container.decode(String.self) }) {
            self = .string(value)
        } else if let value = Self.attempt({ try container.decode([JSONValue].self) }) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// Another decoder does not tell what a value is: all that is left is to try.
    private static func attempt<Value>(_ read: () throws -> Value) -> Value? {
        try? read()
    }

    /// Writes any value.
    ///
    /// This module's encoder keeps it exactly; others as far as they can.
    public func encode(to encoder: any Encoder) throws {
        if let scope = encoder as? EncodingScope {
            return try scope.writeOnly(self)
        }
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .bigInteger(let value):
            if let integer = UInt64(exactly: value) {
                try container.encode(integer)
            } else {
                try container.encode(Double(value))
            }
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// Creates the dynamic value of an encodable one.
    ///
    /// - Parameter value: The value.
    /// - Throws: ``JSONError/Code/unencodable``, ``JSONError/Code/depth``.
    public init(encoding value: some Encodable) throws(JSONError) {
        try self.init(parsing: WireEncoder().encode(value))
    }

    /// Reads the value as one of a type.
    ///
    /// - Parameter type: The type.
    /// - Returns: The value.
    /// - Throws: ``JSONError`` with the path to what did not fit.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(JSONError) -> Value {
        try WireDecoder().decode(type, from: self.serialized())
    }
}

extension RawJSON: Codable {
    /// Takes the text of any value.
    public init(from decoder: any Decoder) throws {
        if let reader = decoder as? ValueReader {
            self = try reader.decode(RawJSON.self)
        } else {
            try self.init(JSONValue(from: decoder))
        }
    }

    /// Writes the text into its place.
    public func encode(to encoder: any Encoder) throws {
        if let scope = encoder as? EncodingScope {
            try scope.writeOnly(self)
        } else {
            try self.value().encode(to: encoder)
        }
    }
}
