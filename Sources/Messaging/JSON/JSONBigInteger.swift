/// An integer of any size, kept as the digits that were written.
///
/// Python's integers are unbounded and travel in full. What fits into `Int` is read as ``JSONValue/integer(_:)``.
public struct JSONBigInteger: Hashable, Sendable, LosslessStringConvertible {
    /// The decimal digits, with `-` in front of a negative number.
    public let description: String

    /// Creates an integer from decimal digits.
    ///
    /// - Parameter description: Digits without leading zeros, with `-` in front of a negative number. Anything else
    ///   gives `nil`.
    public init?(_ description: String) {
        let digits = description.utf8.first == UInt8(ascii: "-") ? description.utf8.dropFirst() : description.utf8[...]
        guard let first = digits.first, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        if first == UInt8(ascii: "0") {
            guard digits.count == 1 else { return nil }
            self.description = "0"
        } else {
            self.description = description
        }
    }

    /// Creates an integer from one of a fixed width.
    ///
    /// - Parameter value: The value.
    public init(_ value: some FixedWidthInteger) {
        self.description = String(value)
    }

    /// Takes digits that the scanner has already checked.
    init(checked description: String) {
        self.description = description
    }
}

extension FixedWidthInteger {
    /// Creates an integer from one of any size, or `nil` if it does not fit.
    ///
    /// - Parameter integer: The integer.
    public init?(exactly integer: JSONBigInteger) {
        self.init(integer.description, radix: 10)
    }
}

extension Double {
    /// Creates the number nearest to an integer of any size; infinite if it is beyond the range.
    ///
    /// - Parameter integer: The integer.
    public init(_ integer: JSONBigInteger) {
        // Decimal digits always convert.
        self = Double(integer.description) ?? .nan
    }
}
