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
        let members = PayloadMembers(payload, limits: limits)
        if let error = members.error { throw WireError(error, in: "request", members) }
        let messageID = members.messageID
        let replyQueue = members.replyQueue
        func invalid(_ message: String) -> WireError {
            WireError(.invalidPayload, message, messageID: messageID, replyQueue: replyQueue)
        }

        guard let method = members.method else { throw invalid("the request has no method") }
        guard let name = method.stringValue else {
            throw invalid("the request's method is \(method.kind.description), not a string")
        }
        self.method = name

        // Python calls a method without arguments if the key is absent, and fails for null.
        let args = members.args ?? .emptyObject
        guard args.kind == .object else {
            throw invalid("the request's args are \(args.kind.description), not an object of keyword arguments")
        }
        self.args = args

        switch members.namespace {
        case .none: self.namespace = nil
        case .some(let namespace) where namespace.isNull: self.namespace = nil
        case .some(let namespace):
            guard let text = namespace.stringValue else {
                throw invalid("the request's namespace is \(namespace.kind.description), not a string")
            }
            self.namespace = text
        }

        switch members.version {
        case .none: self.version = .absent
        case .some(let version) where version.isNull: self.version = .null
        case .some(let version):
            self.version = version.stringValue.map { .text($0) } ?? .other(version.kind.description)
        }

        // A call is recognised by its message id alone; a falsy one makes it a cast.
        if messageID == nil, let id = members.rawMessageID, !id.isFalsy {
            throw invalid("the request's _msg_id is \(id.kind.description), not a string")
        }
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.monitorTimeout = members.timeout
        self.uniqueID = members.uniqueID
        self.context = .raw(members.context)
    }
}
