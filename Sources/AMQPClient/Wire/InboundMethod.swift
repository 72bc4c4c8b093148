internal import CRabbitMQ

/// A method that the broker sent, its values copied out of librabbitmq's memory.
struct InboundMethod: Sendable {
    enum Arguments: Sendable {
        case start(mechanisms: String, properties: AMQPTable)
        case tune(channelMax: Int, frameMax: Int, heartbeat: Int)
        case close(CloseReply)
        case blocked(reason: String)
        case flow(active: Bool)
        case queueStatus(AMQPQueueStatus)
        case messageCount(Int)
        case consumerTag(String)
        case deliver(DeliverHeader)
        case returned(ReturnHeader)
        case confirm(tag: UInt64, multiple: Bool)
        case none
    }

    var id: UInt32
    var arguments: Arguments
}

/// What precedes a delivered message.
struct DeliverHeader: Sendable {
    var consumerTag: String
    var deliveryTag: UInt64
    var redelivered: Bool
    var exchange: String
    var routingKey: String
}

/// What precedes a returned message.
struct ReturnHeader: Sendable {
    var replyCode: Int
    var replyText: String
    var exchange: String
    var routingKey: String
}

/// The state of a queue when it was declared.
public struct AMQPQueueStatus: Sendable, Hashable {
    /// The queue's name, also where the broker made it up.
    public let name: String
    /// Messages that are ready for delivery.
    public let messageCount: Int
    /// Consumers that the queue has.
    public let consumerCount: Int
}

/// Strings of methods that repeat from message to message.
struct MethodMemo {
    var consumerTag = StringMemo()
    var exchange = StringMemo()
    var routingKey = StringMemo()
}

extension InboundMethod {
    /// Copies a method that librabbitmq decoded.
    init(id: UInt32, decoded: UnsafeRawPointer, _ memo: inout MethodMemo) {
        self.id = id
        switch id {
        case MethodID.basicDeliver:
            let raw = unsafe decoded.load(as: amqp_basic_deliver_t.self)
            let header = DeliverHeader(
                consumerTag: unsafe memo.consumerTag.string(raw.consumer_tag),
                deliveryTag: unsafe raw.delivery_tag,
                redelivered: unsafe raw.redelivered != 0,
                exchange: unsafe memo.exchange.string(raw.exchange),
                routingKey: unsafe memo.routingKey.string(raw.routing_key)
            )
            self.arguments = .deliver(header)
        case MethodID.basicAck:
            let raw = unsafe decoded.load(as: amqp_basic_ack_t.self)
            self.arguments = .confirm(tag: raw.delivery_tag, multiple: raw.multiple != 0)
        case MethodID.basicNack:
            let raw = unsafe decoded.load(as: amqp_basic_nack_t.self)
            self.arguments = .confirm(tag: raw.delivery_tag, multiple: raw.multiple != 0)
        case MethodID.basicReturn:
            let raw = unsafe decoded.load(as: amqp_basic_return_t.self)
            let header = ReturnHeader(
                replyCode: Int(unsafe raw.reply_code),
                replyText: unsafe String(raw.reply_text),
                exchange: unsafe String(raw.exchange),
                routingKey: unsafe String(raw.routing_key)
            )
            self.arguments = .returned(header)
        case MethodID.queueDeclareOK:
            let raw = unsafe decoded.load(as: amqp_queue_declare_ok_t.self)
            let status = AMQPQueueStatus(
                name: unsafe String(raw.queue),
                messageCount: Int(unsafe raw.message_count),
                consumerCount: Int(unsafe raw.consumer_count)
            )
            self.arguments = .queueStatus(status)
        case MethodID.queuePurgeOK:
            self.arguments = .messageCount(unsafe Int(decoded.load(as: amqp_queue_purge_ok_t.self).message_count))
        case MethodID.queueDeleteOK:
            self.arguments = .messageCount(unsafe Int(decoded.load(as: amqp_queue_delete_ok_t.self).message_count))
        case MethodID.basicConsumeOK:
            self.arguments = .consumerTag(unsafe String(decoded.load(as: amqp_basic_consume_ok_t.self).consumer_tag))
        case MethodID.basicCancelOK:
            self.arguments = .consumerTag(unsafe String(decoded.load(as: amqp_basic_cancel_ok_t.self).consumer_tag))
        case MethodID.basicCancel:
            self.arguments = .consumerTag(unsafe String(decoded.load(as: amqp_basic_cancel_t.self).consumer_tag))
        default:
            self.arguments = unsafe Self.connectionArguments(id: id, decoded: decoded)
        }
    }

    private static func connectionArguments(id: UInt32, decoded: UnsafeRawPointer) -> Arguments {
        switch id {
        case MethodID.connectionStart:
            let raw = unsafe decoded.load(as: amqp_connection_start_t.self)
            // Properties are shown in the log at most; what cannot be decoded is left out.
            let properties = unsafe (try? AMQPValue.table(decoding: raw.server_properties)) ?? [:]
            return .start(mechanisms: unsafe String(raw.mechanisms), properties: properties)
        case MethodID.connectionTune:
            let raw = unsafe decoded.load(as: amqp_connection_tune_t.self)
            return .tune(
                channelMax: Int(raw.channel_max),
                frameMax: Int(raw.frame_max),
                heartbeat: Int(raw.heartbeat)
            )
        case MethodID.connectionClose:
            let raw = unsafe decoded.load(as: amqp_connection_close_t.self)
            let reply = CloseReply(
                code: Int(unsafe raw.reply_code),
                text: unsafe String(raw.reply_text),
                methodID: unsafe UInt32(raw.class_id) << 16 | UInt32(raw.method_id)
            )
            return .close(reply)
        case MethodID.channelClose:
            let raw = unsafe decoded.load(as: amqp_channel_close_t.self)
            let reply = CloseReply(
                code: Int(unsafe raw.reply_code),
                text: unsafe String(raw.reply_text),
                methodID: unsafe UInt32(raw.class_id) << 16 | UInt32(raw.method_id)
            )
            return .close(reply)
        case MethodID.connectionBlocked:
            return .blocked(reason: unsafe String(decoded.load(as: amqp_connection_blocked_t.self).reason))
        case MethodID.channelFlow:
            return .flow(active: unsafe decoded.load(as: amqp_channel_flow_t.self).active != 0)
        default:
            return .none
        }
    }
}
