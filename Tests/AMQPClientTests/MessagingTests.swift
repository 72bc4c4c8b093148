import AMQPClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct PublishingAndConsumingTests {
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

    @Test func `what a connection does is counted, over all its lives`() async throws {
        try await withVirtualHost { url, name in
            try await withConnection(url: url) { connection in
                #expect(connection.figures.connects == 1)
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                try await channel.declareQueue("work", arguments: ["x-max-length": 2, "x-overflow": "reject-publish"])
                for _ in 0..<2 { try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "work") }
                _ = try await failure { try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "work") }
                _ = try await failure {
                    try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "nobody", mandatory: true)
                }
                var figures = connection.figures
                #expect(figures.published == 4)
                #expect(figures.confirmed == 3)
                #expect(figures.refused == 1)
                #expect(figures.returned == 1)
                #expect(figures.delivered == 0)
                let received = Collector<AMQPDelivery>()
                // Not over the channel that had a refusal: that one is renewed, and what it was handed comes again.
                let other = try await connection.openChannel()
                try await other.consume(queue: "work", onDelivery: { received.add($0) })
                try await received.wait(for: 2)
                // Unacknowledged, so that both come again.
                try await closeConnections(virtualHost: name)
                try await received.wait(for: 4)
                figures = connection.figures
                #expect(figures.connects >= 2)
                // More than twice, where the connection is slow to come back.
                #expect(figures.delivered >= 4)
                #expect(figures.redelivered == figures.delivered - 2)
                #expect(figures.blocks == 0)
            }
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

@Suite(.timeLimit(.minutes(3))) struct ConsumingTests {
    /// A queue with numbered messages, and what consumes them.
    private func withQueue(
        of count: Int,
        _ body: (AMQPChannel, Collector<AMQPDelivery>) async throws -> Void
    ) async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("q")
            for number in 0..<count {
                try await channel.publish(AMQPMessage("\(number)"), exchange: "", routingKey: "q")
            }
            try await body(channel, Collector())
        }
    }

    @Test func `no more than the prefetch is delivered before something is acknowledged`() async throws {
        try await self.withQueue(of: 10) { channel, received in
            try await channel.setPrefetch(count: 3)
            try await channel.consume(queue: "q", onDelivery: { received.add($0) })
            let first = try await received.wait(for: 3)
            // A round trip behind the deliveries: more would have come before its answer.
            #expect(try await channel.declareQueuePassively("q").messageCount == 7)
            #expect(received.all.count == 3)
            try await channel.acknowledge(upTo: first[1].deliveryTag)
            try await received.wait(for: 5)
            try await channel.acknowledge(received.all)
            try await received.wait(for: 8)
        }
    }

    @Test func `what is refused comes again or goes, as asked`() async throws {
        try await self.withQueue(of: 4) { channel, received in
            try await channel.consume(queue: "q", onDelivery: { received.add($0) })
            let all = try await received.wait(for: 4)
            #expect(try await channel.reject(all[0].deliveryTag, requeue: false))
            #expect(try await channel.reject(all[1].deliveryTag, requeue: true))
            let again = try await received.wait(for: 5)
            #expect(again[4].redelivered && again[4].message.text == "1")
            #expect(try await channel.acknowledge(all[2].deliveryTag))
            #expect(try await channel.nack(again[4].deliveryTag, multiple: true, requeue: false))
            await channel.close()
            let other = try await channel.connection.openChannel()
            #expect(try await other.declareQueuePassively("q").messageCount == 0)
        }
    }

    @Test func `after a cancellation nothing more is delivered and the rest stays in the queue`() async throws {
        try await self.withQueue(of: 5) { channel, received in
            try await channel.setPrefetch(count: 2)
            let tag = try await channel.consume(queue: "q", tag: "mine", onDelivery: { received.add($0) })
            #expect(tag == "mine")
            #expect(await channel.activeConsumers == ["mine"])
            try await received.wait(for: 2)
            try await channel.cancelConsumer(tag)
            let count = received.all.count
            #expect(await channel.activeConsumers.isEmpty)
            try await channel.acknowledge(received.all)
            #expect(try await channel.declareQueuePassively("q").messageCount == 5 - count)
            #expect(received.all.count == count)
            try await channel.cancelConsumer(tag)
        }
    }

    @Test func `a consumer that the broker refuses disturbs no other`() async throws {
        try await self.withQueue(of: 0) { channel, received in
            try await channel.consume(queue: "q", tag: "first", exclusive: true, onDelivery: { received.add($0) })
            let twice = try await failure { try await channel.consume(queue: "q", tag: "first", onDelivery: { _ in }) }
            #expect(twice.code == .invalidArgument)
            let missing = try await failure { try await channel.consume(queue: "none", onDelivery: { _ in }) }
            #expect(missing.code == .notFound && missing.operation == "basic.consume 'none'")
            let refused = try await failure { try await channel.consume(queue: "q", onDelivery: { _ in }) }
            #expect(refused.code == .accessRefused)
            // The channel was closed by the broker and is open again, with its consumer.
            try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "q", mandatory: true)
            try await received.wait(for: 1)
            // What the broker sends first reaches the closure; that the consumer is restored is noted right after it.
            for _ in 1...500 where await channel.activeConsumers != ["first"] {
                try await ContinuousClock().sleep(for: .milliseconds(10))
            }
            #expect(await channel.activeConsumers == ["first"])
        }
    }

    @Test func `without confirms an unroutable message is reported to the channel`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            let returned = Collector<AMQPReturn>()
            await channel.onReturn { returned.add($0) }
            try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "nobody", mandatory: true)
            let first = try #require(try await returned.wait(for: 1).first)
            #expect(first.replyCode == 312 && first.routingKey == "nobody" && first.message.text == "x")
        }
    }

    @Test func `each of many unroutable messages fails and the others are confirmed`() async throws {
        try await self.withQueue(of: 0) { channel, _ in
            let outcomes = Collector<Bool>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let key = number % 3 == 0 ? "nobody" : "q"
                        do {
                            try await channel.publish(
                                AMQPMessage("same"),
                                exchange: "",
                                routingKey: key,
                                mandatory: true
                            )
                            #expect(key == "q")
                            outcomes.add(true)
                        } catch let error as AMQPError {
                            #expect(error.code == .unroutable && key == "nobody")
                            outcomes.add(false)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(outcomes.all.count { $0 } == 200 && outcomes.all.count { !$0 } == 100)
        }
    }

    // Fault 18.
    @Test func `an exchange that does not exist fails its message and no other`() async throws {
        try await self.withQueue(of: 0) { channel, received in
            try await channel.consume(queue: "q", onDelivery: { received.add($0) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let error = try await failure {
                        try await channel.publish(AMQPMessage("lost"), exchange: "missing", routingKey: "q")
                    }
                    #expect(error.code == .notFound && error.replyCode == 404 && !error.isRetriable)
                }
                try await group.waitForAll()
                for number in 0..<20 {
                    group.addTask {
                        try await channel.publish(AMQPMessage("\(number)"), exchange: "", routingKey: "q")
                    }
                }
                try await group.waitForAll()
            }
            try await received.wait { deliveries in
                Set(deliveries.map { $0.message.text }) == Set((0..<20).map { "\($0)" })
            }
        }
    }
}
