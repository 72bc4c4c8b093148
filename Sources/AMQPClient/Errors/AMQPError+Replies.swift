internal import CRabbitMQ

/// What `connection.close` and `channel.close` say.
struct CloseReply: Sendable, Hashable {
    var code: Int
    var text: String
    /// The method that failed: class in the upper, method in the lower half; 0 when it was none in particular.
    var methodID: UInt32
}

extension AMQPError {
    /// The one place where reply codes of the broker become errors (AMQP 0-9-1, section 1.2).
    static func replied(_ reply: CloseReply, to operation: String) -> AMQPError {
        let (code, message): (Code, String) =
            switch reply.code {
            case 311: (.messageTooLarge, "the broker does not accept content of this size")
            case 313: (.noConsumers, "no consumer could take the message")
            case 320: (.connectionClosed, "the broker closed the connection; it is opened again")
            case 402: (.notAllowed, "the broker does not know this virtual host")
            case 403: (.accessRefused, "the user lacks a permission; grant it or use another user")
            case 404: (.notFound, "what is named here does not exist; declare it first")
            case 405: (.resourceLocked, "another connection holds it exclusively")
            case 406: (.preconditionFailed, "it exists with other properties, or a condition does not hold")
            case 501, 502, 503, 504, 505: (.protocolViolation, "the broker says that the protocol was violated")
            case 506: (.resourceError, "the broker is short of a resource")
            case 530: (.notAllowed, "the broker does not allow it")
            case 540: (.notImplemented, "the broker does not implement it")
            case 541: (.internalError, "the broker failed")
            default: (.connectionClosed, "the broker answered with an unknown reply code")
            }
        return AMQPError(code, operation: operation, message: message, reply: reply)
    }

    /// The one place where status codes of librabbitmq become errors.
    static func library(status: Int32, operation: String, outcomeIsUnknown: Bool = false) -> AMQPError {
        let text = unsafe String(cString: amqp_error_string2(status))
        let code: Code =
            switch status {
            case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue: .connectFailed
            case AMQP_STATUS_BAD_AMQP_DATA.rawValue, AMQP_STATUS_UNKNOWN_CLASS.rawValue,
                AMQP_STATUS_UNKNOWN_METHOD.rawValue, AMQP_STATUS_WRONG_METHOD.rawValue,
                AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION.rawValue:
                .protocolViolation
            case AMQP_STATUS_TIMEOUT.rawValue: .timeout
            case AMQP_STATUS_TABLE_TOO_BIG.rawValue, AMQP_STATUS_INVALID_PARAMETER.rawValue: .invalidArgument
            case AMQP_STATUS_SSL_ERROR.rawValue, AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue,
                AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue, AMQP_STATUS_SSL_PEER_VERIFY_FAILED.rawValue:
                .tlsFailed
            case AMQP_STATUS_NO_MEMORY.rawValue: .internalError
            default: .connectionLost
            }
        return AMQPError(code, operation: operation, message: text, outcomeIsUnknown: outcomeIsUnknown)
    }
}
