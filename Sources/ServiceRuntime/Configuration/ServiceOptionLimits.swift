public import Messaging

/// Which values of an option's type are valid, so that help, samples and errors can say it.
public struct ServiceOptionLimits: Sendable, Hashable, CustomStringConvertible {
    /// The least value; `nil` where there is no limit.
    public var least: JSONValue?
    /// The greatest value; `nil` where there is no limit.
    public var greatest: JSONValue?
    /// The only values; empty where there are others.
    public var choices: [JSONValue] = []

    /// Whether any value of the type is valid.
    public var isEmpty: Bool { self.least == nil && self.greatest == nil && self.choices.isEmpty }

    /// What follows `must be`: `between 1 and 65535`, `at least 0`, `one of PLAIN, EXTERNAL`; empty where there are no limits.
    public var description: String {
        if !self.choices.isEmpty {
            return "one of " + self.choices.map(\.shownText).joined(separator: ", ")
        }
        return switch (self.least, self.greatest) {
        case (let least?, let greatest?): "between \(least) and \(greatest)"
        case (let least?, nil): "at least \(least)"
        case (nil, let greatest?): "at most \(greatest)"
        case (nil, nil): ""
        }
    }
}

extension JSONValue {
    /// A string without its quotes, anything else as JSON.
    var shownText: String { self.stringValue ?? self.description }
}
