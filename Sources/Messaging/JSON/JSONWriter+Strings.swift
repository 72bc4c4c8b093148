extension JSONWriter {
    /// Writes a string with its quotes.
    package mutating func write(_ value: String) {
        value.withUTF8Bytes { text in
            self.reserve(text.count &+ 2 &* self.backslashWidth)
            self.putQuote()
            if let base = text.baseAddress { self.put(content: base, count: text.count) }
            self.putQuote()
        }
    }

    /// Writes a key and the colon after it.
    @inline(__always)
    package mutating func write(key: String) {
        self.write(key)
        self.write(byte: JSONByte.colon)
    }

    /// Writes a key that is known, of plain ASCII, and the colon after it.
    @inline(__always)
    mutating func write(name: StaticString) {
        self.reserve(name.utf8CodeUnitCount &+ 2 &* self.backslashWidth &+ 1)
        self.put(name: name)
    }

    /// Writes the comma after a member and the key of the next one, which is known.
    @inline(__always)
    mutating func writeNext(name: StaticString) {
        self.reserve(name.utf8CodeUnitCount &+ 2 &* self.backslashWidth &+ 2)
        self.put(JSONByte.comma)
        self.put(name: name)
    }

    @inline(__always)
    private mutating func put(name: StaticString) {
        self.putQuote()
        self.put(name.utf8Start, count: name.utf8CodeUnitCount)
        self.putQuote()
        self.put(JSONByte.colon)
    }

    /// Writes the comma after a member and the key of an entry of a request's context.
    mutating func writeNext(contextKey name: String) {
        let prefix = PayloadIndex.contextPrefix
        name.withUTF8Bytes { text in
            self.reserve(prefix.utf8CodeUnitCount &+ text.count &+ 2 &* self.backslashWidth &+ 2)
            self.put(JSONByte.comma)
            self.putQuote()
            self.put(prefix.utf8Start, count: prefix.utf8CodeUnitCount)
            if let base = text.baseAddress { self.put(content: base, count: text.count) }
            self.putQuote()
            self.put(JSONByte.colon)
        }
    }

    /// Puts the inside of a string, which is valid UTF-8; afterwards there is room for a quote and a byte.
    ///
    /// There must be room for the text as it is, and for these.
    @inline(__always)
    private mutating func put(content base: UnsafePointer<UInt8>, count: Int) {
        let copied = JSONBlock.copyPlain(base, count: count, to: self.base + self.count)
        self.didPut(copied)
        if copied < count { self.put(content: base, from: copied, to: count) }
    }

    private mutating func put(content base: UnsafePointer<UInt8>, from start: Int, to count: Int) {
        var index = start
        while true {
            let end = JSONByte.endOfUnescapedRun(base, from: index, to: count)
            if end > index {
                self.reserve(end &- index)
                self.put(base + index, count: end &- index)
            }
            guard end < count else { break }
            index = end &+ self.writeEscaped(base + end)
        }
        self.reserve(self.backslashWidth &+ 1)
    }

    /// Writes the character at `input`, which is not plain, and returns how many bytes of the input it took.
    private mutating func writeEscaped(_ input: UnsafePointer<UInt8>) -> Int {
        self.reserve(self.escapeWidth)
        let byte = input[0]
        if byte >= 0x80 { return self.putNonASCII(input) }
        self.putBackslash()
        switch byte {
        case JSONByte.quote: self.putQuote()
        case JSONByte.backslash: self.putBackslash()
        case 0x08: self.put(UInt8(ascii: "b"))
        case 0x09: self.put(UInt8(ascii: "t"))
        case 0x0A: self.put(UInt8(ascii: "n"))
        case 0x0C: self.put(UInt8(ascii: "f"))
        case 0x0D: self.put(UInt8(ascii: "r"))
        default: self.putCodeUnit(UInt32(byte))
        }
        return 1
    }

    mutating func putNonASCII(_ input: UnsafePointer<UInt8>) -> Int {
        let first = input[0]
        let width = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard self.asciiOnly else {
            self.put(input, count: width)
            return width
        }
        var scalar = UInt32(first) & (width == 2 ? 0x1F : width == 3 ? 0x0F : 0x07)
        for index in 1..<width { scalar = scalar << 6 | UInt32(input[index] & 0x3F) }
        if scalar >= 0x1_0000 {
            let offset = scalar &- 0x1_0000
            self.putBackslash()
            self.putCodeUnit(0xD800 | offset >> 10)
            scalar = 0xDC00 | offset & 0x3FF
        }
        self.putBackslash()
        self.putCodeUnit(scalar)
        return width
    }

    /// Writes `u` and the four digits of a UTF-16 code unit.
    private mutating func putCodeUnit(_ unit: UInt32) {
        self.put(UInt8(ascii: "u"))
        for shift in stride(from: 12, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: unit >> shift & 0xF)
            self.put(digit < 10 ? JSONByte.zero &+ digit : UInt8(ascii: "a") &- 10 &+ digit)
        }
    }
}
