/// What is told of the values of a text while a scanner walks over it.
protocol JSONVisitor: ~Copyable {
    /// A key; its value comes next.
    mutating func key(_ token: JSONStringToken)
    /// A string.
    mutating func string(_ token: JSONStringToken)
    /// Any other value that is no container.
    mutating func scalar(_ kind: JSONToken.Kind, from start: Int, to end: Int)
    /// An array or object begins.
    mutating func open(_ kind: JSONToken.Kind, at start: Int)
    /// The innermost container has ended.
    mutating func close(at end: Int)
}

/// Looks at nothing: the text is only checked.
private struct NoVisitor: JSONVisitor {
    #if STEWARD_THREAD_SANITIZER
        // ThreadSanitizer notes the address of what is passed inout; what has no size has none that it may look at.
        private var placeholder: UInt8 = 0
    #endif

    @inline(__always) mutating func key(_ token: JSONStringToken) {}
    @inline(__always) mutating func string(_ token: JSONStringToken) {}
    @inline(__always) mutating func scalar(_ kind: JSONToken.Kind, from start: Int, to end: Int) {}
    @inline(__always) mutating func open(_ kind: JSONToken.Kind, at start: Int) {}
    @inline(__always) mutating func close(at end: Int) {}
}

/// The containers around a place in a text, by whether each is an object.
private struct OpenContainers {
    /// How many there are.
    private(set) var count = 0
    /// The innermost 64, the last one in the lowest bit.
    private var bits: UInt64 = 0
    /// The others in groups of 64.
    private var outer: [UInt64] = []

    @inline(__always)
    mutating func push(isObject: Bool) {
        if self.count & 63 == 0, self.count > 0 { self.outer.append(self.bits) }
        self.bits = self.bits &<< 1 | (isObject ? 1 : 0)
        self.count &+= 1
    }

    /// Takes the innermost one off, of which there must be one.
    @inline(__always)
    mutating func pop() -> Bool {
        let isObject = self.bits & 1 != 0
        self.count &-= 1
        self.bits &>>= 1
        if self.count & 63 == 0, let bits = self.outer.popLast() { self.bits = bits }
        return isObject
    }
}

extension JSONScanner {
    /// Checks and skips one value; `depth` counts the containers around it.
    mutating func skipValue(depth: Int = 0) throws(JSONError) {
        var visitor = NoVisitor()
        try self.walk(depth: depth, &visitor)
    }

    /// Checks one value and tells the visitor of everything in it; `depth` counts the containers around it.
    ///
    /// The position is kept in a variable of its own, as every step needs that of the step before: only errors and what is
    /// seldom go by the scanner's methods.
    @inline(__always)
    mutating func walk<Visitor: JSONVisitor & ~Copyable>(
        depth: Int,
        _ visitor: inout Visitor
    ) throws(JSONError) {
        let (base, end) = (self.base, self.end)
        var containers = OpenContainers()
        var isObject = false
        var at = self.position
        while true {
            at = Self.endOfSpace(base, from: at, to: end)
            let byte = at < end ? base[at] : 0
            var isOpen = false
            if byte == JSONByte.quote {
                visitor.string(try self.walkString(&at))
            } else if byte == JSONByte.openBrace || byte == JSONByte.openBracket {
                self.position = at
                try self.checkDepth(depth &+ containers.count &+ 1)
                visitor.open(byte == JSONByte.openBrace ? .object : .array, at: at)
                containers.push(isObject: isObject)
                isObject = byte == JSONByte.openBrace
                at = Self.endOfSpace(base, from: at &+ 1, to: end)
                // A bracket that closes stands two places behind the one that opens, in ASCII.
                if at < end, base[at] == byte &+ 2 {
                    at &+= 1
                    visitor.close(at: at)
                    isObject = containers.pop()
                } else {
                    isOpen = true
                }
            } else {
                let start = at
                let kind = try self.walkScalar(byte, &at)
                visitor.scalar(kind, from: start, to: at)
            }
            while !isOpen {
                guard containers.count > 0 else {
                    self.position = at
                    return
                }
                at = Self.endOfSpace(base, from: at, to: end)
                let byte = at < end ? base[at] : 0
                if byte == JSONByte.comma {
                    at &+= 1
                    isOpen = true
                } else {
                    let closing = isObject ? JSONByte.closeBrace : JSONByte.closeBracket
                    guard byte == closing else {
                        self.position = at
                        // Throws, as neither follows.
                        _ = try self.takeSeparator(closing: closing)
                        return
                    }
                    at &+= 1
                    visitor.close(at: at)
                    isObject = containers.pop()
                }
            }
            if isObject { visitor.key(try self.walkKey(&at)) }
        }
    }

    @inline(__always)
    private static func endOfSpace(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        var index = start
        while index < end {
            let byte = base[index]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { break }
            index &+= 1
        }
        return index
    }

    /// Takes a string; `at` is at its opening quote and moves behind the closing one.
    @inline(__always)
    private mutating func walkString(_ at: inout Int) throws(JSONError) -> JSONStringToken {
        let start = at &+ 1
        let stop = JSONByte.endOfPlainRun(self.base, from: start, to: self.end)
        if stop < self.end, self.base[stop] == JSONByte.quote {
            at = stop &+ 1
            return JSONStringToken(start: start, end: stop, hasEscapes: false)
        }
        let token = try self.takeString(from: start, at: stop)
        at = self.position
        return token
    }

    /// Takes a key and the colon after it.
    @inline(__always)
    private mutating func walkKey(_ at: inout Int) throws(JSONError) -> JSONStringToken {
        at = Self.endOfSpace(self.base, from: at, to: self.end)
        guard at < self.end, self.base[at] == JSONByte.quote else {
            self.position = at
            // Throws, as none follows.
            return try self.takeKey()
        }
        let token = try self.walkString(&at)
        at = Self.endOfSpace(self.base, from: at, to: self.end)
        guard at < self.end, self.base[at] == JSONByte.colon else {
            self.position = at
            try self.takeColon()
            return token
        }
        at &+= 1
        return token
    }

    /// Takes a word or a number whose first byte is `first`.
    @inline(__always)
    private mutating func walkScalar(_ first: UInt8, _ at: inout Int) throws(JSONError) -> JSONToken.Kind {
        // Whole numbers in a row; all others take the way that knows every form.
        if first &- JSONByte.zero &- 1 < 9 {
            var index = at &+ 1
            while index < self.end, self.base[index] &- JSONByte.zero < 10 { index &+= 1 }
            let next = index < self.end ? self.base[index] : 0
            if next != UInt8(ascii: "."), next | 0x20 != UInt8(ascii: "e") {
                at = index
                return .integer
            }
        }
        self.position = at
        let kind: JSONToken.Kind =
            switch try self.takeScalar() {
            case .null: .null
            case .bool(let value): value ? .true : .false
            case .number(let number): JSONToken.Kind(number.kind)
            }
        at = self.position
        return kind
    }
}
