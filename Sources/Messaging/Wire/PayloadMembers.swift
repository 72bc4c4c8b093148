/// The members of a request's or a reply's payload, not decoded.
///
/// What was read before an error is kept, and so is what stands behind a value that is nested too deep: a request that
/// cannot be read as a whole can still be answered if it says whom to answer.
struct PayloadMembers {
    private static let contextPrefix: StaticString = "_context_"

    private(set) var method: RawJSON?
    private(set) var args: RawJSON?
    private(set) var namespace: RawJSON?
    private(set) var version: RawJSON?
    private(set) var timeout: RawJSON?
    private(set) var result: RawJSON?
    private(set) var failure: RawJSON?
    private(set) var ending: RawJSON?
    /// The value of `_msg_id`, whatever it is.
    private(set) var rawMessageID: RawJSON?
    private(set) var replyQueue: String?
    private(set) var uniqueID: String?
    private(set) var host: String?
    private(set) var context: [String: RawJSON] = [:]
    /// Why the payload must be refused, if it must.
    private(set) var error: JSONError?

    init(_ payload: ArraySlice<UInt8>, limits: JSONLimits) {
        do {
            try payload.withUnsafeBufferPointer { buffer throws(JSONError) in
                try limits.check(size: buffer.count)
                var object = try ObjectScanner(buffer, limits: limits)
                while let member = try object.next(indexing: "args") {
                    let start = payload.startIndex + member.value.start
                    let end = payload.startIndex + member.value.end
                    self.take(member, RawJSON(checked: payload[start..<end], members: member.members))
                }
                if let error = object.depthError { throw error }
            }
        } catch {
            self.error = error
        }
    }

    /// The message id, unless it is empty or no string.
    var messageID: String? {
        guard let id = self.rawMessageID?.stringValue, !id.isEmpty else { return nil }
        return id
    }

    /// Keys that are not known are passed over; of repeated keys the last one counts.
    private mutating func take(_ member: ObjectScanner.Member, _ value: RawJSON) {
        if let name = member.name(after: Self.contextPrefix) {
            self.context[name] = value
        } else if member.hasKey("method") {
            self.method = value
        } else if member.hasKey("args") {
            self.args = value
        } else if member.hasKey("namespace") {
            self.namespace = value
        } else if member.hasKey("version") {
            self.version = value
        } else if member.hasKey("_msg_id") {
            self.rawMessageID = value
        } else if member.hasKey("_reply_q") {
            self.replyQueue = value.stringValue
        } else if member.hasKey("_timeout") {
            self.timeout = value
        } else if member.hasKey("_unique_id") {
            self.uniqueID = value.stringValue
        } else if member.hasKey("_host") {
            // It is remembered, and shown to people; DNS knows none as long.
            self.host = value.stringValue.flatMap { $0.utf8.count <= 255 ? $0 : nil }
        } else if member.hasKey("result") {
            self.result = value
        } else if member.hasKey("failure") {
            self.failure = value
        } else if member.hasKey("ending") {
            self.ending = value
        }
    }
}
