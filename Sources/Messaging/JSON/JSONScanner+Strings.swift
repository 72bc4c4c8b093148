extension JSONScanner {
    /// Takes a string; the position is at its opening quote.
    @inline(__always)
    mutating func takeString() throws(JSONError) -> JSONStringToken {
        let start = self.position &+ 1
        let index = JSONByte.endOfPlainRun(self.base, from: start, to: self.end)
        if index < self.end, self.base[index] == JSONByte.quote {
            self.position = index &+ 1
            return JSONStringToken(start: start, end: index, hasEscapes: false)
        }
        return try self.takeString(from: start, at: index)
    }

    /// The rest of a string that holds more than printable ASCII.
    private mutating func takeString(from start: Int, at first: Int) throws(JSONError) -> JSONStringToken {
        var index = first
        var hasEscapes = false
        var isASCII = true
        while index < self.end {
            let byte = self.base[index]
            switch byte {
            case JSONByte.quote:
                if !isASCII { try self.checkUTF8(from: start, to: index) }
                self.position = index &+ 1
                return JSONStringToken(start: start, end: index, hasEscapes: hasEscapes)
            case JSONByte.backslash:
                hasEscapes = true
                index = try self.endOfEscape(at: index)
            case 0..<0x20:
                throw self.syntaxError("a control character (byte \(byte)) in a string must be escaped", at: index)
            default:
                if byte >= 0x80 { isASCII = false }
                index &+= 1
            }
            index = JSONByte.endOfPlainRun(self.base, from: index, to: self.end)
        }
        throw self.syntaxError("the string has no end", at: start - 1)
    }

    private func endOfEscape(at index: Int) throws(JSONError) -> Int {
        guard index &+ 1 < self.end else { throw self.syntaxError("the string has no end", at: index) }
        switch self.base[index &+ 1] {
        case JSONByte.quote, JSONByte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index &+ 2
        case UInt8(ascii: "u"):
            guard index &+ 6 <= self.end, Self.hexValue(self.base + (index + 2)) != nil else {
                throw self.syntaxError("'\\u' in a string must be followed by four hexadecimal digits", at: index)
            }
            return index &+ 6
        default:
            throw self.syntaxError("a backslash in a string is followed by something that is no escape", at: index)
        }
    }

    private func checkUTF8(from start: Int, to end: Int) throws(JSONError) {
        let text = UnsafeBufferPointer(start: self.base + start, count: end - start)
        do {
            _ = try UTF8Span(validating: text.span)
        } catch {
            throw self.syntaxError("a string is not valid UTF-8", at: start + error.byteOffsets.lowerBound)
        }
    }

    private static func hexValue(_ digits: UnsafePointer<UInt8>) -> UInt32? {
        guard let first = JSONByte.hexDigit(digits[0]), let second = JSONByte.hexDigit(digits[1]),
            let third = JSONByte.hexDigit(digits[2]), let fourth = JSONByte.hexDigit(digits[3])
        else { return nil }
        return first << 12 | second << 8 | third << 4 | fourth
    }

    /// The value of a string that was taken from this text.
    @inline(__always)
    func string(_ token: JSONStringToken) -> String {
        JSONText.string(self.base, token)
    }
}

/// Turns the text of checked strings and numbers into values.
enum JSONText {
    @inline(__always)
    static func string(_ base: UnsafePointer<UInt8>, _ token: JSONStringToken) -> String {
        let count = token.end &- token.start
        if !token.hasEscapes {
            return String(decoding: UnsafeBufferPointer(start: base + token.start, count: count), as: UTF8.self)
        }
        // Every escape is longer than the UTF-8 of what it stands for.
        return String(unsafeUninitializedCapacity: count) { buffer in
            guard let output = buffer.baseAddress else { return 0 }
            return Self.unescape(base + token.start, count: count, into: output)
        }
    }

    /// The bytes of a string whose value is itself a document.
    static func bytes(_ base: UnsafePointer<UInt8>, _ token: JSONStringToken) -> [UInt8] {
        let count = token.end &- token.start
        if !token.hasEscapes {
            return Array(UnsafeBufferPointer(start: base + token.start, count: count))
        }
        return Array(unsafeUninitializedCapacity: count) { buffer, written in
            guard let output = buffer.baseAddress else { return }
            written = Self.unescape(base + token.start, count: count, into: output)
        }
    }

    /// Writes the value of a checked string to `output`, which has room for `count` bytes, and returns its length.
    ///
    /// A surrogate without its other half, which Python accepts and Swift's strings cannot hold, becomes U+FFFD.
    private static func unescape(
        _ input: UnsafePointer<UInt8>,
        count: Int,
        into output: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var index = 0
        var written = 0
        while index < count {
            let end = JSONByte.endOfPlainRun(input, from: index, to: count)
            if end > index {
                (output + written).update(from: input + index, count: end &- index)
                written &+= end &- index
                index = end
                continue
            }
            guard input[index] == JSONByte.backslash else {
                output[written] = input[index]
                index &+= 1
                written &+= 1
                continue
            }
            let escape = input[index &+ 1]
            index &+= 2
            guard escape == UInt8(ascii: "u") else {
                output[written] = Self.value(ofEscape: escape)
                written &+= 1
                continue
            }
            var scalar = Self.codeUnit(input + index)
            index &+= 4
            if scalar & 0xFC00 == 0xD800, index &+ 6 <= count, input[index] == JSONByte.backslash,
                input[index &+ 1] == UInt8(ascii: "u")
            {
                let low = Self.codeUnit(input + (index + 2))
                if low & 0xFC00 == 0xDC00 {
                    scalar = 0x1_0000 &+ (scalar & 0x3FF) << 10 &+ (low & 0x3FF)
                    index &+= 6
                }
            }
            written &+= Self.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}", into: output + written)
        }
        return written
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

    private static func codeUnit(_ digits: UnsafePointer<UInt8>) -> UInt32 {
        var value: UInt32 = 0
        for index in 0..<4 { value = value << 4 | (JSONByte.hexDigit(digits[index]) ?? 0) }
        return value
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
