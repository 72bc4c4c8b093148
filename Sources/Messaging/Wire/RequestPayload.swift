/// What one service asks of another (wire contract 3.2).
package struct RequestPayload: Sendable {
    /// The version that a request asks for.
    ///
    /// What is not text is kept apart, as each form is answered differently (wire contract 4.2).
    package enum Version: Sendable, Hashable {
        case absent
        case null
        case text(String)
        /// A value of another type; its kind, such as `a number`.
        case other(String)
    }

    /// The context's entries, by their names without the prefix `_context_`.
    package enum Context: Sendable {
        case raw(RawContext)
        case values([String: JSONValue])
    }

    package var method: String
    /// The keyword arguments; always an object.
    package var args: RawJSON
    /// The namespace; absent and `null` are the null namespace, but an empty text is a namespace of that name.
    package var namespace: String?
    package var version: Version
    /// Names the call, so that the reply finds it; a cast has none.
    package var messageID: String?
    package var replyQueue: String?
    /// The call monitor timeout, whatever JSON it is.
    package var monitorTimeout: RawJSON?
    /// Names this message, so that a second copy of it is recognised.
    package var uniqueID: String?
    package var context: Context

    package init(
        method: String,
        args: RawJSON = .emptyObject,
        namespace: String? = nil,
        version: String? = nil,
        messageID: String? = nil,
        replyQueue: String? = nil,
        monitorTimeout: Double? = nil,
        uniqueID: String? = makeUniqueID(),
        context: [String: JSONValue] = [:]
    ) {
        self.method = method
        self.args = args
        self.namespace = namespace
        self.version = version.map { .text($0) } ?? .absent
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.monitorTimeout = monitorTimeout.map { RawJSON(Self.seconds($0)) }
        self.uniqueID = uniqueID
        self.context = .values(context)
    }

    /// Whole seconds as an integer, as Python programs write them.
    private static func seconds(_ seconds: Double) -> JSONValue {
        Int(exactly: seconds).map { .integer($0) } ?? .double(seconds)
    }

    /// Whether the sender waits for a reply.
    package var isCall: Bool { self.messageID != nil }

    /// The call monitor timeout, if it is one: a positive number, or a text that holds one, as Python reads both.
    package var monitorInterval: Duration? {
        guard let raw = self.monitorTimeout, raw.kind == .number || raw.kind == .string else { return nil }
        if raw.kind == .number, let seconds = raw.smallInteger { return seconds > 0 ? .seconds(seconds) : nil }
        let seconds: Double?
        do {
            let value = try raw.value()
            seconds = value.doubleValue ?? value.stringValue.flatMap { Double($0) }
        } catch {
            // The text was checked when the payload was read.
            return nil
        }
        guard let seconds, seconds > 0 else { return nil }
        // A century is for ever here, and within the range of a duration.
        return .seconds(min(seconds, 3_155_760_000))
    }

    /// The context as dynamic values.
    package func contextValues() throws(JSONError) -> [String: JSONValue] {
        switch self.context {
        case .values(let values): return values
        case .raw(let context): return try context.values()
        }
    }
}

// MARK: - Writing

extension RequestPayload {
    /// The body of the message.
    package func encoded() -> [UInt8] {
        Envelope.encode(contentSize: self.args.bytes.count) { writer in
            self.write(to: &writer) { $0.write(self.args) }
        }
    }

    /// The body of the message with other arguments, which are written straight into their place.
    ///
    /// - Parameter arguments: A value that encodes as an object.
    /// - Returns: The body.
    /// - Throws: `JSONError` if the arguments cannot be written.
    package func encoded(arguments: some Encodable) throws(JSONError) -> [UInt8] {
        try Envelope.encode { writer throws(JSONError) in
            try self.write(to: &writer) { writer throws(JSONError) in try writer.write(encoding: arguments) }
        }
    }

    /// Writes the keys in oslo.messaging's order.
    private func write<Failure: Error>(
        to writer: inout JSONWriter,
        arguments: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        writer.write(byte: JSONByte.openBrace)
        writer.write(name: "method")
        writer.write(self.method)
        writer.writeNext(name: "args")
        try arguments(&writer)
        if let namespace = self.namespace {
            writer.writeNext(name: "namespace")
            writer.write(namespace)
        }
        switch self.version {
        case .absent, .other: break
        case .null:
            writer.writeNext(name: "version")
            writer.writeNull()
        case .text(let version):
            writer.writeNext(name: "version")
            writer.write(version)
        }
        if let messageID = self.messageID {
            writer.writeNext(name: "_msg_id")
            writer.write(messageID)
            if let replyQueue = self.replyQueue {
                writer.writeNext(name: "_reply_q")
                writer.write(replyQueue)
            }
            writer.writeNext(name: "_timeout")
            writer.write(self.monitorTimeout ?? .null)
        }
        if let uniqueID = self.uniqueID {
            writer.writeNext(name: "_unique_id")
            writer.write(uniqueID)
        }
        switch self.context {
        case .raw(let context):
            context.write(to: &writer)
        case .values(let entries):
            for (key, value) in entries {
                writer.writeNext(contextKey: key)
                writer.write(value)
            }
        }
        writer.write(byte: JSONByte.closeBrace)
    }
}
