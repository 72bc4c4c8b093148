extension JSONWriter {
    /// Writes a checked JSON text.
    ///
    /// Inside a string, its quotes and backslashes are escaped and its line breaks, which can only be white space, become
    /// spaces.
    package mutating func write(_ document: RawJSON) {
        document.bytes.withUnsafeBufferPointer { text in
            guard let base = text.baseAddress else { return }
            self.reserve(text.count)
            var index = 0
            while index < text.count {
                if self.level == 0 {
                    let end = JSONByte.endOfPrintableRun(base, from: index, to: text.count)
                    self.write(verbatim: UnsafeBufferPointer(start: base + index, count: end &- index))
                    index = end
                } else if self.level == 1 {
                    self.escapeBlocks(base, &index, count: text.count)
                    self.escapeRest(base, &index, count: text.count)
                }
                guard index < text.count else { return }
                index &+= self.writeNext(base + index)
            }
        }
    }

    /// Writes the character of a document at `input`, and returns how many bytes of the input it took.
    private mutating func writeNext(_ input: UnsafePointer<UInt8>) -> Int {
        self.reserve(self.escapeWidth)
        let byte = input[0]
        switch byte {
        case JSONByte.quote: self.putQuote()
        case JSONByte.backslash: self.putBackslash()
        case 0..<0x20: self.put(0x20)
        case 0x80...: return self.putNonASCII(input)
        default: self.put(byte)
        }
        return 1
    }

    /// Writes as much of a document inside of one string as needs nothing but backslashes before some of its bytes.
    ///
    /// It goes in blocks and stops at the first byte that needs more attention, or close to the end of the document.
    @inline(__always)
    private mutating func escapeBlocks(_ base: UnsafePointer<UInt8>, _ index: inout Int, count: Int) {
        // Sixteen bytes, a backslash before each, and what the last copy writes beyond what it is there for.
        let needed = 3 &* JSONBlock.width
        while count &- index >= 2 &* JSONBlock.width {
            // A part of what is left at once, as texts hold many quotes.
            if self.capacity &- self.count < needed { self.reserve(needed &+ (count &- index) &* 5 / 4) }
            let start = self.base + self.count
            var output = start
            var marks = JSONBlock(base + index).marks
            /// What is not written yet of what was read.
            var rest = index
            while marks != 0 {
                let mark = index &+ marks.trailingZeroBitCount &>> 2
                marks &= marks &- 1
                JSONBlock.copy(base + rest, to: output)
                output += mark &- rest
                rest = mark
                let byte = base[mark]
                guard byte == JSONByte.quote || byte == JSONByte.backslash else {
                    self.didPut(output - start)
                    index = mark
                    return
                }
                output[0] = JSONByte.backslash
                output += 1
            }
            JSONBlock.copy(base + rest, to: output)
            index &+= JSONBlock.width
            output += index &- rest
            self.didPut(output - start)
        }
    }

    /// Writes the end of a document, which is too short for blocks, in the same way.
    @inline(__always)
    private mutating func escapeRest(_ base: UnsafePointer<UInt8>, _ index: inout Int, count: Int) {
        guard count &- index < 2 &* JSONBlock.width else { return }
        self.reserve(2 &* (count &- index))
        let start = self.base + self.count
        var output = start
        while index < count {
            let byte = base[index]
            if JSONByte.isPlain(byte) {
                output[0] = byte
                output += 1
            } else {
                guard byte == JSONByte.quote || byte == JSONByte.backslash else { break }
                output[0] = JSONByte.backslash
                output[1] = byte
                output += 2
            }
            index &+= 1
        }
        self.didPut(output - start)
    }
}
