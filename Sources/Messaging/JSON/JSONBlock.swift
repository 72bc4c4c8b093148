/// Sixteen bytes of a text, tested at once.
///
/// Whoever makes one has checked that all sixteen lie inside of the text.
struct JSONBlock {
    static let width = 16

    private let bytes: SIMD16<Int8>

    @inline(__always)
    init(_ text: UnsafePointer<UInt8>) {
        self.bytes = UnsafeRawPointer(text).loadUnaligned(as: SIMD16<Int8>.self)
    }

    /// Copies sixteen bytes; both sides must have room for all of them.
    @inline(__always)
    static func copy(_ source: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>) {
        let bytes = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<Int8>.self)
        UnsafeMutableRawPointer(target).storeBytes(of: bytes, as: SIMD16<Int8>.self)
    }

    /// A bit for each byte that is not ``JSONByte/isPlain(_:)``, the lowest for the first.
    @inline(__always)
    var marks: UInt32 {
        let halves = Self.unplain(self.bytes)
        // Of each byte one bit is left, and the product brings those eight together in its highest byte.
        let low = ((halves[0] & 0x0101_0101_0101_0101) &* 0x0102_0408_1020_4080) &>> 56
        let high = ((halves[1] & 0x0101_0101_0101_0101) &* 0x0102_0408_1020_4080) &>> 56
        return UInt32(truncatingIfNeeded: low | high &<< 8)
    }

    // Compared as signed numbers, bytes from 0x80 are below 0x20 as control characters are. Each comparison names its
    // types: without them, the compiler takes one that goes byte by byte.

    private typealias Bytes = SIMD16<Int8>

    @inline(__always)
    fileprivate static func unplain(_ bytes: SIMD16<Int8>) -> SIMD2<UInt64> {
        let isQuote = bytes .== Bytes(repeating: 0x22)
        let isBackslash = bytes .== Bytes(repeating: 0x5C)
        let isUnprintable = bytes .< Bytes(repeating: 0x20)
        return unsafeBitCast(isQuote .| isBackslash .| isUnprintable, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    fileprivate static func unplainOrDelete(_ bytes: SIMD16<Int8>) -> SIMD2<UInt64> {
        let isDelete = bytes .== Bytes(repeating: 0x7F)
        return Self.unplain(bytes) | unsafeBitCast(isDelete, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    fileprivate static func unplainASCII(_ bytes: SIMD16<Int8>) -> SIMD2<UInt64> {
        let isASCII = bytes .>= Bytes(repeating: 0)
        return Self.unplain(bytes) & unsafeBitCast(isASCII, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    fileprivate static func unprintable(_ bytes: SIMD16<Int8>) -> SIMD2<UInt64> {
        unsafeBitCast(bytes .< Bytes(repeating: 0x20), to: SIMD2<UInt64>.self)
    }

    /// The first index from `start` whose byte `block`, or near the end `byte`, has found; else `end`.
    @inline(__always)
    fileprivate static func first(
        _ base: UnsafePointer<UInt8>,
        from start: Int,
        to end: Int,
        block: (SIMD16<Int8>) -> SIMD2<UInt64>,
        byte: (UInt8) -> Bool
    ) -> Int {
        var index = start
        while end &- index >= Self.width {
            let found = block(UnsafeRawPointer(base + index).loadUnaligned(as: SIMD16<Int8>.self))
            if found[0] != 0 { return index &+ found[0].trailingZeroBitCount &>> 3 }
            if found[1] != 0 { return index &+ 8 &+ found[1].trailingZeroBitCount &>> 3 }
            index &+= Self.width
        }
        while index < end, !byte(base[index]) { index &+= 1 }
        return index
    }
}

extension JSONByte {
    /// Whether a byte stands for itself in the text of a string and is ASCII: neither quote nor backslash nor control
    /// character.
    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool {
        byte &- 0x20 < 0x60 && byte != Self.quote && byte != Self.backslash
    }

    /// The first index from `start` that holds a byte which is not plain, or `end`.
    @inline(__always)
    static func endOfPlainRun(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        JSONBlock.first(base, from: start, to: end, block: JSONBlock.unplain) { !Self.isPlain($0) }
    }

    /// The first index from `start` that holds a byte which is not plain, or 0x7F, which Python escapes; or `end`.
    @inline(__always)
    static func endOfUnescapedRun(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        JSONBlock.first(base, from: start, to: end, block: JSONBlock.unplainOrDelete) { byte in
            !Self.isPlain(byte) || byte == 0x7F
        }
    }

    /// The first index from `start` that holds a byte which is ASCII and not plain, or `end`.
    @inline(__always)
    static func endOfContent(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        JSONBlock.first(base, from: start, to: end, block: JSONBlock.unplainASCII) { byte in
            byte < 0x80 && !Self.isPlain(byte)
        }
    }

    /// The first index from `start` that holds a control character or a byte beyond ASCII, or `end`.
    @inline(__always)
    static func endOfPrintableRun(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        JSONBlock.first(base, from: start, to: end, block: JSONBlock.unprintable) { $0 &- 0x20 >= 0x60 }
    }
}
