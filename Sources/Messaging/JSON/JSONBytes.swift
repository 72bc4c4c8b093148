/// Byte values and searches that the scanner and the writer share.
enum JSONByte {
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let openBracket = UInt8(ascii: "[")
    static let closeBracket = UInt8(ascii: "]")
    static let minus = UInt8(ascii: "-")
    static let zero = UInt8(ascii: "0")
    static let nine = UInt8(ascii: "9")

    @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte &- UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte &- UInt8(ascii: "a") &+ 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte &- UInt8(ascii: "A") &+ 10)
        default: nil
        }
    }
}

/// Runs `body` on the bytes of any collection, without a copy where it is contiguous.
func withJSONBytes<Result>(
    of bytes: some Collection<UInt8>,
    limits: JSONLimits,
    _ body: (UnsafeBufferPointer<UInt8>) throws(JSONError) -> Result
) throws(JSONError) -> Result {
    let result = bytes.withContiguousStorageIfAvailable { buffer in
        Swift.Result { () throws(JSONError) in
            try limits.check(size: buffer.count)
            return try body(buffer)
        }
    }
    if let result { return try result.get() }
    try limits.check(size: bytes.count)
    return try Array(bytes).withUnsafeBufferPointer(body)
}

extension String {
    /// Runs `body` on the text in UTF-8.
    @inline(__always)
    func withUTF8Bytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = self.utf8.withContiguousStorageIfAvailable(body) { return result }
        // A string that is stored in another way is brought into this one first.
        var text = self
        return text.withUTF8(body)
    }
}
