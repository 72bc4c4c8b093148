/// The text of a string inside a document, without its quotes.
struct JSONStringToken {
    var start: Int
    var end: Int
    /// Whether its bytes need a closer look, as they hold escapes or anything beyond ASCII.
    var hasEscapes: Bool
}

extension JSONStringToken {
    /// The token of a string that was checked before and lies between its quotes from `start` to `end`.
    init(quotedFrom start: Int, to end: Int, in base: UnsafePointer<UInt8>) {
        self.start = start &+ 1
        self.end = end &- 1
        // What is not plain need not be an escape; treating it as one costs time only.
        self.hasEscapes = JSONByte.endOfPlainRun(base, from: self.start, to: self.end) < self.end
    }
}

/// The text of a number inside a document.
struct JSONNumberToken {
    enum Kind {
        case integer, decimal, notANumber, positiveInfinity, negativeInfinity
    }

    var start: Int
    var end: Int
    var kind: Kind
}

/// Walks over the bytes of a JSON text, checking the grammar as it goes.
///
/// The grammar is what Python's `json` module reads and writes (wire contract 3.5): JSON plus the bare words `NaN`,
/// `Infinity` and `-Infinity`. The scanner borrows the bytes: it must not outlive the buffer.
struct JSONScanner {
    let base: UnsafePointer<UInt8>
    let end: Int
    let maximumDepth: Int
    var position = 0

    /// Starts at the first byte of `buffer`; an empty buffer is an error, as no JSON text is empty.
    init(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) {
        guard let base = buffer.baseAddress, !buffer.isEmpty else {
            throw JSONError(code: .syntax, message: "the text is empty", offset: 0)
        }
        self.base = base
        self.end = buffer.count
        self.maximumDepth = limits.maximumDepth
    }

    func syntaxError(_ message: String, at offset: Int? = nil) -> JSONError {
        JSONError(code: .syntax, message: message, offset: offset ?? self.position)
    }

    /// What stands at the position, for messages.
    var found: String {
        guard self.position < self.end else { return "the end of the text" }
        let byte = self.base[self.position]
        guard 0x21...0x7E ~= byte else { return "byte \(byte)" }
        return "'\(Character(Unicode.Scalar(byte)))'"
    }

    // MARK: - Structure

    @inline(__always)
    mutating func skipWhitespace() {
        while self.position < self.end {
            let byte = self.base[self.position]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            self.position &+= 1
        }
    }

    /// Skips white space and returns the byte that follows without taking it; zero at the end of the text.
    @inline(__always)
    mutating func peek() -> UInt8 {
        self.skipWhitespace()
        return self.position < self.end ? self.base[self.position] : 0
    }

