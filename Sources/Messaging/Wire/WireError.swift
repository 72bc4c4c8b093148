/// Why a message could not be understood.
package struct WireError: Error, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case unsupportedContentType, unsupportedCompression, unsupportedEnvelope, malformed, tooDeep, tooLarge
            case invalidPayload
        }

        private let value: Value

        /// The content type is not JSON, or there is none.
        package static let unsupportedContentType = Code(value: .unsupportedContentType)
        /// The body is compressed in a way that is not understood.
        package static let unsupportedCompression = Code(value: .unsupportedCompression)
        /// The envelope is of another version than 2.0.
        package static let unsupportedEnvelope = Code(value: .unsupportedEnvelope)
        /// The body, or the payload inside, is no JSON object.
        package static let malformed = Code(value: .malformed)
        /// The JSON is nested too deep.
        package static let tooDeep = Code(value: .tooDeep)
        /// The body is longer than what is accepted.
        package static let tooLarge = Code(value: .tooLarge)
        /// A key of the payload is missing or of the wrong type.
        package static let invalidPayload = Code(value: .invalidPayload)

        package var description: String { self.value.rawValue }
    }

    package var code: Code
    package var message: String
    package var cause: (any Error)?

    /// The call that the message belongs to, as far as it could be read: it can still be answered.
    package var messageID: String?
    /// The queue that the call's answer goes to, as far as it could be read.
    package var replyQueue: String?

    package init(
        _ code: Code,
        _ message: String,
        messageID: String? = nil,
        replyQueue: String? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.cause = cause
    }

    /// The error for a text that is not the JSON it should be.
    init(_ error: JSONError, in part: String, messageID: String? = nil, replyQueue: String? = nil) {
        let code: Code =
            switch error.code {
            case .depth: .tooDeep
            case .size: .tooLarge
            default: .malformed
            }
        self.init(
            code,
            "the \(part) cannot be read: \(error)",
            messageID: messageID,
            replyQueue: replyQueue,
            cause: error
        )
    }

    package var description: String { "\(self.code): \(self.message)" }
}
