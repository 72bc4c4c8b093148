import AMQPClient
import FaultHarness
import Logging
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

/// Everything that is declared, before a broker that is as strict as RabbitMQ 4.3: it refuses queues that are neither durable
/// nor exclusive, prefetch that is shared by a channel, and mirroring.
@Suite(.timeLimit(.minutes(1))) struct DeclarationFaultTests {
    /// A broker of a version, that notes what it is asked, and refuses what 4.3 refuses.
    private static func serve(_ peer: FakeBroker.Peer, version: String, isStrict: Bool, _ asked: Box) throws {
        try peer.logIn(version: version)
        try peer.serve { channel, id, arguments in
            switch id {
            case 0x0032_000A:
                let nameEnd = 3 + Int(arguments[2])
                let name = String(decoding: arguments[3..<nameEnd], as: UTF8.self)
                let flags = arguments[nameEnd]
                guard flags & 1 == 0 else { return true }
                let isDurable = flags & 2 != 0
                let isExclusive = flags & 4 != 0
                let table = String(decoding: arguments[(nameEnd + 1)...], as: UTF8.self)
                asked.change {
                    $0.queues[name] = Asked.Queue(isDurable: isDurable, isExclusive: isExclusive, arguments: table)
                }
                guard isStrict, !isDurable, !isExclusive else { return true }
                asked.change { $0.refusals.append(name) }
                let text = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated."
                try peer.send(
                    Wire.method(
                        channel,
                        20,
                        40,
                        Wire.short(541) + Wire.shortString(text) + Wire.short(50) + Wire.short(10)
                    )
                )
                return false
            case 0x003C_000A:
                asked.change { $0.prefetches += 1 }
                if arguments.last == 1 { asked.change { $0.globalPrefetches += 1 } }
                return true
            default: return true
            }
        }
    }

    private func declarations(
        version: String,
        options: String,
        isStrict: Bool = true
    ) async throws -> (asked: Asked, error: RPCError?) {
        let asked = Box()
        return try await FakeBroker.with { peer, _ in
            try Self.serve(peer, version: version, isStrict: isStrict, asked)
        } _: { broker, _ in
            var logger = Logger(label: "declarations")
            logger.logLevel = .critical
            let url = "rabbit://guest:guest@127.0.0.1:\(broker.port)/\(options.isEmpty ? "" : "?\(options)")"
            var configuration = try RabbitMQConfiguration(url: url)
            configuration.connection.operationTimeout = .seconds(5)
            configuration.connection.closeTimeout = .seconds(1)
            let transport = RabbitMQTransport(configuration, logger: logger)
            var failure: RPCError?
            do throws(RPCError) {
                let target = Target.topic("topic", server: "host")
                let listeners = [
                    try await transport.listen(on: .server(target), prefetch: 10) { _ in },
                    try await transport.listen(on: .control(target), prefetch: 10) { _ in },
                    try await transport.listen(on: .deadLetters(topic: "topic"), prefetch: 10) { _ in },
                ]
                _ = try await transport.openReplyQueue(deadline: .now + .seconds(5))
                try await transport.send(
                    Message(body: [1]),
                    to: .queue("topic"),
                    options: SendOptions(deadline: .now + .seconds(1), delay: .seconds(1))
                )
                for listener in listeners { await listener.close() }
            } catch {
                failure = error
            }
            await transport.close()
            return (asked.value, failure)
        }
    }

    @Test(arguments: [
        ("4.3.0", ""), ("4.10.1", ""),
        ("4.3.0", "rabbit_quorum_queue=true&rabbit_transient_quorum_queue=true"),
        ("4.3.0", "amqp_durable_queues=true&rabbit_transient_quorum_queue=true"),
    ])
    func `fault 26: a broker that refuses what RabbitMQ 4.3 refuses has nothing to refuse`(
        version: String,
        options: String
    ) async throws {
        let (asked, error) = try await self.declarations(version: version, options: options)
        #expect(error == nil)
        #expect(asked.refusals == [])
        #expect(asked.queues.count >= 9, "\(asked.queues.keys)")
        for (name, queue) in asked.queues {
            #expect(queue.isDurable || queue.isExclusive, "\(name)")
            #expect(!queue.arguments.contains("x-ha-"), "\(name)")
        }
        #expect(asked.prefetches > 0 && asked.globalPrefetches == 0)
        if options != "amqp_durable_queues=true&rabbit_transient_quorum_queue=true" {
            #expect(asked.queues["topic"]?.arguments.contains("quorum") == true)
        }
        FaultFigures.record(fault: 26, "queues declared before a strict \(version)", count: asked.queues.count)
    }

    @Test
    func `fault 26: oslo's default is transient before 4.3, and a 4.3 that is to have it refuses with its reason`()
        async throws
    {
        let (before, _) = try await self.declarations(version: "4.2.5", options: "", isStrict: false)
        #expect(before.queues["topic"]?.isDurable == false)
        #expect(before.queues["topic.host"]?.isDurable == false)
        #expect(before.globalPrefetches == 0)
        #expect(before.queues.values.allSatisfy { !$0.arguments.contains("x-ha-") })
        let (_, error) = try await self.declarations(version: "4.3.0", options: "amqp_durable_queues=false")
        #expect(error?.message.contains("transient_nonexcl_queues") == true, "\(String(describing: error))")
    }
}

/// What is asked of a broker.
private struct Asked: Sendable {
    struct Queue: Sendable {
        let isDurable: Bool
        let isExclusive: Bool
        let arguments: String
    }

    var queues: [String: Queue] = [:]
    var globalPrefetches = 0
    var prefetches = 0
    var refusals: [String] = []
}

/// What was asked, from the threads of several connections.
private final class Box: Sendable {
    private let asked = Mutex(Asked())

    var value: Asked { self.asked.withLock(\.self) }

    func change(_ body: (inout Asked) -> Void) { self.asked.withLock { body(&$0) } }
}
