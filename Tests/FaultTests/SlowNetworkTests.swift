import AMQPClient
import FaultHarness
import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// A network of 1,000 bytes a second, where everything takes half a second more.
@Suite(.serialized, .timeLimit(.minutes(4))) struct SlowNetworkTests {
    private static let slow: @Sendable (inout FaultProxy.Flow) -> Void = { flow in
        flow.delay = .milliseconds(500)
        flow.bytesPerSecond = 1_000
    }

    private func withProxy(_ body: (_ proxy: FaultProxy, _ damaged: String, _ url: String) async throws -> Void)
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await FaultProxy.with(before: url) { proxy, damaged in try await body(proxy, damaged, url) }
        }
    }

    @Test func `fault 10: over a slow network calls are answered or end at their deadlines, and no connection is lost`()
        async throws
    {
        try await self.withProxy { proxy, damaged, _ in
            try await FaultService.with(damaged) { service in
                try await service.untilAnswered()
                proxy.change(nil, Self.slow)
                let started = ContinuousClock.now
                #expect(await service.call(timeout: .seconds(30)) == nil)
                FaultFigures.record(fault: 10, "a call at 1 kB/s and 500 ms", .now - started)

                // Far more than passes in their time.
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<12 {
                        group.addTask {
                            let started = ContinuousClock.now
                            let error = await service.call(timeout: .seconds(2))
                            #expect(
                                error == nil || [.timeout, .connectionLost].contains(error?.rpcCode),
                                "\(error as Any)"
                            )
                            #expect(.now - started < .milliseconds(2_300), "\(ContinuousClock.now - started)")
                        }
                    }
                }
                // Further ones may be made now, such as the one by which a time-out is explained.
                let figures = service.serverTransport.figures.connections + service.clientTransport.figures.connections
                #expect(figures.filter { $0.connects > 0 }.count >= 5)
                #expect(
                    figures.allSatisfy { $0.reconnects == 0 },
                    "a slow connection was taken for a dead one: \(figures)"
                )
                #expect(service.server.readiness == .ready)
                proxy.heal()
                try await service.untilAnswered(within: .seconds(5))
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }

    @Test func `fault 10: a connection over a slow network is made`() async throws {
        try await self.withProxy { proxy, damaged, _ in
            proxy.change(nil, Self.slow)
            let transport = RabbitMQTransport(try FaultService.configuration(damaged))
            let started = ContinuousClock.now
            try await transport.open(timeout: .seconds(60))
            FaultFigures.record(fault: 10, "two connections made at 1 kB/s and 500 ms", .now - started)
            #expect(transport.readiness == .ready)
            proxy.heal()
            await transport.close()
        }
    }

    @Test func `fault 10: a connection whose writes are stuck goes on reading, and keeps all deadlines`() async throws {
        try await self.withProxy { proxy, damaged, url in
            var configuration = try AMQPConfiguration(url: damaged)
            configuration.heartbeat = .seconds(2)
            let connection = AMQPConnection(configuration, logger: Logger(label: "slow"))
            let sender = AMQPConnection(try AMQPConfiguration(url: url), logger: Logger(label: "sender"))
            try await connection.open()
            try await sender.open()
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let queue = try await channel.declareQueue("slow").name
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: queue, noAck: true, onDelivery: { received.add($0) })
            proxy.change(.toBroker, Self.slow)
            let started = ContinuousClock.now
            // Both directions at once: it takes half an hour to send, and what comes is read meanwhile.
            async let upload = #expect(throws: AMQPError.self) {
                let large = AMQPMessage(body: [UInt8](repeating: 1, count: 2 << 20))
                try await channel.publish(large, exchange: "", routingKey: "slow", deadline: .now + .seconds(5))
            }
            let sending = try await sender.openChannel()
            for number in 0..<50 {
                try await sending.publish(AMQPMessage(body: [UInt8(number)]), exchange: "", routingKey: "slow")
                try await Task.sleep(for: .milliseconds(20))
            }
            try await received.wait(.seconds(3)) { $0.count == 50 }
            let error = await #expect(throws: AMQPError.self) {
                let small = AMQPMessage(body: [1])
                try await channel.publish(small, exchange: "", routingKey: "slow", deadline: .now + .seconds(1))
            }
            #expect(error?.code == .timeout)
            #expect(await upload?.code == .timeout)
            #expect(.now - started < .seconds(6))
            #expect(proxy.accepted == 1)
            // It does not wait for the stuck bytes either.
            let closing = ContinuousClock.now
            await connection.close()
            FaultFigures.record(fault: 10, "closed with 2 MiB unsent", .now - closing)
            #expect(.now - closing < .seconds(6))
            await sender.close()
        }
    }
}
