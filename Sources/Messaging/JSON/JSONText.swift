/// Turns the text of checked strings and numbers into values.
enum JSONText {
    @inline(__always)
    static func string(_ base: UnsafePointer<UInt8>, _ token: JSONStringToken) -> String {
        let count = token.end &- token.start
        if !token.hasEscapes {
            // Checked before, and ASCII: what the standard library would only find out again.
            let text = UnsafeBufferPointer(start: base + token.start, count: count)
            return String(copying: UTF8Span(unchecked: text.span, isKnownASCII: true))
        }
        // Every escape is longer than the UTF-8 of what it stands for.
        return String(unsafeUninitializedCapacity: count) { buffer in
            guard let output = buffer.baseAddress else { return 0 }
            return Self.unescapeAll(base + token.start, count: count, into: output)
        }
    }

    /// Writes the value of a checked string to `output`, which has room for `count` bytes, and returns its length.
    private static func unescapeAll(
        _ input: UnsafePointer<UInt8>,
        count: Int,
        into output: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var index = 0
        var written = 0
        while true {
            let end = JSONByte.endOfContent(input, from: index, to: count)
            (output + written).update(from: input + index, count: end &- index)
            written &+= end &- index
            guard end < count else { return written }
            let (read, added) = Self.unescape(input + end, count: count &- end, into: output + written)
            index = end &+ read
            written &+= added
        }
    }

    /// Writes what the checked escape at `input` stands for, and returns how much was read and written.
    ///
    /// Two escapes that are the halves of a surrogate pair are read together; `count` bytes may be looked at for that. A
    /// surrogate without its other half, which Python accepts and Swift's strings cannot hold, becomes U+FFFD.
    static func unescape(
        _ input: UnsafePointer<UInt8>,
        count: Int,
        into output: UnsafeMutablePointer<UInt8>
    ) -> (read: Int, written: Int) {
        let escape = input[1]
        guard escape == UInt8(ascii: "u") else {
            output[0] = Self.value(ofEscape: escape)
            return (2, 1)
        }
        var scalar = Self.codeUnit(input + 2) ?? 0
        var read = 6
        if scalar & 0xFC00 == 0xD800, count >= 12, input[6] == JSONByte.backslash, input[7] == UInt8(ascii: "u"),
            let low = Self.codeUnit(input + 8), low & 0xFC00 == 0xDC00
        {
            scalar = 0x1_0000 &+ (scalar & 0x3FF) << 10 &+ (low & 0x3FF)
            read = 12
        }
        return (read, Self.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}", into: output))
    }

    private static func value(ofEscape escape: UInt8) -> UInt8 {
        switch escape {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: escape
        }
    }

    /// The code unit of four hexadecimal digits, or `nil` if they are none.
    static func codeUnit(_ digits: UnsafePointer<UInt8>) -> UInt32? {
        guard let first = JSONByte.hexDigit(digits[0]), let second = JSONByte.hexDigit(digits[1]),
            let third = JSONByte.hexDigit(digits[2]), let fourth = JSONByte.hexDigit(digits[3])
        else { return nil }
        return first << 12 | second << 8 | third << 4 | fourth
    }

    private static func encode(_ scalar: Unicode.Scalar, into output: UnsafeMutablePointer<UInt8>) -> Int {
        var written = 0
        for byte in scalar.utf8 {
            output[written] = byte
            written &+= 1
        }
        return written
    }
}
