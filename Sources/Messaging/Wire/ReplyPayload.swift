/// What a server answers to a call (wire contract 3.3).
package struct ReplyPayload: Sendable {
    /// The method's result; `null` reads as `.null`, and absent as `nil`.
    package var result: RawJSON?
    package var failure: RemoteFailure?
    /// Whether this is the last message of the answer, which a heartbeat is not.
    package var isEnding: Bool
    /// The call that is answered.
    package var messageID: String?
    package var uniqueID: String?
    /// The host that sends a sign of life; our own addition, sent to clients of this library alone.
    package var host: String?

    private init(result: RawJSON?, failure: RemoteFailure?, isEnding: Bool) {
        self.result = result
        self.failure = failure
        self.isEnding = isEnding
        self.messageID = nil
        self.uniqueID = nil
    }

    /// A reply with a result.
    package static func result(_ result: RawJSON) -> ReplyPayload {
        ReplyPayload(result: result, failure: nil, isEnding: true)
    }

    /// A reply with a failure.
    package static func failure(_ failure: RemoteFailure) -> ReplyPayload {
        ReplyPayload(result: nil, failure: failure, isEnding: true)
    }

    /// A sign of life of a method that still runs (wire contract 4.4).
    package static let heartbeat = ReplyPayload(result: nil, failure: nil, isEnding: false)

    /// A sign of life that says where the method runs.
    package static func heartbeat(from host: String?) -> ReplyPayload {
        var heartbeat = Self.heartbeat
        heartbeat.host = host
        return heartbeat
    }

    /// Whether this says only that the method still runs.
    package var isHeartbeat: Bool { !self.isEnding && self.failure == nil && (self.result?.isNull ?? true) }
}

// MARK: - Writing

extension ReplyPayload {
    /// The body of the message.
    ///
    /// - Parameters:
    ///   - messageID: The call that is answered.
    ///   - uniqueID: Names this message; a new one for each that is published.
    /// - Returns: The body.
    package func encoded(messageID: String, uniqueID: String = makeUniqueID()) -> [UInt8] {
        Envelope.encode(contentSize: self.result?.bytes.count ?? 0) { writer in
            self.write(to: &writer, messageID: messageID, uniqueID: uniqueID) { $0.write(self.result ?? .null) }
        }
    }

    /// The body of a reply with a result, which is written straight into its place.
    package static func encoded(
        result: some Encodable,
        messageID: String,
        uniqueID: String = makeUniqueID()
    ) throws(JSONError) -> [UInt8] {
        let reply = ReplyPayload(result: nil, failure: nil, isEnding: true)
        return try Envelope.encode { writer throws(JSONError) in
            try reply.write(to: &writer, messageID: messageID, uniqueID: uniqueID) { writer throws(JSONError) in
                try writer.write(encoding: result)
            }
        }
    }

    /// Writes the keys in oslo.messaging's order.
    private func write<Failure: Error>(
        to writer: inout JSONWriter,
        messageID: String,
        uniqueID: String,
        result: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        writer.write(byte: JSONByte.openBrace)
        writer.write(name: "result")
        try result(&writer)
        writer.writeNext(name: "failure")
        if let failure = self.failure {
            writer.writeDocumentInString { failure.write(to: &$0) }
        } else {
            writer.writeNull()
        }
        writer.writeNext(name: "ending")
        writer.write(self.isEnding)
        writer.writeNext(name: "_msg_id")
        writer.write(messageID)
        writer.writeNext(name: "_unique_id")
        writer.write(uniqueID)
        if let host = self.host {
            writer.writeNext(name: "_host")
            writer.write(host)
        }
        writer.write(byte: JSONByte.closeBrace)
    }
}

// MARK: - Reading

extension ReplyPayload {
    /// Reads a reply from a message.
    ///
    /// - Parameters:
    ///   - body: The message's body.
    ///   - contentType: Its content type.
    ///   - contentEncoding: Its content encoding.
    ///   - compression: The value of its header `compression`.
    ///   - limits: How much is accepted.
    /// - Throws: `WireError`.
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

    /// Reads a reply from the text of its payload.
    ///
    /// More is accepted than Python clients accept: a reply without the key `failure` is a success, and a failure may be an
    /// object. An absent `ending` is false, a falsy `failure` is none, as there.
    package init(decoding payload: ArraySlice<UInt8>, limits: JSONLimits = .default) throws(WireError) {
        let members = PayloadMembers(payload, limits: limits)
        let messageID = members.messageID
        if let error = members.error {
            throw WireError(
                error,
                in: "reply",
                messageID: messageID,
                replyQueue: members.string(members.index.replyQueue)
            )
        }
        guard let messageID else {
            throw WireError(.invalidPayload, "the reply names no call: it has no _msg_id")
        }
        self.messageID = messageID
        self.uniqueID = members.string(members.index.uniqueID)
        // It is remembered, and shown to people; DNS knows none as long.
        self.host = members.string(members.index.host).flatMap { $0.utf8.count <= 255 ? $0 : nil }
        self.result = members.raw(members.index.result)
        self.isEnding = !(members.raw(members.index.ending)?.isFalsy ?? true)
        if let failure = members.raw(members.index.failure), !failure.isFalsy {
            self.failure = RemoteFailure(decoding: failure)
        } else {
            self.failure = nil
        }
    }
}
