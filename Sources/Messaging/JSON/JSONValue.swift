/// Any JSON value, including what Python writes beyond the standard.
///
/// Integers of any size are kept exactly, numbers with a point or an exponent are doubles, and `NaN`, `Infinity` and
/// `-Infinity` are read and written as Python's bare words (wire contract 3.5).
///
///     let arguments: JSONValue = ["name": "data", "size": 10]
///     arguments["size"]?.intValue  // 10
public enum JSONValue: Hashable, Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// An integer that fits into `Int`.
    case integer(Int)
    /// An integer that does not.
    case bigInteger(JSONBigInteger)
    /// A number with a point or an exponent, or one of the words for what is not a number.
    case double(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object. Of equal keys in a text the last one counts.
    case object([String: JSONValue])
}

// MARK: - Access

extension JSONValue {
    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// The value of a boolean, else `nil`.
    public var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The value of a whole number that fits, such as `2` and `2.0`, else `nil`.
    public var intValue: Int? {
        switch self {
        case .integer(let value): value
        case .bigInteger(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The nearest double of a number, else `nil`.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .bigInteger(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The value of a string, else `nil`.
    public var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The elements of an array, else `nil`.
    public var arrayValue: [JSONValue]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    /// The members of an object, else `nil`.
    public var objectValue: [String: JSONValue]? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    /// The member of an object, or `nil` if there is none or this is no object.
    ///
    /// - Parameter key: The member's key.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    /// The element of an array, or `nil` if there is none or this is no array.
    ///
    /// - Parameter index: The element's position, counted from zero.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// Creates the value of an integer of any fixed width.
    ///
    /// - Parameter integer: The integer.
    public init(_ integer: some FixedWidthInteger) {
        if let value = Int(exactly: integer) {
            self = .integer(value)
        } else {
            self = .bigInteger(JSONBigInteger(integer))
        }
    }

    /// The name of the value's type, with its article, for messages.
    public var kindDescription: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .bigInteger: "an integer"
        case .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

// MARK: - Literals

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
    /// Creates `null`.
    ///
    /// Where an optional value is meant, as in `flag ? nil : value`, the compiler may take `nil` for `null`: write
    /// `.null` or `.none` there to say which it is.
    public init(nilLiteral: ()) { self = .null }

    /// Creates a boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// Creates an integer.
    public init(integerLiteral value: Int) { self = .integer(value) }
}

extension JSONValue: ExpressibleByFloatLiteral, ExpressibleByStringInterpolation {
    /// Creates a number.
    public init(floatLiteral value: Double) { self = .double(value) }

    /// Creates a string.
    public init(stringLiteral value: String) { self = .string(value) }
}

extension JSONValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// Creates an array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// Creates an object; of equal keys the last one counts.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}

// MARK: - Text

extension JSONValue: CustomStringConvertible {
    /// Reads a JSON text.
    ///
    /// - Parameters:
    ///   - bytes: The text in UTF-8.
    ///   - limits: How much is accepted.
    /// - Throws: ``JSONError/Code/syntax``, ``JSONError/Code/depth``, ``JSONError/Code/size``.
    public init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = .default) throws(JSONError) {
        self = try withJSONBytes(of: bytes, limits: limits) { buffer throws(JSONError) in
            var parser = try JSONParser(buffer, limits: limits)
            return try parser.parseDocument()
        }
    }

    /// Reads a JSON text.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - limits: How much is accepted.
    /// - Throws: ``JSONError/Code/syntax``, ``JSONError/Code/depth``, ``JSONError/Code/size``.
    public init(parsing text: String, limits: JSONLimits = .default) throws(JSONError) {
        try self.init(parsing: text.utf8, limits: limits)
    }

    /// Writes the value as a JSON text without white space.
    ///
    /// - Parameters:
    ///   - sortedKeys: Whether members are written in the order of their keys, so that equal values give equal texts.
    ///   - asciiOnly: Whether everything beyond ASCII is escaped, as Python does by default.
    /// - Returns: The text.
    public func serialized(sortedKeys: Bool = false, asciiOnly: Bool = true) -> [UInt8] {
        var writer = JSONWriter(asciiOnly: asciiOnly)
        writer.write(self, sortedKeys: sortedKeys)
        return writer.finish()
    }

    /// The JSON text with sorted keys.
    public var description: String {
        String(decoding: self.serialized(sortedKeys: true, asciiOnly: false), as: UTF8.self)
    }
}
