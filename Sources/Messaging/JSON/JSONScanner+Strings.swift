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

    /// The rest of a string that holds more than plain ASCII.
    mutating func takeString(from start: Int, at first: Int) throws(JSONError) -> JSONStringToken {
        var index = first
        var hasEscapes = false
        var isASCII = true
        while index < self.end {
            let byte = self.base[index]
            switch byte {
            case JSONByte.quote:
                if !isASCII { try self.checkUTF8(from: start, to: index) }
                self.position = index &+ 1
                return JSONStringToken(start: start, end: index, hasEscapes: hasEscapes || !isASCII)
            case JSONByte.backslash:
                hasEscapes = true
                index = try self.endOfEscape(at: index)
            case 0..<0x20:
                throw self.unescapedControl(at: index)
            default:
                isASCII = false
                index &+= 1
            }
            index =
                isASCII
                ? JSONByte.endOfPlainRun(self.base, from: index, to: self.end)
                : JSONByte.endOfContent(self.base, from: index, to: self.end)
        }
        throw self.syntaxError("the string has no end", at: start - 1)
    }

    private func unescapedControl(at index: Int) -> JSONError {
        self.syntaxError(
            "a control character (byte \(self.base[index])) in a string must be escaped",
            at: index
        )
    }

    private func endOfEscape(at index: Int) throws(JSONError) -> Int {
        guard index &+ 1 < self.end else { throw self.syntaxError("the string has no end", at: index) }
        switch self.base[index &+ 1] {
        case JSONByte.quote, JSONByte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index &+ 2
        case UInt8(ascii: "u"):
            guard index &+ 6 <= self.end, JSONText.codeUnit(self.base + (index + 2)) != nil else {
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

    /// The value of a string that was taken from this text.
    @inline(__always)
    func string(_ token: JSONStringToken) -> String {
        JSONText.string(self.base, token)
    }

    // MARK: - Values

    /// Takes a string and returns its value; the position is at its opening quote.
    ///
    /// For long strings: the text is walked over once, and not first checked and then copied.
    mutating func takeStringValue() throws(JSONError) -> [UInt8] {
        var failure: JSONError?
        // No value is longer than its text.
        let value = [UInt8](unsafeUninitializedCapacity: self.end &- self.position) { buffer, count in
            guard let output = buffer.baseAddress else { return }
            do throws(JSONError) {
                count = try self.takeString(into: output)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return value
    }

    /// Takes a string and writes its value to `output`, which has room for as many bytes as are left of the text.
    private mutating func takeString(into output: UnsafeMutablePointer<UInt8>) throws(JSONError) -> Int {
        let (base, end) = (self.base, self.end)
        let start = self.position &+ 1
        var index = start
        var written = 0
        var isASCII = true
        while index < end {
            self.unescapeBlocks(&index, output, &written)
            guard index < end else { break }
            let byte = base[index]
            switch byte {
            case JSONByte.quote:
                if !isASCII { try self.checkUTF8(from: start, to: index) }
                self.position = index &+ 1
                return written
            case JSONByte.backslash where index &+ 1 < end && base[index &+ 1] == JSONByte.quote:
                output[written] = JSONByte.quote
                written &+= 1
                index &+= 2
            case JSONByte.backslash:
                let next = try self.endOfEscape(at: index)
                let (read, added) = JSONText.unescape(base + index, count: end &- index, into: output + written)
                // The other half of a surrogate pair has been read as well, if it is one.
                index = max(next, index &+ read)
                written &+= added
            case 0..<0x20:
                throw self.unescapedControl(at: index)
            case 0x80...:
                isASCII = false
                while index < end, base[index] >= 0x80 {
                    output[written] = base[index]
                    written &+= 1
                    index &+= 1
                }
            default:
                repeat {
                    output[written] = base[index]
                    written &+= 1
                    index &+= 1
                } while index < end && JSONByte.isPlain(base[index])
            }
        }
        throw self.syntaxError("the string has no end", at: start - 1)
    }

    /// Writes the value of as much of a string as is plain or escaped by a backslash alone.
    ///
    /// It goes in blocks and stops at the first byte that needs more attention, or close to the end of the text. Nothing is
    /// written beyond the room for the value, as that is as long as the text: of what is left of it, a block and more has
    /// not been read whenever sixteen bytes are written.
    @inline(__always)
    private func unescapeBlocks(
        _ index: inout Int,
        _ output: UnsafeMutablePointer<UInt8>,
        _ written: inout Int
    ) {
        let base = self.base
        while self.end &- index >= 2 &* JSONBlock.width {
            let block = JSONBlock(base + index)
            let escapes = block.quoteEscapes
            guard escapes.isExact else {
                guard self.unescapeAnyBlock(block, &index, output, &written) else { return }
                continue
            }
            /// What is not written yet of what was read.
            var rest = index
            var marks = escapes.marks
            while marks != 0 {
                let mark = index &+ marks.trailingZeroBitCount &>> 2
                marks &= marks &- 1
                JSONBlock.copy(base + rest, to: output + written)
                written &+= mark &- rest
                guard base[mark] == JSONByte.backslash else {
                    index = mark
                    return
                }
                // The quote is the first of what comes next.
                rest = mark &+ 1
            }
            JSONBlock.copy(base + rest, to: output + written)
            index &+= escapes.width
            written &+= index &- rest
        }
    }

    /// The same for a block that holds other escapes than those of quotes.
    ///
    /// - Returns: Whether it goes on behind it.
    private func unescapeAnyBlock(
        _ block: JSONBlock,
        _ index: inout Int,
        _ output: UnsafeMutablePointer<UInt8>,
        _ written: inout Int
    ) -> Bool {
        let base = self.base
        var marks = block.marks
        var rest = index
        while marks != 0 {
            let bit = marks.trailingZeroBitCount
            let offset = bit &>> 2
            let mark = index &+ offset
            let isSimple =
                base[mark] == JSONByte.backslash
                && (base[mark &+ 1] == JSONByte.quote || base[mark &+ 1] == JSONByte.backslash)
            JSONBlock.copy(base + rest, to: output + written)
            written &+= mark &- rest
            // An escape that reaches into the next block is the first of that.
            guard isSimple, offset < JSONBlock.width &- 1 else {
                index = mark
                return isSimple
            }
            // The escaped byte is the first of what comes next, and none that is looked at again.
            rest = mark &+ 1
            marks &= ~(0x11 &<< UInt64(truncatingIfNeeded: bit))
        }
        JSONBlock.copy(base + rest, to: output + written)
        index &+= JSONBlock.width
        written &+= index &- rest
        return true
    }
}
