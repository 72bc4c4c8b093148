/// Builds a value from a JSON text in one pass.
struct JSONParser {
    private var scanner: JSONScanner

    /// Members of the objects that are still open.
    ///
    /// Counting them before a dictionary is made avoids its growing in steps.
    private var members: [(key: String, value: JSONValue)] = []

    init(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) {
        self.scanner = try JSONScanner(buffer, limits: limits)
    }

    /// Reads the whole text.
    mutating func parseDocument() throws(JSONError) -> JSONValue {
        let value = try self.parseValue(depth: 0)
        try self.scanner.expectEnd()
        return value
    }

    private mutating func parseValue(depth: Int) throws(JSONError) -> JSONValue {
        switch self.scanner.peek() {
        case JSONByte.quote:
            let token = try self.scanner.takeString()
            return .string(self.scanner.string(token))
        case JSONByte.openBrace:
            return try self.parseObject(depth: depth + 1)
        case JSONByte.openBracket:
            return try self.parseArray(depth: depth + 1)
        default:
            switch try self.scanner.takeScalar() {
            case .null: return .null
            case .bool(let value): return .bool(value)
            case .number(let number): return JSONText.value(self.scanner.base, number)
            }
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONError) -> JSONValue {
        try self.scanner.checkDepth(depth)
        self.scanner.position &+= 1
        if self.scanner.take(JSONByte.closeBrace) { return .object([:]) }
        let first = self.members.count
        repeat {
            let key = self.scanner.string(try self.scanner.takeKey())
            try self.scanner.takeColon()
            self.members.append((key, try self.parseValue(depth: depth)))
        } while try self.scanner.takeSeparator(closing: JSONByte.closeBrace)
        var object = [String: JSONValue](minimumCapacity: self.members.count - first)
        for (key, value) in self.members[first...] { object[key] = value }
        self.members.removeSubrange(first...)
        return .object(object)
    }

    private mutating func parseArray(depth: Int) throws(JSONError) -> JSONValue {
        try self.scanner.checkDepth(depth)
        self.scanner.position &+= 1
        if self.scanner.take(JSONByte.closeBracket) { return .array([]) }
        var array: [JSONValue] = []
        repeat {
            array.append(try self.parseValue(depth: depth))
        } while try self.scanner.takeSeparator(closing: JSONByte.closeBracket)
        return .array(array)
    }
}

extension JSONText {
    /// The value of a checked number.
    @inline(__always)
    static func value(_ base: UnsafePointer<UInt8>, _ number: JSONNumberToken) -> JSONValue {
        guard number.kind == .integer else { return .double(self.double(base, number)) }
        if let value: Int = self.integer(base, from: number.start, to: number.end) { return .integer(value) }
        let digits = UnsafeBufferPointer(start: base + number.start, count: number.end - number.start)
        return .bigInteger(JSONBigInteger(checked: String(decoding: digits, as: UTF8.self)))
    }
}
