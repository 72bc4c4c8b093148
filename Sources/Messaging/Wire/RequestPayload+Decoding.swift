extension RequestPayload {
    /// Reads a request from a message.
    ///
    /// - Parameters:
    ///   - body: The message's body.
    ///   - contentType: Its content type.
    ///   - contentEncoding: Its content encoding.
    ///   - compression: The value of its header `compression`.
    ///   - limits: How much is accepted.
    /// - Throws: `WireError`; with the call's message id and reply queue, if they could be read.
    package init(
        decoding body: [UInt8],
        contentType: String?,
        contentEncoding: String? = nil,
        compression: String? = nil,
        limits: JSONLimits = .default
    ) throws(WireError) {
        let envelope = try Envelope(
            decoding: body,
            contentType: contentType,
            contentEncoding: contentEncoding,
            compression: compression,
            limits: limits
        )
        try self.init(decoding: envelope.payload, limits: limits)
    }

    /// Reads a request from the text of its payload.
    ///
    /// All keys are read before the first error is thrown, so that the error can say whom to answer. Keys that are not
    /// known are ignored; of repeated keys the last one counts.
    package init(decoding payload: ArraySlice<UInt8>, limits: JSONLimits = .default) throws(WireError) {
        let members: PayloadMembers
        do {
            members = try PayloadMembers(payload, limits: limits)
        } catch {
            throw WireError(error, in: "request")
        }
        let messageID = members.messageID
        let replyQueue = members.replyQueue
        func invalid(_ message: String) -> WireError {
            WireError(.invalidPayload, message, messageID: messageID, replyQueue: replyQueue)
        }

        guard let method = members["method"] else { throw invalid("the request has no method") }
        guard let name = method.stringValue else {
            throw invalid("the request's method is \(method.kind.description), not a string")
        }
        self.method = name

        // Python calls a method without arguments if the key is absent, and fails for null.
        let args = members["args"] ?? .emptyObject
        guard args.kind == .object else {
            throw invalid("the request's args are \(args.kind.description), not an object of keyword arguments")
        }
        self.args = args

        switch members["namespace"] {
        case .none: self.namespace = nil
        case .some(let namespace) where namespace.isNull: self.namespace = nil
        case .some(let namespace):
            guard let text = namespace.stringValue else {
                throw invalid("the request's namespace is \(namespace.kind.description), not a string")
            }
            self.namespace = text
        }

        switch members["version"] {
        case .none: self.version = .absent
        case .some(let version) where version.isNull: self.version = .null
        case .some(let version): self.version = version.stringValue.map { .text($0) } ?? .other(version.kind.description)
        }

        // A call is recognised by its message id alone; a falsy one makes it a cast.
        if messageID == nil, let id = members["_msg_id"], !id.isFalsy {
            throw invalid("the request's _msg_id is \(id.kind.description), not a string")
        }
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.monitorTimeout = members["_timeout"]
        self.uniqueID = members["_unique_id"]?.stringValue
        self.context = .raw(members.context)
    }
}

/// The members of a payload by their keys, not decoded.
struct PayloadMembers {
    private static let contextPrefix: StaticString = "_context_"
    /// More keys than any payload has.
    private static let keys = [
        "method", "args", "namespace", "version", "_msg_id", "_reply_q", "_timeout", "_unique_id", "result", "failure",
        "ending",
    ]

    private var values: [String: RawJSON] = [:]
    private(set) var context: [String: RawJSON] = [:]

    init(_ payload: ArraySlice<UInt8>, limits: JSONLimits) throws(JSONError) {
        self = try payload.withUnsafeBufferPointer { buffer throws(JSONError) in
            try limits.check(size: buffer.count)
            return try PayloadMembers(buffer, of: payload, limits: limits)
        }
    }

    private init(
        _ buffer: UnsafeBufferPointer<UInt8>,
        of payload: ArraySlice<UInt8>,
        limits: JSONLimits
    ) throws(JSONError) {
        var object = try ObjectScanner(buffer, limits: limits)
        while let member = try object.next() {
            let start = payload.startIndex + member.value.start
            let raw = RawJSON(checked: payload[start..<payload.startIndex + member.value.end])
            if member.keyHasPrefix(Self.contextPrefix) {
                self.context[String(member.name.dropFirst(Self.contextPrefix.utf8CodeUnitCount))] = raw
            } else if let key = Self.keys.first(where: { member.hasKey($0) }) {
                self.values[key] = raw
            }
        }
    }

    subscript(key: String) -> RawJSON? { self.values[key] }

    /// The message id, unless it is empty or no string.
    var messageID: String? {
        guard let id = self["_msg_id"]?.stringValue, !id.isEmpty else { return nil }
        return id
    }

    var replyQueue: String? { self["_reply_q"]?.stringValue }
}
