internal import CRabbitMQ

/// A method that this client sends.
enum OutboundMethod: Sendable {
    case startOK(properties: AMQPTable, mechanism: String, response: [UInt8])
    case tuneOK(channelMax: Int, frameMax: Int, heartbeat: Int)
    case openConnection(virtualHost: String)
    case closeConnection(CloseReply)
    case closeConnectionOK
    case openChannel
    case closeChannel(CloseReply)
    case closeChannelOK
    case flowOK(active: Bool)
    case declareExchange(ExchangeRecord, passive: Bool)
    case deleteExchange(String, ifUnused: Bool)
    case declareQueue(QueueRecord, passive: Bool)
    case deleteQueue(String, ifUnused: Bool, ifEmpty: Bool)
    case purgeQueue(String)
    case bind(Binding)
    case unbind(Binding)
    case setPrefetch(count: UInt16, global: Bool)
    case consume(ConsumeRecord)
    case cancel(tag: String, noWait: Bool)
    case selectConfirms
    case publish(exchange: String, routingKey: String, mandatory: Bool)
    case acknowledge(tag: UInt64, multiple: Bool)
    case reject(tag: UInt64, requeue: Bool)
    case nack(tag: UInt64, multiple: Bool, requeue: Bool)
}

extension OutboundMethod: CustomStringConvertible {
    /// The method and what it is about, for errors.
    var description: String {
        switch self {
        case .startOK: "log-in"
        case .tuneOK: "connection.tune-ok"
        case .openConnection(let virtualHost): "connection.open '\(virtualHost)'"
        case .closeConnection: "connection.close"
        case .closeConnectionOK: "connection.close-ok"
        case .openChannel: "channel.open"
        case .closeChannel: "channel.close"
        case .closeChannelOK: "channel.close-ok"
        case .flowOK: "channel.flow-ok"
        case .declareExchange(let exchange, _): "exchange.declare '\(exchange.name)'"
        case .deleteExchange(let name, _): "exchange.delete '\(name)'"
        case .declareQueue(let queue, _): "queue.declare '\(queue.isServerNamed ? "" : queue.name)'"
        case .deleteQueue(let name, _, _): "queue.delete '\(name)'"
        case .purgeQueue(let name): "queue.purge '\(name)'"
        case .bind(let binding): "\(binding.method).bind \(binding)"
        case .unbind(let binding): "\(binding.method).unbind \(binding)"
        case .setPrefetch: "basic.qos"
        case .consume(let consumer): "basic.consume '\(consumer.queue)'"
        case .cancel(let tag, _): "basic.cancel '\(tag)'"
        case .selectConfirms: "confirm.select"
        case .publish(let exchange, let routingKey, _): "basic.publish '\(exchange)' '\(routingKey)'"
        case .acknowledge: "basic.ack"
        case .reject: "basic.reject"
        case .nack: "basic.nack"
        }
    }

    var id: UInt32 {
        switch self {
        case .startOK: MethodID.connectionStartOK
        case .tuneOK: MethodID.connectionTuneOK
        case .openConnection: MethodID.connectionOpen
        case .closeConnection: MethodID.connectionClose
        case .closeConnectionOK: MethodID.connectionCloseOK
        case .openChannel: MethodID.channelOpen
        case .closeChannel: MethodID.channelClose
        case .closeChannelOK: MethodID.channelCloseOK
        case .flowOK: MethodID.channelFlowOK
        case .declareExchange: MethodID.exchangeDeclare
        case .deleteExchange: MethodID.exchangeDelete
        case .declareQueue: MethodID.queueDeclare
        case .deleteQueue: MethodID.queueDelete
        case .purgeQueue: MethodID.queuePurge
        case .bind(let binding): binding.isOfQueue ? MethodID.queueBind : MethodID.exchangeBind
        case .unbind(let binding): binding.isOfQueue ? MethodID.queueUnbind : MethodID.exchangeUnbind
        case .setPrefetch: MethodID.basicQoS
        case .consume: MethodID.basicConsume
        case .cancel: MethodID.basicCancel
        case .selectConfirms: MethodID.confirmSelect
        case .publish: MethodID.basicPublish
        case .acknowledge: MethodID.basicAck
        case .reject: MethodID.basicReject
        case .nack: MethodID.basicNack
        }
    }

    /// The method that answers this one.
    ///
    /// Everywhere the next number, but for exchange.unbind.
    var replyID: UInt32 {
        self.id == MethodID.exchangeUnbind ? MethodID.exchangeUnbindOK : self.id + 1
    }
}

extension Binding: CustomStringConvertible {
    var isOfQueue: Bool {
        if case .queue = self.destination { true } else { false }
    }

    var method: String { self.isOfQueue ? "queue" : "exchange" }

    var destinationName: String {
        switch self.destination {
        case .queue(let name), .exchange(let name): name
        }
    }

    var description: String { "'\(self.destinationName)' to '\(self.source)' by '\(self.routingKey)'" }
}
