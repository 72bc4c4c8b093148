import AMQPClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct PropertyTests {
    static let everyType: AMQPTable = [
        "void": .void, "true": .bool(true), "false": .bool(false),
        "int8": .int8(.min), "uint8": .uint8(.max), "int16": .int16(.min), "uint16": .uint16(.max),
        "int32": .int32(.min), "uint32": .uint32(.max), "int64": .int64(.min), "int64max": .int64(.max),
        "float": .float(-1.5), "double": .double(.pi), "decimal": .decimal(scale: 2, value: 12_345),
        "string": .string("größer 👍"), "empty": .string(""), "bytes": .bytes([0, 255, 128]),
        "timestamp": .timestamp(1_700_000_000),
        "array": .array([.int32(1), .string("two"), .array([]), .table([:]), .void]),
        "table": .table(["nested": .table(["deeper": .array([.bool(true)])])]),
    ]

    @Test func `a message keeps every property and every type of header`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("q")
            var message = AMQPMessage("body")
            message.properties.contentType = "application/json"
            message.properties.contentEncoding = "utf-8"
            message.properties.headers = Self.everyType
            message.properties.deliveryMode = .persistent
            message.properties.priority = 9
            message.properties.correlationID = "correlation"
            message.properties.replyTo = "reply"
            message.properties.expiration = .milliseconds(60_000)
            message.properties.messageID = "message"
            message.properties.timestamp = 1_700_000_000
            message.properties.type = "type"
            message.properties.userID = "guest"
            message.properties.appID = "app"
            message.properties.clusterID = "cluster"
            try await channel.publish(message, exchange: "", routingKey: "q", mandatory: true)
            try await channel.publish(AMQPMessage(""), exchange: "", routingKey: "q", mandatory: true)
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: "q", noAck: true, onDelivery: { received.add($0) })
            let deliveries = try await received.wait(for: 2)
            #expect(deliveries[0].message == message)
            #expect(deliveries[0].routingKey == "q" && deliveries[0].exchange == "" && !deliveries[0].redelivered)
            #expect(deliveries[1].message.properties == AMQPProperties())
        }
    }

    @Test func `arguments of a declaration reach the broker`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let arguments: AMQPTable = [
                "x-max-length": 1, "x-overflow": "reject-publish", "x-queue-mode": "lazy",
                "x-own": .table(Self.everyType),
            ]
            try await channel.declareQueue("q", arguments: arguments)
            try await channel.declareQueue("q", arguments: arguments)
            try await channel.publish(AMQPMessage("1"), exchange: "", routingKey: "q")
            // Fault 25: a full queue that refuses.
            let error = try await failure {
                for _ in 0..<3 { try await channel.publish(AMQPMessage("2"), exchange: "", routingKey: "q") }
            }
            #expect(error.code == .rejected && error.isRetriable)
            let other = try await failure { try await channel.declareQueue("q", arguments: ["x-max-length": 2]) }
            #expect(other.code == .preconditionFailed)
        }
    }

    @Test(arguments: [0, 1, 131_063, 131_064, 131_065, 262_128, 1_000_000, 16 << 20])
    func `a body of any size arrives as it was sent`(size: Int) async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("q")
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            try await channel.publish(AMQPMessage(body: body), exchange: "", routingKey: "q", mandatory: true)
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: "q", noAck: true, onDelivery: { received.add($0) })
            #expect(try await received.wait(for: 1).first?.message.body == body)
        }
    }

    // Fault 30.
    @Test func `a body beyond the limit is neither sent nor taken`() async throws {
        try await withVirtualHost { url, _ in
            try await withConnection(url: url) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                try await channel.declareQueue("dead")
                try await channel.declareQueue(
                    "q",
                    arguments: ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"]
                )
                try await channel.publish(
                    AMQPMessage(body: [UInt8](repeating: 1, count: 300_000)),
                    exchange: "",
                    routingKey: "q"
                )
                try await channel.publish(AMQPMessage("small"), exchange: "", routingKey: "q")
                let dead = Collector<AMQPDelivery>()
                try await channel.consume(queue: "dead", noAck: true, onDelivery: { dead.add($0) })
                try await withConnection(url: url, { $0.maxBodySize = 200_000 }) { limited in
                    let channel = try await limited.openChannel()
                    let received = Collector<AMQPDelivery>()
                    try await channel.consume(queue: "q", onDelivery: { received.add($0) })
                    #expect(try await received.wait(for: 1).first?.message.text == "small")
                    #expect(try await dead.wait(for: 1).first?.message.body.count == 300_000)
                    let error = try await failure {
                        try await channel.publish(
                            AMQPMessage(body: [UInt8](repeating: 1, count: 200_001)),
                            exchange: "",
                            routingKey: "q"
                        )
                    }
                    #expect(error.code == .messageTooLarge)
                }
            }
        }
    }

    @Test func `headers that do not fit a frame are refused and nothing half is sent`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("q")
            var message = AMQPMessage("x")
            message.properties.headers = ["big": .string(String(repeating: "x", count: 200_000))]
            let big = try await failure { try await channel.publish(message, exchange: "", routingKey: "q") }
            #expect(big.code == .invalidArgument)
            var nested = AMQPValue.void
            for _ in 0..<10_000 { nested = .array([nested]) }
            message.properties.headers = ["deep": nested]
            let deep = try await failure { try await channel.publish(message, exchange: "", routingKey: "q") }
            #expect(deep.code == .invalidArgument)
            message.properties.headers = ["fits": .string(String(repeating: "x", count: 100_000))]
            try await channel.publish(message, exchange: "", routingKey: "q", mandatory: true)
            #expect(try await channel.purgeQueue("q") == 1)
        }
    }
}
