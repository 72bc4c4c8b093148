internal import CRabbitMQ

extension OutboundMethod {
    /// Puts the method into the writer as one frame.
    func encode(
        on channel: UInt16,
        to writer: inout FrameWriter,
        with arena: borrowing EncodingArena
    ) throws(AMQPError) {
        defer { arena.reset() }
        do {
            try self.encodeUnnamed(on: channel, to: &writer, with: arena)
        } catch {
            throw error.during(self.description)
        }
    }

    private func encodeUnnamed(
        on channel: UInt16,
        to writer: inout FrameWriter,
        with arena: borrowing EncodingArena
    ) throws(AMQPError) {
        switch self {
        case .publish(let exchange, let routingKey, let mandatory):
            var raw = unsafe amqp_basic_publish_t()
            unsafe raw.exchange = try arena.shortString(exchange, "exchange's name")
            unsafe raw.routing_key = try arena.shortString(routingKey, "routing key")
            unsafe raw.mandatory = mandatory ? 1 : 0
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .acknowledge(let tag, let multiple):
            var raw = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .reject(let tag, let requeue):
            var raw = amqp_basic_reject_t(delivery_tag: tag, requeue: requeue ? 1 : 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .nack(let tag, let multiple, let requeue):
            var raw = amqp_basic_nack_t(delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .setPrefetch(let count, let global):
            var raw = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: count, global: global ? 1 : 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .consume(let consumer):
            var raw = unsafe amqp_basic_consume_t()
            unsafe raw.queue = try arena.shortString(consumer.queue, "queue's name")
            unsafe raw.consumer_tag = try arena.shortString(consumer.tag, "consumer's tag")
            unsafe raw.no_ack = consumer.noAck ? 1 : 0
            unsafe raw.exclusive = consumer.exclusive ? 1 : 0
            unsafe raw.arguments = try arena.table(consumer.arguments)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .cancel(let tag, let noWait):
            var raw = unsafe amqp_basic_cancel_t()
            unsafe raw.consumer_tag = try arena.shortString(tag, "consumer's tag")
            unsafe raw.nowait = noWait ? 1 : 0
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .openChannel:
            var raw = unsafe amqp_channel_open_t()
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .closeChannel(let reply):
            var raw = unsafe amqp_channel_close_t()
            unsafe raw.reply_code = UInt16(truncatingIfNeeded: reply.code)
            unsafe raw.reply_text = try arena.shortString(reply.text, "reply text")
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .flowOK(let active):
            var raw = amqp_channel_flow_ok_t(active: active ? 1 : 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .closeChannelOK, .closeConnectionOK, .selectConfirms:
            // None of the three has arguments; the encoder looks at the number alone.
            var raw = amqp_confirm_select_t(nowait: 0)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .startOK, .tuneOK, .openConnection, .closeConnection:
            try self.encodeConnectionMethod(to: &writer, with: arena)
        case .declareExchange, .deleteExchange, .declareQueue, .deleteQueue, .purgeQueue, .bind, .unbind:
            try self.encodeTopology(on: channel, to: &writer, with: arena)
        }
    }

    private func encodeConnectionMethod(
        to writer: inout FrameWriter,
        with arena: borrowing EncodingArena
    ) throws(AMQPError) {
        switch self {
        case .startOK(let properties, let mechanism, let response):
            var raw = unsafe amqp_connection_start_ok_t()
            unsafe raw.client_properties = try arena.table(properties)
            unsafe raw.mechanism = try arena.shortString(mechanism, "mechanism")
            unsafe raw.response = try arena.bytes(response)
            unsafe raw.locale = try arena.shortString("en_US", "locale")
            unsafe try writer.appendMethod(self.id, on: 0, &raw)
        case .tuneOK(let channelMax, let frameMax, let heartbeat):
            var raw = amqp_connection_tune_ok_t(
                channel_max: UInt16(clamping: channelMax),
                frame_max: UInt32(clamping: frameMax),
                heartbeat: UInt16(clamping: heartbeat)
            )
            unsafe try writer.appendMethod(self.id, on: 0, &raw)
        case .openConnection(let virtualHost):
            var raw = unsafe amqp_connection_open_t()
            unsafe raw.virtual_host = try arena.shortString(virtualHost, "virtual host's name")
            unsafe try writer.appendMethod(self.id, on: 0, &raw)
        case .closeConnection(let reply):
            var raw = unsafe amqp_connection_close_t()
            unsafe raw.reply_code = UInt16(truncatingIfNeeded: reply.code)
            unsafe raw.reply_text = try arena.shortString(reply.text, "reply text")
            unsafe try writer.appendMethod(self.id, on: 0, &raw)
        default:
            preconditionFailure("\(self) is not a method of the connection")
        }
    }

    private func encodeTopology(
        on channel: UInt16,
        to writer: inout FrameWriter,
        with arena: borrowing EncodingArena
    ) throws(AMQPError) {
        switch self {
        case .declareExchange(let exchange, let passive):
            var raw = unsafe amqp_exchange_declare_t()
            unsafe raw.exchange = try arena.shortString(exchange.name, "exchange's name")
            unsafe raw.type = try arena.shortString(exchange.type.description, "exchange's type")
            unsafe raw.passive = passive ? 1 : 0
            unsafe raw.durable = exchange.durable ? 1 : 0
            unsafe raw.auto_delete = exchange.autoDelete ? 1 : 0
            unsafe raw.internal = exchange.isInternal ? 1 : 0
            unsafe raw.arguments = try arena.table(exchange.arguments)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .deleteExchange(let name, let ifUnused):
            var raw = unsafe amqp_exchange_delete_t()
            unsafe raw.exchange = try arena.shortString(name, "exchange's name")
            unsafe raw.if_unused = ifUnused ? 1 : 0
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .declareQueue(let queue, let passive):
            var raw = unsafe amqp_queue_declare_t()
            unsafe raw.queue = try arena.shortString(queue.isServerNamed ? "" : queue.name, "queue's name")
            unsafe raw.passive = passive ? 1 : 0
            unsafe raw.durable = queue.durable ? 1 : 0
            unsafe raw.exclusive = queue.exclusive ? 1 : 0
            unsafe raw.auto_delete = queue.autoDelete ? 1 : 0
            unsafe raw.arguments = try arena.table(queue.arguments)
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            var raw = unsafe amqp_queue_delete_t()
            unsafe raw.queue = try arena.shortString(name, "queue's name")
            unsafe raw.if_unused = ifUnused ? 1 : 0
            unsafe raw.if_empty = ifEmpty ? 1 : 0
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .purgeQueue(let name):
            var raw = unsafe amqp_queue_purge_t()
            unsafe raw.queue = try arena.shortString(name, "queue's name")
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case .bind(let binding), .unbind(let binding):
            try self.encode(binding, on: channel, to: &writer, with: arena)
        default:
            preconditionFailure("\(self) does not concern exchanges or queues")
        }
    }

    private func encode(
        _ binding: Binding,
        on channel: UInt16,
        to writer: inout FrameWriter,
        with arena: borrowing EncodingArena
    ) throws(AMQPError) {
        let destination = unsafe try arena.shortString(binding.destinationName, "destination of a binding")
        let source = unsafe try arena.shortString(binding.source, "exchange's name")
        let routingKey = unsafe try arena.shortString(binding.routingKey, "routing key")
        let arguments = unsafe try arena.table(binding.arguments)
        switch self.id {
        case MethodID.queueBind:
            var raw = unsafe amqp_queue_bind_t()
            unsafe raw.queue = destination
            unsafe raw.exchange = source
            unsafe raw.routing_key = routingKey
            unsafe raw.arguments = arguments
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        case MethodID.queueUnbind:
            var raw = unsafe amqp_queue_unbind_t()
            unsafe raw.queue = destination
            unsafe raw.exchange = source
            unsafe raw.routing_key = routingKey
            unsafe raw.arguments = arguments
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        default:
            // exchange.bind and exchange.unbind have the same arguments.
            var raw = unsafe amqp_exchange_bind_t()
            unsafe raw.destination = destination
            unsafe raw.source = source
            unsafe raw.routing_key = routingKey
            unsafe raw.arguments = arguments
            unsafe try writer.appendMethod(self.id, on: channel, &raw)
        }
    }
}
