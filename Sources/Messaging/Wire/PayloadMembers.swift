/// The members of a request's or a reply's payload, not decoded.
///
/// What was read before an error is kept, and so is what stands behind a value that is nested too deep: a request that
/// cannot be read as a whole can still be answered if it says whom to answer.
struct PayloadMembers: ~Copyable {
    private let payload: ArraySlice<UInt8>
    private(set) var index = PayloadIndex()
    /// Why the payload must be refused, if it must.
    private(set) var error: JSONError?

    init(_ payload: ArraySlice<UInt8>, limits: JSONLimits) {
        self.payload = payload
        self.error = nil
        do {
            try payload.withUnsafeBufferPointer { buffer throws(JSONError) in try self.read(buffer, limits: limits) }
        } catch {
            self.error = error
        }
    }

    private mutating func read(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) {
        try limits.check(size: buffer.count)
        guard self.walk(buffer, limits: limits) else { return try self.readByMember(buffer, limits: limits) }
    }

    /// Walks over the whole payload at once, as nearly all can be read.
    private mutating func walk(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) -> Bool {
        do throws(JSONError) {
            var scanner = try JSONScanner(buffer, limits: limits)
            guard scanner.peek() == JSONByte.openBrace else { return false }
            self.index = PayloadIndex(scanner.base)
            try scanner.walk(depth: 0, &self.index)
            try scanner.expectEnd()
            return true
        } catch _ {
            // It is found again, and thrown, by the reader that goes on behind it where that is possible.
            return false
        }
    }

    /// Reads a payload that has something wrong member by member, to find as many as there are.
    private mutating func readByMember(_ buffer: UnsafeBufferPointer<UInt8>, limits: JSONLimits) throws(JSONError) {
        var object = try ObjectScanner(buffer, limits: limits)
        self.index = PayloadIndex(object.base)
        while let member = try object.next() { self.index.take(member.key, member.value) }
        if let error = object.depthError { throw error }
    }

    // MARK: - Values

    /// The value of a string, or `nil` if the member is none, or absent.
    func string(_ field: PayloadIndex.Field) -> String? {
        guard field.kind == .string || field.kind == .escapedString else { return nil }
        return self.payload.withUnsafeBufferPointer { text in
            guard let base = text.baseAddress else { return nil }
            let token = JSONStringToken(
                start: Int(field.start) &+ 1,
                end: Int(field.end) &- 1,
                hasEscapes: field.kind == .escapedString
            )
            return JSONText.string(base, token)
        }
    }

    /// The text of a member, or `nil` if it is absent.
    func raw(_ field: PayloadIndex.Field) -> RawJSON? {
        field.isPresent ? RawJSON(checked: self.slice(field)) : nil
    }

    /// The text of the arguments, which are there and are an object.
    var arguments: RawJSON { RawJSON(checked: self.slice(self.index.args), members: self.index.arguments) }

    private func slice(_ field: PayloadIndex.Field) -> ArraySlice<UInt8> {
        let start = self.payload.startIndex
        return self.payload[(start &+ Int(field.start))..<(start &+ Int(field.end))]
    }

    /// The message id, unless it is empty or no string.
    var messageID: String? {
        guard let id = self.string(self.index.messageID), !id.isEmpty else { return nil }
        return id
    }

    var context: RawContext { RawContext(entries: self.index.context, payload: self.payload) }
}

extension PayloadIndex.Field {
    /// The value's kind with its article, for messages.
    var description: String {
        switch self.kind {
        case .integer: JSONKind.number.description
        default: self.kind.description
        }
    }
}
