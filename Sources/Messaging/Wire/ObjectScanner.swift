/// Where the text of a value lies.
struct RawRange {
    var start: Int
    var end: Int
}

/// Walks over the members of a document that must be an object, without decoding their values.
struct ObjectScanner {
    /// One member; valid as long as the bytes are.
    struct Member {
        fileprivate let base: UnsafePointer<UInt8>
        let key: JSONStringToken
        fileprivate(set) var value: RawRange
        /// The value of a string, if it was asked for.
        fileprivate(set) var content: [UInt8]?

        var name: String { JSONText.string(self.base, self.key) }

        /// How many bytes the name has.
        var nameLength: Int { self.key.hasEscapes ? self.name.utf8.count : self.key.end - self.key.start }

        @inline(__always)
        func hasKey(_ expected: String) -> Bool {
            guard !self.key.hasEscapes else { return self.name == expected }
            var expected = expected
            return expected.withUTF8 { expected in
                guard self.key.end &- self.key.start == expected.count else { return false }
                for index in 0..<expected.count where self.base[self.key.start &+ index] != expected[index] {
                    return false
                }
                return true
            }
        }
    }

    private var scanner: JSONScanner
    private var isFirst = true
    /// Set when a value is nested too deep: the document must be refused, but its other members can still be read.
    private(set) var depthError: JSONError?

    /// Starts at the beginning of an object; anything else is an error.
    init(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) {
        self.scanner = try JSONScanner(buffer, limits: limits)
        guard self.scanner.take(JSONByte.openBrace) else {
            // Says of bad JSON that it is bad, and of good JSON that it is no object.
            let kind = JSONKind(firstByte: self.scanner.peek())
            try self.scanner.skipValue()
            try self.scanner.expectEnd()
            throw JSONError(code: .type, message: "expected an object, found \(kind.description)")
        }
    }

    var base: UnsafePointer<UInt8> { self.scanner.base }

    /// The next member; `nil` at the end of the object, which must be the end of the text.
    ///
    /// The value of the key `opened`, if it is a string, is read at once.
    mutating func next(opening opened: String = "") throws(JSONError) -> Member? {
        if self.isFirst {
            self.isFirst = false
            if self.scanner.take(JSONByte.closeBrace) {
                try self.scanner.expectEnd()
                return nil
            }
        } else if try !self.scanner.takeSeparator(closing: JSONByte.closeBrace) {
            try self.scanner.expectEnd()
            return nil
        }
        let key = try self.scanner.takeKey()
        try self.scanner.takeColon()
        let first = self.scanner.peek()
        let start = self.scanner.position
        var member = Member(base: self.scanner.base, key: key, value: RawRange(start: start, end: start))
        if first == JSONByte.quote, !opened.isEmpty, member.hasKey(opened) {
            member.content = try self.scanner.takeStringValue()
        } else {
            do {
                try self.scanner.skipValue(depth: 1)
            } catch {
                try self.skip(after: error, from: start)
            }
        }
        member.value.end = self.scanner.position
        return member
    }

    /// Passes over a value that is nested too deep; any other error is thrown on.
    private mutating func skip(after error: JSONError, from start: Int) throws(JSONError) {
        guard error.code == .depth else { throw error }
        self.depthError = self.depthError ?? error
        self.scanner.position = start
        do {
            try self.scanner.skipUnchecked()
        } catch _ {
            // The text ends or breaks off inside: what comes first is reported.
            throw error
        }
    }

    /// The text of a string value with what it needs to be decoded, or `nil` if the value is no string.
    func stringToken(_ value: RawRange) -> JSONStringToken? {
        guard self.base[value.start] == JSONByte.quote else { return nil }
        return JSONStringToken(quotedFrom: value.start, to: value.end, in: self.base)
    }

    /// The value of a string, or `nil` if it is no string.
    func string(_ value: RawRange) -> String? {
        self.stringToken(value).map { JSONText.string(self.base, $0) }
    }
}
