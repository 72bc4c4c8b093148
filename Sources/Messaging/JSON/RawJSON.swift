/// A checked JSON text that is passed on without being decoded.
///
/// Arguments and results stay raw until somebody asks for a type: ``decode(_:limits:)`` reads a `Decodable` type straight
/// from the bytes, ``value(limits:)`` a dynamic value. A raw text is a slice of the message it came in and keeps that
/// message in memory.
public struct RawJSON: Sendable {
    /// The text in UTF-8, without white space around it.
    package let bytes: ArraySlice<UInt8>
    /// The members of an object, where they were noted when the text was checked.
    let members: [JSONToken]?

    /// Takes a text that a scanner or a writer of this module has produced.
    package init(checked bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.members = nil
    }

    /// Takes a text that a scanner of this module has checked, with what it has noted.
    init(checked bytes: ArraySlice<UInt8>, members: [JSONToken]?) {
        self.bytes = bytes
        self.members = members
    }

    /// Checks a text.
    ///
    /// - Parameters:
    ///   - bytes: The text in UTF-8.
    ///   - limits: How much is accepted.
    /// - Throws: ``JSONError/Code/syntax``, ``JSONError/Code/depth``, ``JSONError/Code/size``.
    public init(checking bytes: some Collection<UInt8>, limits: JSONLimits = .default) throws(JSONError) {
        let copy = Array(bytes)
        let extent = try withJSONBytes(of: copy, limits: limits) { buffer throws(JSONError) in
            var scanner = try JSONScanner(buffer, limits: limits)
            scanner.skipWhitespace()
            let start = scanner.position
            try scanner.skipValue()
            let end = scanner.position
            try scanner.expectEnd()
            return start..<end
        }
        self.init(checked: copy[extent])
    }

    /// Writes a value.
    ///
    /// - Parameter value: The value.
    /// - Throws: ``JSONError/Code/unencodable``, ``JSONError/Code/depth``.
    public init(encoding value: some Encodable) throws(JSONError) {
        if let raw = value as? RawJSON {
            self = raw
        } else {
            self.init(checked: try WireEncoder().encode(value)[...])
        }
    }

    /// Writes a dynamic value.
    ///
    /// - Parameter value: The value.
    public init(_ value: JSONValue) {
        self.init(checked: value.serialized()[...])
    }

    /// `null`.
    public static let null = RawJSON(checked: Array("null".utf8)[...])

    /// An object without members.
    public static let emptyObject = RawJSON(checked: Array("{}".utf8)[...])

    /// The text.
    public var text: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The kind of the value, known without reading it.
    package var kind: JSONKind { JSONKind(firstByte: self.bytes.first ?? 0) }

    /// Whether the value is `null`.
    public var isNull: Bool { self.kind == .null }

    /// Whether Python takes the value for false: `null`, `false`, zero, and an empty string, array or object.
    package var isFalsy: Bool {
        switch self.kind {
        case .null: return true
        case .boolean: return self.bytes.first == UInt8(ascii: "f")
        case .string: return self.bytes.count == 2
        case .number, .array, .object:
            // What is long cannot be any of them, but for the white space of an empty container and a zero's digits.
            guard self.bytes.count <= 32 else { return false }
        }
        do {
            switch try self.value() {
            case .integer(0), .double(0), .array([]), .object([:]): return true
            default: return false
            }
        } catch {
            // The text was checked when it was made.
            return false
        }
    }

    /// The value of a whole number of at most nine digits and without a sign; `nil` for all others.
    package var smallInteger: Int? {
        guard 1...9 ~= self.bytes.count else { return nil }
        var value = 0
        for byte in self.bytes {
            guard byte &- JSONByte.zero < 10 else { return nil }
            value = value &* 10 &+ Int(byte &- JSONByte.zero)
        }
        return value
    }

    /// The string if the value is one, else `nil`.
    package var stringValue: String? {
        guard self.kind == .string else { return nil }
        return self.bytes.withUnsafeBufferPointer { text in
            text.baseAddress.map { JSONText.string($0, JSONStringToken(quotedFrom: 0, to: text.count, in: $0)) }
        }
    }

    /// Reads the text as a dynamic value.
    ///
    /// - Parameter limits: How much is accepted.
    /// - Returns: The value.
    /// - Throws: ``JSONError/Code/depth``, ``JSONError/Code/size`` if these limits are narrower than those of the check.
    public func value(limits: JSONLimits = .default) throws(JSONError) -> JSONValue {
        try JSONValue(parsing: self.bytes, limits: limits)
    }

    /// Reads the text as a value of a type.
    ///
    /// - Parameters:
    ///   - type: The type.
    ///   - limits: How much is accepted.
    /// - Returns: The value.
    /// - Throws: ``JSONError`` with the path to what did not fit.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self,
        limits: JSONLimits = .default
    ) throws(JSONError) -> Value {
        if type == RawJSON.self { return unsafeBitCast(self, to: type) }
        return try WireDecoder(limits: limits).decode(type, from: self)
    }
}

/// The kind of a JSON value.
package enum JSONKind: Sendable {
    case null, boolean, number, string, array, object

    /// The kind of a checked text by its first byte.
    init(firstByte: UInt8) {
        switch firstByte {
        case JSONByte.quote: self = .string
        case JSONByte.openBrace: self = .object
        case JSONByte.openBracket: self = .array
        case UInt8(ascii: "t"), UInt8(ascii: "f"): self = .boolean
        case UInt8(ascii: "n"): self = .null
        default: self = .number
        }
    }

    /// The kind with its article, for messages.
    package var description: String {
        switch self {
        case .null: "null"
        case .boolean: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
