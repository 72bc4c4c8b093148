/// How large a request a server takes; what is above is refused before its arguments are decoded.
///
/// The caller is told (``RPCError/Code/limitExceeded``) where the request says whom to tell.
public struct RPCLimits: Sendable, Hashable {
    /// The longest body in bytes; 128 MiB by default, RabbitMQ's own limit before version 4, which has 16 MiB.
    ///
    /// A compressed body is decompressed first, to at most 128 MiB, one at a time.
    public var bodySize = 128 << 20
    /// The deepest nesting of arrays and objects in a request, of which the arguments' own object is the second; 256 by
    /// default, 512 at most.
    public var nesting = 256
    /// How many keyword arguments a request may have; 256 by default.
    public var arguments = 256
    /// How many entries a request context may have; 256 by default.
    public var contextEntries = 256
    /// The longest name of a method, namespace, argument or context entry, in bytes; 255 by default.
    public var nameLength = 255
    /// The longest id of a message or a call, in bytes; ids are remembered, and clients make theirs of 32.
    static let idLength = 255

    /// Creates the defaults.
    public init() {}
}

extension RPCLimits {
    /// Reads a request within the limits.
    ///
    /// - Throws: `WireError`, with the call's message id and reply queue, if they could be read.
    package func read(_ delivery: Delivery) throws(WireError) -> RequestPayload {
        guard delivery.body.count <= self.bodySize else {
            throw self.oversized(delivery)
        }
        let request = try RequestPayload(
            delivery,
            limits: JSONLimits(maximumDepth: self.nesting, maximumSize: self.bodySize)
        )
        do throws(JSONError) {
            try self.check(request)
        } catch {
            throw WireError(
                .tooLarge,
                error.message,
                messageID: request.messageID,
                replyQueue: request.replyQueue
            )
        }
        return request
    }

    /// The refusal of a body that is too long, which is walked over once, to learn whom to tell.
    private func oversized(_ delivery: Delivery) -> WireError {
        let message = "the request has \(delivery.body.count) bytes, more than the server's limit of \(self.bodySize)"
        do throws(WireError) {
            let request = try RequestPayload(delivery)
            return WireError(.tooLarge, message, messageID: request.messageID, replyQueue: request.replyQueue)
        } catch {
            return WireError(.tooLarge, message, messageID: error.messageID, replyQueue: error.replyQueue)
        }
    }

    private func check(_ request: RequestPayload) throws(JSONError) {
        try self.check(id: request.uniqueID, as: "_unique_id")
        try self.check(id: request.messageID, as: "_msg_id")
        try self.check(id: request.replyQueue, as: "_reply_q")
        try self.check(name: request.method, as: "method")
        if let namespace = request.namespace { try self.check(name: namespace, as: "namespace") }
        if case .raw(let context) = request.context {
            guard !context.hasMoreEntries(than: self.contextEntries) else {
                throw self.exceeded("the request context has more than \(self.contextEntries) entries")
            }
            try self.check(nameLength: context.longestName, as: "context entry")
        }
        try request.args.forEachMemberName { count, length throws(JSONError) in
            guard count <= self.arguments else {
                throw self.exceeded("the request has more than \(self.arguments) arguments")
            }
            guard length <= self.nameLength else {
                throw self.exceeded("the name of an argument has more than \(self.nameLength) bytes")
            }
        }
    }

    private func check(id: String?, as name: String) throws(JSONError) {
        guard (id?.utf8.count ?? 0) <= Self.idLength else {
            throw self.exceeded("the request's \(name) has more than \(Self.idLength) bytes")
        }
    }

    private func check(name: String, as what: String) throws(JSONError) {
        try self.check(nameLength: name.utf8.count, as: what)
    }

    private func check(nameLength: Int, as what: String) throws(JSONError) {
        guard nameLength <= self.nameLength else {
            throw self.exceeded("the name of a \(what) has more than \(self.nameLength) bytes")
        }
    }

    private func exceeded(_ message: String) -> JSONError {
        JSONError(code: .size, message: message + ", the server's limit")
    }
}
