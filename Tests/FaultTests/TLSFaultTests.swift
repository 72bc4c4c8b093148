import AMQPClient
import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// Brokers that cannot prove who they are, or go silent behind their TLS.
@Suite(.serialized, .timeLimit(.minutes(4))) struct TLSFaultTests {
    private static let refusals = [("expired", "expired"), ("unknown", "issuer"), ("name", "mismatch")]

    @Test func `fault 14: a broker whose certificate does not hold is refused with the reason, until it has another`()
        async throws
    {
        try await PrivateNode.with(["--tls", "--management"]) { node in
            let url = try node.variable("AMQPS_URL")
            let caFile = try node.variable("STEWARD_TLS_CA_FILE")
            let directory = "\(node.directory)/tls"
            try await Certificates.make(in: directory)
            let trust: (inout RabbitMQConfiguration) -> Void = { $0.connection.tls?.caFile = caFile }
            try await FaultService.with(url, configure: trust) { service in
                try await service.untilAnswered()
                for (certificate, reason) in Self.refusals {
                    try await self.show(certificate, in: directory, by: node)
                    try await service.untilReady(false, within: .seconds(15))
                    try await service.until(within: .seconds(10), "a reason: \(service.server.readiness)") {
                        "\(service.server.readiness)".lowercased().contains(reason)
                    }
                    let error = await service.call(timeout: .seconds(1))
                    #expect([.unreachable, .timeout].contains(error?.rpcCode), "\(error as Any)")

                    var configuration = try RabbitMQConfiguration(url: url)
                    trust(&configuration)
                    let stranger = RabbitMQTransport(configuration)
                    let refusal = await #expect(throws: RPCError.self) { try await stranger.open(timeout: .seconds(5)) }
                    #expect(refusal?.code == .unreachable && "\(refusal as Any)".lowercased().contains(reason))
                    await stranger.close()

                    try await self.show("valid", in: directory, by: node)
                    let again = try await service.untilReady(within: .seconds(15))
                    FaultFigures.record(fault: 14, "ready after a certificate that is \(certificate)", again)
                    try await service.untilAnswered(within: .seconds(15))
                }
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }

    /// Gives the node another certificate, and ends its connections.
    private func show(_ certificate: String, in directory: String, by node: PrivateNode) async throws {
        for end in ["pem", "key"] {
            let bytes = try Data(contentsOf: URL(filePath: "\(directory)/\(certificate).\(end)"))
            try bytes.write(to: URL(filePath: "\(directory)/server.\(end)"))
        }
        try await node.control("eval", "ssl:clear_pem_cache().")
        try await node.control("close_all_connections", "another certificate")
    }

    @Test func `fault 14: TLS never falls back to plain, and each side tells the other from a broker`() async throws {
        let first = Collector<UInt8>()
        try await FakeBroker.with { peer, _ in
            first.add(try peer.receive(1))
            // What a broker without TLS answers to what it does not understand.
            try peer.send(Array("AMQP".utf8) + [0, 0, 9, 1])
        } _: { broker, _ in
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: "rabbit://guest:secret@localhost:\(broker.port)/?ssl=true")
            )
            let error = await #expect(throws: RPCError.self) { try await transport.open(timeout: .seconds(2)) }
            #expect(error?.code == .unreachable && "\(error as Any)".contains("TLS"), "\(error as Any)")
            #expect(error.map { !"\($0)".contains("secret") } == true)
            await transport.close()
        }
        // A handshake each time, and never the header of AMQP.
        #expect(first.all.count > 1 && first.all.allSatisfy { $0 == 22 }, "\(first.all)")
    }

    @Test func `fault 14: who speaks plain to a port of TLS is told so, and sends no password`() async throws {
        let port = try #require(URLComponents(string: ProcessInfo.processInfo.environment["AMQPS_URL"] ?? "")?.port)
        try await FaultProxy.with(to: "127.0.0.1", port: port) { proxy in
            let transport = RabbitMQTransport(
                try RabbitMQConfiguration(url: "rabbit://guest:secret@127.0.0.1:\(proxy.port)/")
            )
            let error = await #expect(throws: RPCError.self) { try await transport.open(timeout: .seconds(2)) }
            #expect(error?.code == .unreachable && "\(error as Any)".contains("TLS"), "\(error as Any)")
            #expect(error.map { !"\($0)".contains("secret") } == true)
            // The header of AMQP at each attempt, and nothing else.
            #expect(proxy.accepted > 0 && proxy.bytes(.toBroker) == 8 * proxy.accepted)
            await transport.close()
        }
    }

    @Test func `faults 6 and 10: over TLS a broker that takes nothing holds up nobody else, and is noticed`()
        async throws
    {
        let environment = ProcessInfo.processInfo.environment
        if let url = environment["AMQPS_URL"], let caFile = environment["STEWARD_TLS_CA_FILE"] {
            return try await self.stall(url, caFile)
        }
        try await PrivateNode.with(["--tls"]) { node in
            try await self.stall(try node.variable("AMQPS_URL"), try node.variable("STEWARD_TLS_CA_FILE"))
        }
    }

    private func stall(_ url: String, _ caFile: String) async throws {
        let port = URLComponents(string: url)?.port ?? 5671
        try await FaultProxy.with(port: port, seesFrames: false) { proxy in
            let damaged = url.replacingOccurrences(of: ":\(port)", with: ":\(proxy.port)")
            let configure: (inout RabbitMQConfiguration) -> Void = { $0.connection.tls?.caFile = caFile }
            try await FaultService.with(damaged, configure: configure) { service in
                try await service.untilAnswered()
                // More than sockets hold; the rest waits here, and so does whoever writes with blocking calls.
                proxy.change(.toBroker) { $0.isStalled = true }
                let started = ContinuousClock.now
                let large = Message(body: [UInt8](repeating: 32, count: 24 << 20))
                let options = SendOptions(isMandatory: true, deadline: .now + .seconds(1))
                let error = await #expect(throws: RPCError.self) {
                    try await service.clientTransport.send(large, to: .queue("nobody"), options: options)
                }
                // A deadline is kept by the thread that writes.
                #expect(.now - started < .milliseconds(1_500), "\(ContinuousClock.now - started)")
                #expect([.connectionLost, .timeout].contains(error?.code), "\(error as Any)")
                let noticed = try await service.untilReady(false, within: .seconds(15))
                FaultFigures.record(fault: 6, "noticed: TLS, nothing is read", noticed)
                #expect(.now - started < .milliseconds(4_250))
                proxy.heal()
                try await service.untilReady(within: .seconds(15))
                try await service.untilAnswered(within: .seconds(15))
            }
        }
    }
}
