internal import AMQPClient
internal import Messaging

extension RPCError {
    /// What an error of the AMQP client means to somebody who calls or serves.
    init(_ error: AMQPError) {
        let code: Code =
            switch error.code {
            // Written, and not confirmed in time: whoever sends it again must know that it may be there already.
            case .timeout where error.outcomeIsUnknown: .connectionLost
            case .timeout: .timeout
            case .cancelled: error.outcomeIsUnknown ? .connectionLost : .closed
            case .blocked: .blocked
            case .unroutable: .noSuchServer
            case .messageTooLarge: .tooLarge
            // Its `max_message_size`; the reason stands in the text alone.
            case .preconditionFailed where error.replyText?.contains("larger than") == true: .tooLarge
            case .closed: .closed
            case .invalidArgument: .invalidTarget
            case .invalidConfiguration: .misconfigured
            case .connectFailed, .tlsFailed, .authenticationRefused, .notAllowed: .unreachable
            case _ where error.outcomeIsUnknown: .connectionLost
            case .connectionLost, .connectionClosed: .unreachable
            default: .rejected
            }
        self.init(code, error.description, cause: error)
    }
}
