import AMQPClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct PublishingAndConsumingTests {
    @Test func `a confirmed message reaches a consumer and is acknowledged`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.setPrefetch(count: 10)
            try await channel.declareQueue("work")
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: "work", onDelivery: { received.add($0) })
            try await channel.publish(AMQPMessage("hello"), exchange: "", routingKey: "work", mandatory: true)
            let delivery = try #require(try await received.wait(for: 1).first)
            #expect(delivery.message.text == "hello")
            #expect(try await channel.acknowledge(delivery.deliveryTag))
            #expect(try await !channel.acknowledge(delivery.deliveryTag))
            #expect(try await channel.declareQueuePassively("work").consumerCount == 1)
        }
    }

    @Test func `a mandatory message without a queue fails as unroutable`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let error = try await failure {
                try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "nobody", mandatory: true)
            }
            #expect(error.code == .unroutable)
            #expect(error.replyCode == 312)
        }
    }

    @Test func `a thousand messages are confirmed together and acknowledged in any order`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.setPrefetch(count: 64)
            try await channel.declareQueue("work")
            let received = Collector<Int>()
            let (stream, continuation) = AsyncStream.makeStream(of: [AMQPDelivery].self)
            try await channel.consume(queue: "work", onDelivery: { continuation.yield($0) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await batch in stream {
                        for delivery in batch.shuffled() {
                            received.add(Int(delivery.message.text) ?? -1)
                            try await channel.acknowledge([delivery])
                        }
                        if received.all.count == 1_000 { return }
                    }
                }
                for number in 0..<1_000 {
                    group.addTask {
                        try await channel.publish(AMQPMessage("\(number)"), exchange: "", routingKey: "work")
                    }
                }
                try await group.waitForAll()
            }
            #expect(Set(received.all) == Set(0..<1_000))
            await channel.close()
            let other = try await connection.openChannel()
            #expect(try await other.declareQueuePassively("work").messageCount == 0)
        }
    }
}
