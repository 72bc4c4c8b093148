import AMQPClient
import Logging
import TestSupport
import Testing

/// Faults of a whole node: each test has a node of its own.
@Suite(.serialized, .timeLimit(.minutes(5))) struct BrokerFaultTests {
    // Fault 1, 2, 3, 24, one after the other: a node takes seconds to start.
    @Test func `a node that is restarted, killed or out of memory costs nothing but time`() async throws {
        try await PrivateNode.with { node in
            // Fault 1: the client is there before its broker.
            try await node.stop()
            var configuration = try AMQPConfiguration(url: node.url)
            configuration.operationTimeout = .seconds(60)
            let early = AMQPConnection(configuration, logger: Logger(label: "test"))
            async let opening: Void = early.open(timeout: .seconds(120))
            try await node.start()
            let started = ContinuousClock.now
            try await opening
            #expect(.now - started < .seconds(5))
            await early.close()

            try await withConnection(url: node.url, { $0.operationTimeout = .seconds(60) }) { connection in
                let consuming = try await connection.openChannel()
                try await consuming.declareExchange("x", type: .direct, durable: true)
                try await consuming.declareQueue("durable", durable: true)
                try await consuming.declareQueue("transient")
                for queue in ["durable", "transient"] {
                    try await consuming.bindQueue(queue, to: "x", routingKey: queue)
                }
                let received = Collector<AMQPDelivery>()
                for queue in ["durable", "transient"] {
                    try await consuming.consume(queue: queue, noAck: true, onDelivery: { received.add($0) })
                }
                let publishing = try await connection.openChannel()
                try await publishing.confirmPublishes()

                func exchange(_ text: String) async throws {
                    for queue in ["durable", "transient"] {
                        try await publishing.publish(
                            AMQPMessage(text),
                            exchange: "x",
                            routingKey: queue,
                            mandatory: true
                        )
                    }
                    try await received.wait { $0.count { $0.message.text == text } == 2 }
                }
                try await exchange("before")

                // Fault 2: stopped in order.
                try await node.stop()
                async let duringStop: Void = exchange("stopped")
                try await node.start()
                try await duringStop
                let ready = ContinuousClock.now
                while consuming.connection.state.description != "open" { try await Task.sleep(for: .milliseconds(5)) }
                #expect(.now - ready < .seconds(5))

                // Fault 3: killed.
                try await node.kill()
                try await node.start()
                try await exchange("killed")

                // Fault 24: out of memory.
                try await node.control("set_vm_memory_high_watermark", "0")
                try await withConnection(url: node.url) { other in
                    let channel = try await other.openChannel()
                    try await channel.confirmPublishes()
                    let error = try await failure {
                        for _ in 0..<50 {
                            try await channel.publish(
                                AMQPMessage("blocked"),
                                exchange: "",
                                routingKey: "nobody",
                                deadline: .now + .seconds(2)
                            )
                        }
                    }
                    // The first message still left; the broker says that it is blocked when it got that.
                    #expect(error.code == .blocked || error.code == .timeout)
                    async let waiting: Void = channel.publish(AMQPMessage("later"), exchange: "", routingKey: "nobody")
                    try await node.control("set_vm_memory_high_watermark", "0.4")
                    try await waiting
                }
            }
        }
    }
}
