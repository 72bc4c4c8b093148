import AMQPClient
import FaultHarness
import Foundation
import Glibc
import Logging
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Bodies that are larger than a frame, than the limits, and than what the broker takes.
@Suite(.serialized, .timeLimit(.minutes(4))) struct BodyFaultTests {
    @Test(arguments: [1, 16])
    func `fault 30: a body of many frames arrives whole`(_ mebibytes: Int) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            // 4 KiB are the least that a frame may be.
            try await FaultService.with(url, configure: { $0.connection.frameMax = mebibytes == 1 ? 4_096 : 131_072 }) {
                let item = FaultService.Item(String(repeating: "0123456789abcdef", count: mebibytes << 16))
                $0.checker.offered(item.id, .call)
                let started = ContinuousClock.now
                let answer = try await $0.client.prepare { $0.timeout = .seconds(60) }.call(FaultService.echo, item)
                FaultFigures.record(fault: 30, "a call with \(mebibytes) MiB each way", .now - started)
                $0.checker.ended(item.id, answer == item ? .reply : .illegal("another result"))
                #expect($0.checker.violations == [])
            }
        }
    }

    @Test func `fault 30: what is above the limit is refused before a byte of it is sent`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultProxy.with(before: broker.url(virtualHost: name)) { proxy, url in
                try await FaultService.with(url) { service in
                    try await service.untilAnswered()
                    let before = proxy.bytes(.toBroker)
                    let body = [UInt8](repeating: 32, count: 130 << 20)
                    let started = ContinuousClock.now
                    let error = await #expect(throws: RPCError.self) {
                        let options = SendOptions(deadline: .now + .seconds(10))
                        try await service.clientTransport.send(
                            Message(body: body),
                            to: .topic("t", exchange: nil),
                            options: options
                        )
                    }
                    FaultFigures.record(fault: 30, "130 MiB refused", .now - started)
                    #expect(
                        error?.code == .tooLarge && error?.message.contains("\(130 << 20)") == true,
                        "\(error as Any)"
                    )
                    #expect(.now - started < .seconds(1))
                    #expect(proxy.bytes(.toBroker) - before < 4_096)
                    #expect(await service.call() == nil)
                }
            }
        }
    }

    @Test func `fault 30: what is above the broker's own limit is refused for that reason, once, and the rest goes on`()
        async throws
    {
        try await PrivateNode.with { node in
            try await node.control("eval", "application:set_env(rabbit, max_message_size, 1048576).")
            try await FaultProxy.with(before: node.url) { proxy, url in
                try await FaultService.with(url) { service in
                    try await service.untilAnswered()
                    let before = proxy.bytes(.toBroker)
                    let large = FaultService.Item(String(repeating: "x", count: 2 << 20))
                    for method in [FaultService.once, FaultService.surely] {
                        let error = await #expect(throws: RPCError.self) {
                            try await service.client.prepare { $0.timeout = .seconds(10) }.cast(method, large)
                        }
                        #expect(error?.code == .tooLarge, "\(error as Any)")
                        #expect(error?.message.contains("1048576") == true, "\(error as Any)")
                        // Over a new channel.
                        #expect(await service.call() == nil)
                    }
                    // Each was sent once: a repetition would end in the same way.
                    #expect(proxy.bytes(.toBroker) - before < 5 << 20)
                    #expect(service.clientTransport.readiness.isReady)
                }
            }
        }
    }

    @Test func `fault 30: a request above the server's limit costs it nothing, and the next one is served`()
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await FaultService.with(url, configure: { $0.connection.maxBodySize = 1 << 20 }) { service in
                let transport = RabbitMQTransport(try FaultService.configuration(url))
                let client = RPCClient(transport, target: service.client.target)
                let large = FaultService.Item(String(repeating: "x", count: 4 << 20))
                try await client.cast(FaultService.once, large)
                #expect(await service.call() == nil)
                #expect(service.checker.executions == 1)
                // It is not offered again and again.
                try await service.until(within: .seconds(10), "the queue is empty") {
                    let status = try await service.clientTransport.status(
                        of: .server("host", topic: service.client.target.topic, exchange: nil),
                        deadline: .now + .seconds(5)
                    )
                    return status?.messages == 0
                }
                await transport.close()
            }
        }
    }

    @Test func `fault 30: the limit is kept while a body is put together, however much is announced and comes`()
        async throws
    {
        let size = 130 << 20
        let rejected = Collector<[UInt8]>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            try peer.serve { channel, id in
                guard id == 0x003C_0014 else { return }
                try peer.send(Wire.deliver(channel, consumer: "c", tag: 1))
                try peer.send(Wire.contentHeader(channel, bodySize: UInt64(size)))
                let part = Wire.frame(3, channel, [UInt8](repeating: 7, count: 130_000))
                for _ in 0..<(size / 130_000) { try peer.send(part) }
                try peer.send(Wire.frame(3, channel, [UInt8](repeating: 7, count: size % 130_000)))
                try peer.send(Wire.deliver(channel, consumer: "c", tag: 2) + Wire.contentHeader(channel, bodySize: 0))
                let answer = try peer.receiveMethod()
                if answer.id == 0x003C_005A { rejected.add([answer.arguments]) }
            }
        } _: { _, url in
            var configuration = try AMQPConfiguration(url: url)
            configuration.maxBodySize = 1 << 20
            var logger = Logger(label: "bodies")
            logger.logLevel = .critical
            let connection = AMQPConnection(configuration, logger: logger)
            try await connection.open()
            let channel = try await connection.openChannel()
            let before = try Self.residentBytes()
            let received = Collector<AMQPDelivery>()
            try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
            try await received.wait(.seconds(60)) { !$0.isEmpty }
            #expect(received.all.map(\.deliveryTag.number) == [2])
            try await rejected.wait(.seconds(5)) { !$0.isEmpty }
            // The tag, and that it does not go back to the queue.
            #expect(rejected.all == [[0, 0, 0, 0, 0, 0, 0, 1, 0]])
            #expect(try Self.residentBytes() - before < 48 << 20)
            await connection.close()
        }
    }

    private static func residentBytes() throws -> Int {
        let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
