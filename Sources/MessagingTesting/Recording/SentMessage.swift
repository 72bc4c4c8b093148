public import Messaging

/// A message as it was handed to a transport, with its body read.
public struct SentMessage: Sendable {
    /// A request: a call, a cast, or a cast to every server of a topic.
    public struct Request: Sendable {
        /// What a request asks for.
        public enum Kind: Sendable, Hashable {
            /// It waits for a reply.
            case call
            /// It does not.
            case cast
            /// A cast to every server of the topic.
            case fanout
        }

        /// What is asked for.
        public let kind: Kind
        /// The method's name on the wire.
        public let method: String
        /// The keyword arguments.
        public let arguments: [String: JSONValue]
        /// The namespace, or `nil` for the null namespace.
        public let namespace: String?
        /// The version that is asked for, or `nil` where none is named.
        public let version: String?
        /// The request context.
        public let context: [String: JSONValue]
        /// The id by which the reply finds the call, or `nil` of a cast.
        public let messageID: String?
        /// The id of this message, by which a repetition is recognised.
        public let uniqueID: String?
    }

    /// What a server answers to a call.
    public struct Reply: Sendable {
        /// The result; `nil` of a failure or a sign of life.
        public let result: JSONValue?
        /// The failure, or `nil` of a result or a sign of life.
        public let failure: RemoteFailure?
        /// Whether it says only that the method still runs (wire contract 4.4).
        public let isHeartbeat: Bool
        /// The call that is answered.
        public let messageID: String
    }

    /// What a message is.
    public enum Content: Sendable {
        /// A call or a cast.
        case request(Request)
        /// An answer.
        case reply(Reply)
        /// Neither: what cannot be read.
        case other
    }

    /// Where it was sent.
    public let destination: Destination
    /// The message, with its body as it was sent.
    public let message: Message
    /// How it was to be sent.
    public let options: SendOptions
    /// What it says.
    public let content: Content

    /// The request, if it is one.
    public var request: Request? {
        guard case .request(let request) = self.content else { return nil }
        return request
    }

    /// The reply, if it is one.
    public var reply: Reply? {
        guard case .reply(let reply) = self.content else { return nil }
        return reply
    }

    /// The method that is asked for, if it is a request.
    public var method: String? { self.request?.method }

    init(_ message: Message, to destination: Destination, options: SendOptions) {
        self.destination = destination
        self.message = message
        self.options = options
        self.content = Content(message.body, to: destination)
    }
}

extension SentMessage: CustomStringConvertible {
    /// What it is and where it goes, without values.
    public var description: String {
        switch self.content {
        case .request(let request): "\(request.kind) of \(request.method) to \(self.destination)"
        case .reply(let reply) where reply.isHeartbeat: "heartbeat to \(self.destination)"
        case .reply(let reply): "\(reply.failure == nil ? "result" : "failure") to \(self.destination)"
        case .other: "message to \(self.destination)"
        }
    }
}

extension SentMessage.Content {
    /// Reads a body; what is neither request nor reply is `other`, which is what a test of malformed bodies sends.
    fileprivate init(_ body: [UInt8], to destination: Destination) {
        do {
            let request = try RequestPayload(decoding: body, contentType: "application/json")
            self = .request(
                SentMessage.Request(
                    kind: request.isCall ? .call : destination.isFanout ? .fanout : .cast,
                    method: request.method,
                    arguments: try request.args.value().objectValue ?? [:],
                    namespace: request.namespace,
                    version: request.version.text,
                    context: try request.contextValues(),
                    messageID: request.messageID,
                    uniqueID: request.uniqueID
                )
            )
        } catch {
            do {
                let reply = try ReplyPayload(decoding: body, contentType: "application/json")
                let isResult = reply.failure == nil && !reply.isHeartbeat
                self = .reply(
                    SentMessage.Reply(
                        // A bare nil would be JSON's null.
                        result: isResult ? try reply.result?.value() ?? .null : JSONValue?.none,
                        failure: reply.failure,
                        isHeartbeat: reply.isHeartbeat,
                        messageID: reply.messageID ?? ""
                    )
                )
            } catch {
                self = .other
            }
        }
    }
}

extension Destination {
    fileprivate var isFanout: Bool {
        guard case .fanout = self else { return false }
        return true
    }
}

extension RequestPayload.Version {
    fileprivate var text: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }
}
