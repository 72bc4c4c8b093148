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

    /// Whether a byte stands for itself in the ASCII text of a string: printable, neither quote nor backslash.
    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool {
        byte &- 0x20 < 0x5F && byte != Self.quote && byte != Self.backslash
    }

    /// The first index from `start` that holds a byte which is not plain, or `end`.
    @inline(__always)
    static func endOfPlainRun(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        var index = start
        let raw = UnsafeRawPointer(base)
        while index &+ 8 <= end, Self.areAllPlain(raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)) {
            index &+= 8
        }
        while index < end, Self.isPlain(base[index]) { index &+= 1 }
        return index
    }

    /// Tests eight bytes at once.
    ///
    /// The subtractions may borrow from one byte into the next and so doubt a plain word; the test by single bytes then
    /// decides. They never take a word for plain that is not.
    @inline(__always)
    private static func areAllPlain(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let deletes = word ^ (ones &* 0x7F)
        let found =
            word | (word &- ones &* 0x20) | (quotes &- ones) | (backslashes &- ones) | (deletes &- ones)
        return found & (ones &* 0x80) == 0
    }

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
