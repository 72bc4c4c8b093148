public import Logging
public import Messaging

/// A type that options can have.
public protocol ServiceOptionValue: Sendable, Equatable {
    /// What a value looks like, for help and errors, such as `a whole number`.
    static var optionKind: String { get }

    /// Reads the text of a command line or an environment variable; `nil` where it is no such value.
    init?(optionText: String)

    /// The text of a value from a configuration file, or `nil` where it is of another kind.
    static func optionText(from json: JSONValue) -> String?

    /// The value as `service_config` answers it; a secret masks itself.
    var optionJSON: JSONValue { get }

    /// The text that ``init(optionText:)`` reads as this value; a secret's own.
    var optionText: String { get }

    /// Whether the value must not be shown, not even in an error about it.
    static var isSecret: Bool { get }
}

extension ServiceOptionValue {
    /// What ``optionJSON`` holds, without quotes.
    public var optionText: String { self.optionJSON.shownText }

    /// Only ``Secret`` is one.
    public static var isSecret: Bool { false }
}

extension String: ServiceOptionValue {
    /// A text.
    public static var optionKind: String { "a text" }
    /// Takes any text.
    public init?(optionText: String) { self = optionText }
    /// Takes a string.
    public static func optionText(from json: JSONValue) -> String? { json.stringValue }
    /// The text.
    public var optionJSON: JSONValue { .string(self) }
}

extension Int: ServiceOptionValue {
    /// A whole number.
    public static var optionKind: String { "a whole number" }
    /// Reads a decimal number.
    public init?(optionText: String) { self.init(optionText, radix: 10) }
    /// Takes a whole number.
    public static func optionText(from json: JSONValue) -> String? { json.intValue.map { String($0) } }
    /// The number.
    public var optionJSON: JSONValue { .integer(self) }
}

extension Double: ServiceOptionValue {
    /// A number.
    public static var optionKind: String { "a number" }
    /// Reads a finite number.
    public init?(optionText: String) {
        guard let value = Double(optionText), value.isFinite else { return nil }
        self = value
    }
    /// Takes a number.
    public static func optionText(from json: JSONValue) -> String? { json.doubleValue.map { String($0) } }
    /// The number.
    public var optionJSON: JSONValue { .double(self) }
}

extension Bool: ServiceOptionValue {
    /// True or false.
    public static var optionKind: String { "true or false" }
    /// Reads `true`, `yes`, `on` and `1`, and their opposites.
    public init?(optionText: String) {
        switch optionText.lowercased() {
        case "true", "yes", "on", "1": self = true
        case "false", "no", "off", "0": self = false
        default: return nil
        }
    }
    /// Takes a boolean.
    public static func optionText(from json: JSONValue) -> String? { json.boolValue.map { String($0) } }
    /// The truth.
    public var optionJSON: JSONValue { .bool(self) }
}

extension Duration: ServiceOptionValue {
    /// A number of seconds.
    public static var optionKind: String { "a number of seconds" }
    /// Reads seconds, which may be a fraction; up to a hundred years.
    public init?(optionText: String) {
        guard let seconds = Double(optionText: optionText), seconds.magnitude <= 3_155_760_000 else { return nil }
        self = .seconds(seconds)
    }
    /// Takes a number.
    public static func optionText(from json: JSONValue) -> String? { Double.optionText(from: json) }
    /// The seconds.
    public var optionJSON: JSONValue {
        let seconds = self / .seconds(1)
        return Int(exactly: seconds).map { .integer($0) } ?? .double(seconds)
    }
}

extension Logger.Level: ServiceOptionValue {
    /// A level.
    public static var optionKind: String { "a level" }
    /// Reads a level's name.
    public init?(optionText: String) { self.init(rawValue: optionText.lowercased()) }
    /// Takes a string.
    public static func optionText(from json: JSONValue) -> String? { json.stringValue }
    /// The name.
    public var optionJSON: JSONValue { .string(self.rawValue) }
}

extension Secret: ServiceOptionValue {
    /// A text.
    public static var optionKind: String { "a text" }
    /// Takes any text; what looks like a URL shows all but its passwords.
    public init?(optionText: String) {
        self = optionText.contains("://") ? Secret(url: optionText) : Secret(optionText)
    }
    /// Takes a string.
    public static func optionText(from json: JSONValue) -> String? { json.stringValue }
    /// The mask.
    public var optionJSON: JSONValue { .string(self.masked) }
    /// The secret itself.
    public var optionText: String { self.reveal() }
    /// It is.
    public static var isSecret: Bool { true }
}

extension Array: ServiceOptionValue where Element: ServiceOptionValue {
    /// Several of the elements' kind, between commas.
    public static var optionKind: String { "a list, between commas, each \(Element.optionKind)" }
    /// Reads what stands between commas; white space around an element does not count, and neither does a comma at the end.
    public init?(optionText: String) {
        var parts = optionText.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
        while parts.last?.isEmpty == true { parts.removeLast() }
        self = []
        for part in parts {
            guard let element = Element(optionText: part) else { return nil }
            self.append(element)
        }
    }
    /// Takes an array, and also the text that stands for one.
    public static func optionText(from json: JSONValue) -> String? {
        guard case .array(let elements) = json else { return json.stringValue }
        let texts = elements.compactMap { Element.optionText(from: $0) }
        // An element with a comma in it would be taken for two.
        guard texts.count == elements.count, !texts.contains(where: { $0.contains(",") }) else { return nil }
        return texts.joined(separator: ",")
    }
    /// An array.
    public var optionJSON: JSONValue { .array(self.map(\.optionJSON)) }
    /// The elements between commas.
    public var optionText: String { self.map(\.optionText).joined(separator: ",") }
    /// Whether its elements are secret.
    public static var isSecret: Bool { Element.isSecret }
}

extension Optional: ServiceOptionValue where Wrapped: ServiceOptionValue {
    /// What the value looks like if there is one.
    public static var optionKind: String { Wrapped.optionKind }
    /// Reads a value; an empty text is none.
    public init?(optionText: String) {
        guard !optionText.isEmpty else {
            self = .none
            return
        }
        guard let value = Wrapped(optionText: optionText) else { return nil }
        self = .some(value)
    }
    /// Takes what the value takes, and null.
    public static func optionText(from json: JSONValue) -> String? {
        json == .null ? "" : Wrapped.optionText(from: json)
    }
    /// The value, or null.
    public var optionJSON: JSONValue { self?.optionJSON ?? .null }
    /// The value's text, or none.
    public var optionText: String { self?.optionText ?? "" }
    /// Whether the value would be secret.
    public static var isSecret: Bool { Wrapped.isSecret }
}
