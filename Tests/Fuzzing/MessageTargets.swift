@testable import Messaging

/// What lies in a message's body and headers.
enum MessageTargets {
    /// Narrow limits, as a cautious server sets them.
    private static let narrow = JSONLimits(maximumDepth: 8, maximumSize: 512)

    @Sendable static func request(_ bytes: [UInt8]) {
        _ = try? RequestPayload(decoding: bytes, contentType: "application/json", limits: self.narrow)
        let request: RequestPayload
        do {
            request = try RequestPayload(decoding: bytes, contentType: "application/json")
        } catch {
            // Refused; the answer holds its words.
            _ = error.description
            return
        }
        self.checkAgain(request)
    }

    /// Writes the request, reads that, and compares.
    private static func checkAgain(_ request: RequestPayload) {
        _ = request.monitorInterval
        do {
            let arguments = try request.args.value()
            let context = try request.contextValues()
            _ = try? request.args.decode(Everything.self)
            // Versions that are not text are described, not passed on.
            if case .other = request.version { return }
            let again = try RequestPayload(decoding: request.encoded(), contentType: "application/json")
            claim(again.method == request.method, "the method has changed")
            claim(again.namespace == request.namespace, "the namespace has changed")
            claim(again.version == request.version, "the version has changed")
            claim(again.messageID == request.messageID, "the message id has changed")
            claim(!request.isCall || again.replyQueue == request.replyQueue, "the reply queue has changed")
            claim(again.uniqueID == request.uniqueID, "the unique id has changed")
            claim(identical(try again.args.value(), arguments), "the arguments have changed")
            claim(identical(.object(try again.contextValues()), .object(context)), "the context has changed")
        } catch {
            fatalError("a request that was read cannot be passed on: \(error)")
        }
    }

    @Sendable static func reply(_ bytes: [UInt8]) {
        let reply: ReplyPayload
        do {
            reply = try ReplyPayload(decoding: bytes, contentType: "application/json")
        } catch {
            _ = error.description
            return
        }
        do {
            let result = try reply.result?.value()
            let body = reply.encoded(messageID: reply.messageID ?? "", uniqueID: reply.uniqueID ?? "")
            let again = try ReplyPayload(decoding: body, contentType: "application/json")
            claim(again.messageID == reply.messageID, "the message id has changed")
            claim(again.isEnding == reply.isEnding, "the ending has changed")
            claim(again.host == reply.host, "the host has changed")
            claim(identical(try again.result?.value() ?? .null, result ?? .null), "the result has changed")
            claim((again.failure == nil) == (reply.failure == nil), "the failure has gone")
        } catch {
            fatalError("a reply that was read cannot be passed on: \(error)")
        }
    }

    @Sendable static func failure(_ bytes: [UInt8]) {
        self.check(RemoteFailure(decoding: RawJSON(.string(String(decoding: bytes, as: UTF8.self)))))
        if let raw = try? RawJSON(checking: bytes) {
            self.check(RemoteFailure(decoding: raw))
        }
    }

    private static func check(_ failure: RemoteFailure) {
        _ = failure.description
        let body = ReplyPayload.failure(failure).encoded(messageID: "i")
        do {
            let again = try ReplyPayload(decoding: body, contentType: "application/json")
            guard let passedOn = again.failure else { fatalError("the failure has gone") }
            // Python's own renaming is undone once; what was renamed twice needs another turn.
            guard !failure.className.hasSuffix("_Remote") else { return }
            claim(passedOn.message == failure.message, "the message has changed")
            claim(identical(.array(passedOn.args), .array(failure.args)), "the arguments have changed")
            claim(identical(.object(passedOn.kwargs), .object(failure.kwargs)), "the keyword arguments have changed")
            claim(passedOn.traceback == failure.traceback, "the traceback has changed")
        } catch {
            fatalError("a failure that was read cannot be passed on: \(error)")
        }
    }

    /// Headers, one `name: value` a line, an empty line, and a body.
    @Sendable static func letter(_ bytes: [UInt8]) {
        var headers: [String: String] = [:]
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[(end + 1)...]
            if line.isEmpty { break }
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            headers[String(parts[0])] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
        }
        let delivery = Delivery(
            body: Array(rest),
            contentType: headers["content-type"] ?? "application/json",
            contentEncoding: headers["content-encoding"],
            compression: headers["compression"],
            headers: headers,
            token: Delivery.Token(tag: 1)
        )
        self.take(delivery)
        let trail = RequestTrail(headers)
        claim(RequestTrail(trail.headers) == trail, "the trail has changed")
    }

    /// What a server, a client and a reader of dead letters make of a message.
    static func take(_ delivery: Delivery) {
        _ = try? ReplyPayload(delivery)
        if let request = try? RequestPayload(delivery) { self.checkAgain(request) }
        let letter = DeadLetter(delivery)
        _ = letter.description
        _ = letter.arguments
        claim(letter.context?["auth_token"] == nil, "a token is shown")
        _ = DeadLetterFilter(minimumAge: .seconds(1)).includes(letter, now: .now)
    }
}

/// Equality that takes NaN for equal to itself and tells zero from negative zero.
func identical(_ one: JSONValue, _ other: JSONValue) -> Bool {
    one.serialized(sortedKeys: true) == other.serialized(sortedKeys: true)
}