    /// Skips white space and takes `byte` if it follows.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard self.peek() == byte else { return false }
        self.position &+= 1
        return true
    }

    /// Checks that nothing but white space follows.
    mutating func expectEnd() throws(JSONError) {
        self.skipWhitespace()
        guard self.position == self.end else {
            throw self.syntaxError("expected the end of the text, found \(self.found)")
        }
    }

    /// Takes `word` if it stands at the position.
    @inline(__always)
    mutating func takeWord(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard self.end &- self.position >= count else { return false }
        let expected = word.utf8Start
        for index in 0..<count where self.base[self.position &+ index] != expected[index] { return false }
        self.position &+= count
        return true
    }

    /// Takes the `:` between a key and its value.
    @inline(__always)
    mutating func takeColon() throws(JSONError) {
        guard self.take(JSONByte.colon) else { throw self.syntaxError("expected ':', found \(self.found)") }
    }

    /// Takes a key of an object.
    @inline(__always)
    mutating func takeKey() throws(JSONError) -> JSONStringToken {
        guard self.peek() == JSONByte.quote else {
            throw self.syntaxError("expected a key in double quotes, found \(self.found)")
        }
        return try self.takeString()
    }

    /// Takes what separates members: `true` if another one follows, `false` if the container ended.
    @inline(__always)
    mutating func takeSeparator(closing: UInt8) throws(JSONError) -> Bool {
        let byte = self.peek()
        if byte == JSONByte.comma {
            self.position &+= 1
            return true
        }
        guard byte == closing else {
            throw self.syntaxError("expected ',' or '\(Character(Unicode.Scalar(closing)))', found \(self.found)")
        }
        self.position &+= 1
        return false
    }

    func checkDepth(_ depth: Int) throws(JSONError) {
        guard depth <= self.maximumDepth else {
            throw JSONError(
                code: .depth,
                message: "arrays and objects are nested deeper than the limit of \(self.maximumDepth)",
                offset: self.position
            )
        }
    }

    /// Skips one value whose nesting is beyond the limit, without recursion.
    ///
    /// Only strings, scalars and the number of brackets are checked: the document is refused anyway, and what matters is
    /// to find what stands behind the value.
    mutating func skipUnchecked() throws(JSONError) {
        var open = 0
        repeat {
            switch self.peek() {
            case JSONByte.quote:
                _ = try self.takeString()
            case JSONByte.openBrace, JSONByte.openBracket:
                open += 1
                self.position &+= 1
            case JSONByte.closeBrace, JSONByte.closeBracket:
                open -= 1
                self.position &+= 1
            case JSONByte.comma, JSONByte.colon:
                self.position &+= 1
            default:
                _ = try self.takeScalar()
            }
        } while open > 0
    }

    // MARK: - Scalars

    enum Scalar {
        case null, bool(Bool), number(JSONNumberToken)
    }

    /// Takes a word or a number; the position is at its first byte.
    @inline(__always)
    mutating func takeScalar() throws(JSONError) -> Scalar {
        let start = self.position
        guard start < self.end else { throw self.syntaxError("expected a value, found the end of the text") }
        switch self.base[start] {
        case JSONByte.minus, JSONByte.zero...JSONByte.nine:
            return .number(try self.takeNumber())
        case UInt8(ascii: "t"):
            if self.takeWord("true") { return .bool(true) }
        case UInt8(ascii: "f"):
            if self.takeWord("false") { return .bool(false) }
        case UInt8(ascii: "n"):
            if self.takeWord("null") { return .null }
        case UInt8(ascii: "N"):
            if self.takeWord("NaN") {
                return .number(JSONNumberToken(start: start, end: self.position, kind: .notANumber))
            }
        case UInt8(ascii: "I"):
            if self.takeWord("Infinity") {
                return .number(JSONNumberToken(start: start, end: self.position, kind: .positiveInfinity))
            }
        default:
            break
        }
        throw self.syntaxError("expected a value, found \(self.found)")
    }

    private mutating func takeNumber() throws(JSONError) -> JSONNumberToken {
        let start = self.position
        if self.base[start] == JSONByte.minus {
            self.position &+= 1
            if self.takeWord("Infinity") {
                return JSONNumberToken(start: start, end: self.position, kind: .negativeInfinity)
            }
        }
        if self.position < self.end, self.base[self.position] == JSONByte.zero {
            self.position &+= 1
        } else {
            try self.takeDigits()
        }
        var kind = JSONNumberToken.Kind.integer
        if self.position < self.end, self.base[self.position] == UInt8(ascii: ".") {
            self.position &+= 1
            try self.takeDigits()
            kind = .decimal
        }
        if self.position < self.end, self.base[self.position] | 0x20 == UInt8(ascii: "e") {
            self.position &+= 1
            if self.position < self.end {
                let sign = self.base[self.position]
                if sign == JSONByte.minus || sign == UInt8(ascii: "+") { self.position &+= 1 }
            }
            try self.takeDigits()
            kind = .decimal
        }
        return JSONNumberToken(start: start, end: self.position, kind: kind)
    }

    @inline(__always)
    private mutating func takeDigits() throws(JSONError) {
        let start = self.position
        while self.position < self.end, self.base[self.position] &- JSONByte.zero < 10 { self.position &+= 1 }
        guard self.position > start else { throw self.syntaxError("expected a digit, found \(self.found)") }
    }
}
