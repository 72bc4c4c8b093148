import AMQPClient
import FaultHarness
import Logging
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RecoveryTests {
    // Fault 15: an operator closes the connection.
    @Test func `after the broker closed the connection everything works as before`() async throws {
        try await withVirtualHost { url, name in
            try await withConnection(url: url) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                try await channel.declareExchange("topics", type: .topic)
                let queue = try await channel.declareQueue(exclusive: true).name
                try await channel.bindQueue(queue, to: "topics", routingKey: "a.*")
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: queue, onDelivery: { received.add($0) })
                try await channel.publish(AMQPMessage("before"), exchange: "topics", routingKey: "a.b")
                let before = try #require(try await received.wait(for: 1).first)

                try await closeConnections(virtualHost: name)
                // A message that is written before the close is read may be lost with the connection, and says so.
                for _ in 0..<400 {
                    guard case .open = connection.state else { break }
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await channel.publish(
                    AMQPMessage("after"),
                    exchange: "topics",
                    routingKey: "a.c",
                    mandatory: true
                )
                let all = try await received.wait { $0.contains { $0.message.text == "after" } }
                #expect(try await !channel.acknowledge(before.deliveryTag))
                let after = try #require(all.last)
                #expect(try await channel.acknowledge(after.deliveryTag))
                #expect(await channel.currentName(ofQueue: queue) != queue)
            }
        }
    }

    @Test func `a queue that is deleted under its consumer is declared and consumed again`() async throws {
        try await withVirtualHost { url, name in
            try await withConnection(url: url) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                try await channel.declareQueue("work")
                let received = Collector<AMQPDelivery>()
                let cancelled = Collector<AMQPCancellation>()
                try await channel.consume(
                    queue: "work",
                    onDelivery: { received.add($0) },
                    onCancelled: { cancelled.add($0) }
                )
                try await TestBroker().deleteQueue("work", virtualHost: name)
                #expect(try await cancelled.wait(for: 1).first?.resumes == true)
                var isActive = false
                for _ in 0..<400 where !isActive {
                    isActive = await !channel.activeConsumers.isEmpty
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "work", mandatory: true)
                try await received.wait(for: 1)
            }
        }
    }

    // Fault 3: the pauses of several connections must not add up to the longest of them.
    @Test func `connections that wait for their next attempts come as soon as one of them has got in`() async throws {
        try await withVirtualHost { url, _ in
            try await FaultProxy.with(before: url) { proxy, url in
                var configuration = try AMQPConfiguration(url: url)
                configuration.backoff = .init(initial: .milliseconds(20), maximum: .seconds(15), multiplier: 1_000)
                let arrivals = Collector<ContinuousClock.Instant>()
                let connections = (0..<4).map { _ in AMQPConnection(configuration, logger: Logger(label: "test")) }
                for connection in connections { try await connection.open() }
                proxy.onForward { arrivals.add($0) }
                proxy.admit(.reset)
                let accepted = proxy.accepted
                proxy.cut()
                while proxy.accepted < accepted + 4 { try await Task.sleep(for: .milliseconds(5)) }
                // Each is in a pause of anything up to fifteen seconds now, or soon.
                try await Task.sleep(for: .milliseconds(200))
                proxy.heal()
                let times = try await arrivals.wait(for: 4, .seconds(30))
                #expect(times[3] - times[0] < .seconds(1), "\(times.map { $0 - times[0] })")
                for connection in connections { await connection.close() }
            }
        }
    }

    @Test func `a failed declaration disturbs nothing else on the channel`() async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("work")
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: "work", onDelivery: { received.add($0) })
            try await channel.publish(AMQPMessage("x"), exchange: "", routingKey: "work")
            let delivery = try #require(try await received.wait(for: 1).first)
            let error = try await failure { try await channel.declareQueue("work", durable: true) }
            #expect(error.code == .preconditionFailed)
            #expect(error.replyCode == 406)
            #expect(error.operation.contains("queue.declare 'work'"))
            #expect(try await channel.acknowledge(delivery.deliveryTag))
        }
    }
}
