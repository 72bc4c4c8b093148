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
        let messageID = members.messageID
        let replyQueue = members.string(members.index.replyQueue)
        if let error = members.error {
            throw WireError(error, in: "request", messageID: messageID, replyQueue: replyQueue)
        }
        func invalid(_ message: String) -> WireError {
            WireError(.invalidPayload, message, messageID: messageID, replyQueue: replyQueue)
        }

        guard members.index.method.isPresent else { throw invalid("the request has no method") }
        guard let name = members.string(members.index.method) else {
            throw invalid("the request's method is \(members.index.method.description), not a string")
        }
        self.method = name

        // Python calls a method without arguments if the key is absent, and fails for null.
        if !members.index.args.isPresent {
            self.args = .emptyObject
        } else if members.index.args.kind == .object {
            self.args = members.arguments
        } else {
            let kind = members.index.args.description
            throw invalid("the request's args are \(kind), not an object of keyword arguments")
        }

        if members.index.namespace.isPresent, members.index.namespace.kind != .null {
            guard let namespace = members.string(members.index.namespace) else {
                throw invalid("the request's namespace is \(members.index.namespace.description), not a string")
            }
            self.namespace = namespace
        } else {
            self.namespace = nil
        }

        if !members.index.version.isPresent {
            self.version = .absent
        } else if members.index.version.kind == .null {
            self.version = .null
        } else {
            let text = members.string(members.index.version)
            self.version = text.map { .text($0) } ?? .other(members.index.version.description)
        }

        // A call is recognised by its message id alone; a falsy one makes it a cast.
        if messageID == nil, let id = members.raw(members.index.messageID), !id.isFalsy {
            throw invalid("the request's _msg_id is \(id.kind.description), not a string")
        }
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.monitorTimeout = members.raw(members.index.timeout)
        self.uniqueID = members.string(members.index.uniqueID)
        self.context = .raw(members.context)
    }
}
