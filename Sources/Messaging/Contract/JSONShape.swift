/// What a JSON value looks like: its kind, and the shapes of what it holds.
///
/// Written as JSON it is a schema in the way of OpenAPI: `{"type": "object", "properties": {…}, "required": […]}`.
public struct JSONShape: Sendable, Hashable {
    /// The kinds of JSON values.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Any value, or one whose shape cannot be told.
        case any
        /// `null`: nothing.
        case null
        /// `true` or `false`.
        case boolean
        /// A whole number.
        case integer
        /// Any number.
        case number
        /// A text.
        case string
        /// A list of values of one shape.
        case array
        /// An object with known members.
        case object
        /// An object whose names are data and whose values have one shape.
        case map
    }

    /// The kind.
    public var kind: Kind
    /// Whether the value may be `null`, and as a member be left out.
    public var isOptional = false
    /// The shape of the elements of an array, or of the values of a map.
    public var element: JSONShape? {
        get { self.elements.first }
        set { self.elements = newValue.map { [$0] } ?? [] }
    }
    /// The members of an object, by their names.
    public var members: [String: JSONShape] = [:]
    /// Whether an object may have members that are not told here, since the type could not be read to its end.
    public var isIncomplete = false

    /// One at most; a value cannot hold another one of its own type directly.
    private var elements: [JSONShape] = []

    /// Creates the shape of a value without parts.
    ///
    /// - Parameter kind: The kind.
    public init(_ kind: Kind) {
        self.kind = kind
    }

    /// Any value.
    public static let any = JSONShape(.any)
    /// Nothing.
    public static let null = JSONShape(.null)

    /// A list.
    ///
    /// - Parameter element: The shape of its elements.
    /// - Returns: The shape of the list.
    public static func array(of element: JSONShape) -> JSONShape {
        var shape = JSONShape(.array)
        shape.element = element
        return shape
    }

    /// An object whose names are data.
    ///
    /// - Parameter value: The shape of its values.
    /// - Returns: The shape of the object.
    public static func map(of value: JSONShape) -> JSONShape {
        var shape = JSONShape(.map)
        shape.element = value
        return shape
    }

    /// An object with known members.
    ///
    /// - Parameter members: Their shapes, by name.
    /// - Returns: The shape of the object.
    public static func object(_ members: [String: JSONShape]) -> JSONShape {
        var shape = JSONShape(.object)
        shape.members = members
        return shape
    }

    /// The same shape for a value that may be missing.
    public var optional: JSONShape {
        var shape = self
        shape.isOptional = true
        return shape
    }
}

extension JSONShape: Codable {
    private enum CodingKeys: String, CodingKey {
        case type, properties, required, items, additionalProperties, nullable, incomplete
    }

    /// Reads a schema; a type that is not known here is taken for any.
    ///
    /// - Parameter decoder: What the schema is read from.
    /// - Throws: `DecodingError` where it is no schema.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let type = try container.decodeIfPresent(String.self, forKey: .type)
        self.init(type.flatMap { Kind(rawValue: $0) } ?? .any)
        self.isOptional = try container.decodeIfPresent(Bool.self, forKey: .nullable) ?? false
        self.isIncomplete = try container.decodeIfPresent(Bool.self, forKey: .incomplete) ?? false
        self.members = try container.decodeIfPresent([String: JSONShape].self, forKey: .properties) ?? [:]
        self.element = try container.decodeIfPresent(JSONShape.self, forKey: .items)
        if let value = try container.decodeIfPresent(JSONShape.self, forKey: .additionalProperties) {
            self.kind = .map
            self.element = value
        }
    }

    /// Writes the schema.
    ///
    /// - Parameter encoder: What it is written to.
    /// - Throws: What the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self.kind {
        case .any: break
        case .map: try container.encode(Kind.object.rawValue, forKey: .type)
        default: try container.encode(self.kind.rawValue, forKey: .type)
        }
        if self.kind == .object {
            try container.encode(self.members, forKey: .properties)
            let required = self.members.filter { !$0.value.isOptional }.keys.sorted()
            if !required.isEmpty { try container.encode(required, forKey: .required) }
        }
        try container.encodeIfPresent(self.element, forKey: self.kind == .map ? .additionalProperties : .items)
        if self.isOptional { try container.encode(true, forKey: .nullable) }
        if self.isIncomplete { try container.encode(true, forKey: .incomplete) }
    }
}

extension JSONShape: CustomStringConvertible {
    /// The shape in one line, such as `{name: string?, size: integer}`.
    public var description: String {
        let text =
            switch self.kind {
            case .array: "[\(self.element ?? .any)]"
            case .map: "{*: \(self.element ?? .any)}"
            case .object:
                "{"
                    + (self.members.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
                    + (self.isIncomplete ? ["…"] : [])).joined(separator: ", ") + "}"
            default: self.kind.rawValue
            }
        return self.isOptional ? text + "?" : text
    }
}
