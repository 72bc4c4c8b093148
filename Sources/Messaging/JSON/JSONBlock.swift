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

    /// Copies a text as long as it is plain and holds no 0x7F; all of it, mostly.
    ///
    /// Both sides must have room for all of it. What does not fill a block is read and written in two parts that overlap,
    /// so that no byte is looked at alone but those of the shortest texts.
    ///
    /// - Returns: How many bytes were copied and stay; the byte after them, or one of the few next, is another.
    @inline(__always)
    static func copyPlain(
        _ source: UnsafePointer<UInt8>,
        count: Int,
        to target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        if count >= Self.width {
            var index = 0
            let last = count &- Self.width
            while index < last {
                guard Self.copyPlain(source + index, to: target + index) else { return index }
                index &+= Self.width
            }
            return Self.copyPlain(source + last, to: target + last) ? count : index
        }
        let (source, target) = (UnsafeRawPointer(source), UnsafeMutableRawPointer(target))
        if count >= 8 {
            let halves = SIMD2(
                source.loadUnaligned(as: UInt64.self),
                source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            )
            guard Self.isPlain(halves) else { return 0 }
            target.storeBytes(of: halves[0], as: UInt64.self)
            target.storeBytes(of: halves[1], toByteOffset: count &- 8, as: UInt64.self)
            return count
        }
        if count >= 4 {
            let low = source.loadUnaligned(as: UInt32.self)
            let high = source.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            let both = UInt64(low) | UInt64(high) &<< 32
            guard Self.isPlain(SIMD2(both, both)) else { return 0 }
            target.storeBytes(of: low, as: UInt32.self)
            target.storeBytes(of: high, toByteOffset: count &- 4, as: UInt32.self)
            return count
        }
        for index in 0..<count {
            let byte = source.load(fromByteOffset: index, as: UInt8.self)
            guard JSONByte.isPlain(byte), byte != 0x7F else { return index }
            target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
        return count
    }

    @inline(__always)
    private static func copyPlain(_ source: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>) -> Bool {
        let bytes = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<Int8>.self)
        let found = Self.unplainOrDelete(bytes)
        guard found[0] | found[1] == 0 else { return false }
        UnsafeMutableRawPointer(target).storeBytes(of: bytes, as: SIMD16<Int8>.self)
        return true
    }

    @inline(__always)
    private static func isPlain(_ halves: SIMD2<UInt64>) -> Bool {
        let found = Self.unplainOrDelete(unsafeBitCast(halves, to: SIMD16<Int8>.self))
        return found[0] | found[1] == 0
    }

    /// A bit for each byte that is not ``JSONByte/isPlain(_:)``: of four bits for each, the lowest.
    @inline(__always)
    var marks: UInt64 { Self.nibbles(Self.unplain(self.bytes)) & 0x1111_1111_1111_1111 }

    /// The backslashes that stand before quotes, where a block holds quotes only behind backslashes and, but for its last
    /// byte, backslashes only before quotes.
    struct QuoteEscapes {
        /// Whether the block is such a one; else the rest is of no use.
        let isExact: Bool
        /// A bit for each backslash, as in ``JSONBlock/marks``; for each control character and what is beyond ASCII as
        /// well, as only a look at the byte tells them apart.
        let marks: UInt64
        /// How many bytes of the block can be taken: not its last one, if that is such a byte.
        let width: Int
    }

    @inline(__always)
    var quoteEscapes: QuoteEscapes {
        let isQuote = self.bytes .== Bytes(repeating: 0x22)
        let isBackslash = self.bytes .== Bytes(repeating: 0x5C)
        let isUnprintable = self.bytes .< Bytes(repeating: 0x20)
        let quotes = Self.nibbles(unsafeBitCast(isQuote, to: SIMD2<UInt64>.self))
        let marks = Self.nibbles(unsafeBitCast(isBackslash .| isUnprintable, to: SIMD2<UInt64>.self))
        return QuoteEscapes(
            isExact: marks &<< 4 == quotes,
            marks: marks & 0x0111_1111_1111_1111,
            width: Self.width &- Int(truncatingIfNeeded: marks &>> 63)
        )
    }

    /// Half of each byte, for bytes of which all bits are alike.
    @inline(__always)
    private static func nibbles(_ bytes: SIMD2<UInt64>) -> UInt64 {
        let pairs = unsafeBitCast(bytes, to: SIMD8<UInt16>.self) &>> SIMD8<UInt16>(repeating: 4)
        return unsafeBitCast(SIMD8<UInt8>(truncatingIfNeeded: pairs), to: UInt64.self)
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
