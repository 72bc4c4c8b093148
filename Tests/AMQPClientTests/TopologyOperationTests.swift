import AMQPClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct TopologyOperationTests {
    @Test func `messages pass through bindings of every kind and no more after they are removed`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareExchange("first", type: .topic)
            try await channel.declareExchange("second", type: .fanout, autoDelete: true, isInternal: true)
            try await channel.declareExchange("third", type: .headers)
            try await channel.declareQueue("q")
            try await channel.bindExchange("second", to: "first", routingKey: "a.#")
            try await channel.bindQueue("q", to: "second")
            try await channel.bindQueue("q", to: "third", arguments: ["x-match": "all", "colour": "red", "size": 7])
            try await channel.publish(AMQPMessage("1"), exchange: "first", routingKey: "a.b.c", mandatory: true)
            var red = AMQPMessage("2")
            red.properties.headers = ["colour": "red", "size": 7, "more": true]
            try await channel.publish(red, exchange: "third", routingKey: "", mandatory: true)
            #expect(try await channel.purgeQueue("q") == 2)

            red.properties.headers?["colour"] = "blue"
            var error = try await failure {
                try await channel.publish(red, exchange: "third", routingKey: "", mandatory: true)
            }
            #expect(error.code == .unroutable)
            try await channel.unbindExchange("second", from: "first", routingKey: "a.#")
            error = try await failure {
                try await channel.publish(AMQPMessage("3"), exchange: "first", routingKey: "a.b", mandatory: true)
            }
            #expect(error.code == .unroutable)
            try await channel.unbindQueue("q", from: "second")
            error = try await failure { try await channel.declareExchangePassively("second") }
            #expect(error.code == .notFound)
            try await channel.deleteExchange("first")
            error = try await failure { try await channel.declareExchangePassively("first") }
            #expect(error.code == .notFound && error.replyCode == 404)
        }
    }

    @Test func `conditions of a deletion are obeyed`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("q")
            try await channel.publish(AMQPMessage("1"), exchange: "", routingKey: "q")
            let notEmpty = try await failure { try await channel.deleteQueue("q", ifEmpty: true) }
            #expect(notEmpty.code == .preconditionFailed)
            let tag = try await channel.consume(queue: "q", onDelivery: { _ in })
            let used = try await failure { try await channel.deleteQueue("q", ifUnused: true) }
            #expect(used.code == .preconditionFailed)
            try await channel.cancelConsumer(tag)
            try await channel.deleteQueue("q")
            let missing = try await failure { _ = try await channel.declareQueuePassively("q") }
            #expect(missing.code == .notFound && !missing.isRetriable)
        }
    }

    @Test func `a consumer whose queue this program deletes ends for good`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.declareQueue("q")
            let cancelled = Collector<AMQPCancellation>()
            try await channel.consume(queue: "q", onDelivery: { _ in }, onCancelled: { cancelled.add($0) })
            try await channel.deleteQueue("q")
            #expect(try await cancelled.wait(for: 1).first?.resumes == false)
            let missing = try await failure { _ = try await channel.declareQueuePassively("q") }
            #expect(missing.code == .notFound)
        }
    }

    @Test func `an exclusive queue is locked for others`() async throws {
        try await withVirtualHost { url, _ in
            try await withConnection(url: url) { owner in
                try await withConnection(url: url) { other in
                    try await owner.openChannel().declareQueue("mine", exclusive: true)
                    let channel = try await other.openChannel()
                    let error = try await failure { _ = try await channel.declareQueue("mine", exclusive: true) }
                    #expect(error.code == .resourceLocked && error.isRetriable)
                    // The channel of operations was closed by it, and works again at once.
                    try await channel.declareQueue("ours")
                }
            }
        }
    }

    @Test func `names that do not fit are refused before they are sent`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            let long = String(repeating: "ä", count: 128)
            for operation in [
                { try await channel.declareQueue(long) },
                { try await channel.declareExchange(long, type: .fanout) },
                { try await channel.declareExchange("x", type: AMQPExchangeType(long)) },
                { try await channel.bindQueue("q", to: "x", routingKey: long) },
                { try await channel.consume(queue: long, onDelivery: { _ in }) },
                { try await channel.declareQueue("q", arguments: [long: 1]) },
                {
                    try await channel.declareQueue(
                        "q",
                        arguments: ["big": .bytes([UInt8](repeating: 0, count: 200_000))]
                    )
                },
                { try await channel.publish(AMQPMessage(""), exchange: long, routingKey: "") },
                { try await channel.publish(AMQPMessage(""), exchange: "", routingKey: long) },
            ] as [() async throws -> Void] {
                let error = try await failure(operation)
                #expect(error.code == .invalidArgument && !error.isRetriable)
            }
            try await channel.declareQueue(String(long.dropLast()) + "x")
        }
    }

    // A kind of exchange that does not exist is an error of the whole connection (503), which comes back.
    @Test func `an operation that costs the connection fails once and is not repeated for ever`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.declareQueue("q")
            let error = try await failure {
                try await channel.declareExchange("x", type: AMQPExchangeType("no-such-kind"))
            }
            #expect(error.replyCode == 503 && error.operation == "exchange.declare 'x'")
            #expect(try await channel.declareQueuePassively("q").name == "q")
        }
    }
}
