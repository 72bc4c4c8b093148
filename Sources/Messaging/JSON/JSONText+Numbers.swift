extension JSONText {
    /// The value of a checked integer, or `nil` if it does not fit.
    @inline(__always)
    static func integer<Integer: FixedWidthInteger>(
        _ base: UnsafePointer<UInt8>,
        from start: Int,
        to end: Int
    ) -> Integer? {
        let isNegative = base[start] == JSONByte.minus
        var index = isNegative ? start &+ 1 : start
        if end &- index <= 18 {
            // Eighteen digits always fit into 64 bits.
            var value: Int64 = 0
            while index < end {
                value = value &* 10 &+ Int64(base[index] &- JSONByte.zero)
                index &+= 1
            }
            return Integer(exactly: isNegative ? 0 &- value : value)
        }
        return self.wideInteger(base, from: index, to: end, isNegative: isNegative)
    }

    private static func wideInteger<Integer: FixedWidthInteger>(
        _ base: UnsafePointer<UInt8>,
        from start: Int,
        to end: Int,
        isNegative: Bool
    ) -> Integer? {
        // Counting down from zero reaches the lowest number, which has no positive counterpart.
        if isNegative, !Integer.isSigned { return nil }
        var value: Integer = 0
        for index in start..<end {
            guard let digit = Integer(exactly: base[index] &- JSONByte.zero) else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedAgain) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !overflowed, !overflowedAgain else { return nil }
            value = sum
        }
        return value
    }

    /// The double nearest to a checked number.
    ///
    /// A number of at most 2^53 scaled by at most 10^22 has an exact mantissa and an exact power, so that one division or
    /// multiplication rounds correctly. Everything else is left to the standard library.
    static func double(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Double {
        let isNegative = base[start] == JSONByte.minus
        var index = isNegative ? start &+ 1 : start
        var mantissa: UInt64 = 0
        var scale = 0
        var isFraction = false
        let limit: UInt64 = 1 << 53
        while index < end {
            let byte = base[index]
            if byte == UInt8(ascii: ".") {
                isFraction = true
            } else if byte | 0x20 == UInt8(ascii: "e") {
                break
            } else {
                guard mantissa < limit / 10 else { return self.slowDouble(base, from: start, to: end) }
                mantissa = mantissa &* 10 &+ UInt64(byte &- JSONByte.zero)
                if isFraction { scale &-= 1 }
            }
            index &+= 1
        }
        if index < end {
            guard let exponent = self.exponent(base, from: index &+ 1, to: end) else {
                return self.slowDouble(base, from: start, to: end)
            }
            scale &+= exponent
        }
        let magnitude: Double
        switch scale {
        case 0: magnitude = Double(mantissa)
        case 1...22: magnitude = Double(mantissa) * self.powersOfTen[scale]
        case -22 ... -1: magnitude = Double(mantissa) / self.powersOfTen[0 &- scale]
        default: return self.slowDouble(base, from: start, to: end)
        }
        return isNegative ? -magnitude : magnitude
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// A small exponent, or `nil` for one of more than four digits.
    private static func exponent(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
        var index = start
        let isNegative = base[index] == JSONByte.minus
        if isNegative || base[index] == UInt8(ascii: "+") { index &+= 1 }
        guard end &- index <= 4 else { return nil }
        var value = 0
        while index < end {
            value = value &* 10 &+ Int(base[index] &- JSONByte.zero)
            index &+= 1
        }
        return isNegative ? 0 &- value : value
    }

    private static func slowDouble(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Double {
        let text = String(decoding: UnsafeBufferPointer(start: base + start, count: end - start), as: UTF8.self)
        // The scanner has checked the grammar, which is a part of the standard library's.
        return Double(text) ?? .nan
    }

    /// The double nearest to a number token of any kind.
    @inline(__always)
    static func double(_ base: UnsafePointer<UInt8>, _ number: JSONNumberToken) -> Double {
        switch number.kind {
        case .integer, .decimal: self.double(base, from: number.start, to: number.end)
        case .notANumber: .nan
        case .positiveInfinity: .infinity
        case .negativeInfinity: -.infinity
        }
    }
}
