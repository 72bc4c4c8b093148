import AMQPClient
import FaultHarness
import Foundation
import Logging
import TestSupport
import Testing

// Fault 14: nothing that cannot be verified is talked to.
@Suite(.timeLimit(.minutes(3))) struct TLSTests {
    /// The TLS listener of the tests' broker, or of a node of our own where that has none.
    private func withListener(_ body: (_ url: String, _ caFile: String) async throws -> Void) async throws {
        let environment = ProcessInfo.processInfo.environment
        if let url = environment["AMQPS_URL"], let caFile = environment["STEWARD_TLS_CA_FILE"] {
            return try await body(url, caFile)
        }
        try await PrivateNode.with(["--tls"]) { node in
            try await body(try node.variable("AMQPS_URL"), try node.variable("STEWARD_TLS_CA_FILE"))
        }
    }

    private func refusal(_ url: String, _ configure: (inout AMQPConfiguration) -> Void) async throws -> AMQPError {
        var configuration = try AMQPConfiguration(url: url)
        configuration.connectTimeout = .seconds(5)
        configure(&configuration)
        let connection = AMQPConnection(configuration, logger: Logger(label: "test"))
        // A server that was just started may not listen yet.
        var error = try await failure { try await connection.open() }
        for _ in 0..<100 where error.code == .connectFailed {
            try await Task.sleep(for: .milliseconds(50))
            error = try await failure { try await connection.open() }
        }
        await connection.close()
        return error
    }

    @Test func `everything works over TLS, large messages and reconnections included`() async throws {
        try await self.withListener { url, caFile in
            try await withConnection(url: url, { $0.tls?.caFile = caFile }) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                let queue = try await channel.declareQueue(exclusive: true).name
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: queue, onDelivery: { received.add($0) })
                var message = AMQPMessage(body: (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 3) })
                message.properties.headers = PropertyTests.everyType
                message.properties.messageID = "large"
                try await channel.publish(message, exchange: "", routingKey: queue, mandatory: true)
                #expect(try await received.wait(for: 1)[0].message == message)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<500 {
                        group.addTask {
                            try await channel.publish(AMQPMessage("\(number)"), exchange: "", routingKey: queue)
                        }
                    }
                    try await group.waitForAll()
                }
                try await received.wait(for: 501)
                #expect(try await channel.acknowledge(received.all))
                let error = try await failure {
                    try await channel.declareExchange("x", type: AMQPExchangeType("no-such-kind"))
                }
                #expect(error.replyCode == 503)
                let current = await channel.currentName(ofQueue: queue)
                try await channel.publish(AMQPMessage("after"), exchange: "", routingKey: current, mandatory: false)
            }
        }
    }

    @Test func `an idle connection lives on the heartbeats of its broker`() async throws {
        try await self.withListener { url, caFile in
            let configure: (inout AMQPConfiguration) -> Void = { configuration in
                configuration.tls?.caFile = caFile
                configuration.heartbeat = .seconds(1)
            }
            try await withConnection(url: url, configure) { connection in
                let states = Collector<String>()
                connection.onStateChange { states.add($0.description) }
                // Nothing happens but heartbeats, for longer than the two intervals after which a peer counts as dead.
                try await Task.sleep(for: .seconds(5))
                #expect(states.all.isEmpty)
            }
        }
    }

    @Test func `a certificate of an unknown authority is refused`() async throws {
        try await self.withListener { url, _ in
            try await withCertificates { directory in
                let error = try await self.refusal(url) { $0.tls?.caFile = "\(directory)/ca.pem" }
                #expect(error.code == .tlsFailed && error.message.contains("certificate"))
                #expect(!error.isRetriable)
            }
            // The system's authorities do not know it either.
            #expect(try await self.refusal(url) { _ in }.code == .tlsFailed)
        }
    }

    @Test func `a certificate for another name is refused`() async throws {
        try await self.withListener { url, caFile in
            let error = try await self.refusal(url) {
                $0.tls?.caFile = caFile
                $0.tls?.serverName = "broker.example"
            }
            #expect(error.code == .tlsFailed && error.message.lowercased().contains("mismatch"))
            let address = try await self.refusal(url) {
                $0.tls?.caFile = caFile
                $0.tls?.serverName = "192.0.2.1"
            }
            #expect(address.code == .tlsFailed)
        }
    }

    @Test func `verification can be turned off, all of it or the name alone`() async throws {
        try await self.withListener { url, caFile in
            for tls in [
                AMQPConfiguration.TLS(verifiesPeer: false, verifiesHostName: false),
                AMQPConfiguration.TLS(caFile: caFile, verifiesHostName: false, serverName: "broker.example"),
                AMQPConfiguration.TLS(caFile: caFile, serverName: "localhost"),
            ] {
                try await withConnection(url: url, { $0.tls = tls }) { connection in
                    _ = try await connection.openChannel()
                }
            }
        }
    }

    @Test func `TLS never falls back to plain, and plain does not talk to TLS`() async throws {
        let broker = try TestBroker()
        let error = try await self.refusal("amqps://\(broker.host):\(broker.port)/") { _ in }
        #expect(error.code == .tlsFailed)
        try await self.withListener { url, _ in
            let plain = url.replacingOccurrences(of: "amqps://", with: "amqp://")
            let error = try await self.refusal(plain) { _ in }
            #expect([.protocolViolation, .connectionLost].contains(error.code))
        }
    }

    @Test func `an expired certificate is refused`() async throws {
        try await withCertificates { directory in
            try await withTLSServer(certificate: "expired", in: directory) { port in
                let error = try await self.refusal("amqps://localhost:\(port)/") {
                    $0.tls?.caFile = "\(directory)/ca.pem"
                }
                #expect(error.code == .tlsFailed && error.message.contains("expired"))
            }
        }
    }

    @Test func `wire contract 5.7: a version of TLS that is too old is refused`() async throws {
        try await withCertificates { directory in
            try await withTLSServer(certificate: "valid", in: directory, options: ["-tls1_2"]) { port in
                let url = "amqps://localhost:\(port)/"
                let error = try await self.refusal(url) {
                    $0.tls?.caFile = "\(directory)/ca.pem"
                    $0.tls?.minimumVersion = .tls13
                }
                #expect(error.code == .tlsFailed, "\(error)")
                // With 1.2 the handshake succeeds; what then follows is no AMQP.
                let later = try await self.refusal(url) { $0.tls?.caFile = "\(directory)/ca.pem" }
                #expect(later.code != .tlsFailed, "\(later)")
            }
        }
    }

    @Test func `files that cannot be used are named`() async throws {
        let missing = try await self.refusal("amqps://127.0.0.1:1/") { $0.tls?.caFile = "/no/such/ca.pem" }
        #expect(missing.code == .tlsFailed && missing.message.contains("/no/such/ca.pem"))
        let key = try await self.refusal("amqps://127.0.0.1:1/") {
            $0.tls?.certificateFile = "/no/such/cert.pem"
            $0.tls?.keyFile = "/no/such/key.pem"
        }
        #expect(key.code == .tlsFailed && key.message.contains("/no/such/cert.pem"))
    }

    // MARK: Certificates

    /// Lends a directory with an authority of its own and certificates for localhost.
    private func withCertificates(_ body: (_ directory: String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("steward-\(UUID().uuidString)")
            .path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer {
            // A leftover in the temporary directory does no harm.
            try? FileManager.default.removeItem(atPath: directory)
        }
        let script = """
            set -e
            cd "$1"
            key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
            openssl req -x509 $key -days 30 -subj /CN=Other -keyout ca.key -out ca.pem
            openssl req -new $key -subj /CN=localhost -keyout expired.key -out expired.csr
            printf 'subjectAltName=DNS:localhost\\n' > names
            openssl x509 -req -in expired.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -extfile names -out expired.pem
            openssl req -new $key -subj /CN=localhost -keyout valid.key -out valid.csr
            openssl x509 -req -in valid.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out valid.pem
            """
        try await PrivateNode.run("/bin/sh", ["-c", script, "sh", directory])
        try await body(directory)
    }

    /// Lends a TLS server that is no broker; for handshakes it is enough.
    private func withTLSServer(
        certificate: String,
        in directory: String,
        options: [String] = [],
        _ body: (_ port: Int) async throws -> Void
    ) async throws {
        // Free at this moment; the server takes it next.
        let port = try await FakeBroker.with({ _, _ in }, { broker, _ in broker.port })
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        // It ends with its input.
        server.standardInput = Pipe()
        server.arguments =
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(directory)/\(certificate).pem", "-key",
                "\(directory)/\(certificate).key",
            ] + options
        try server.run()
        defer {
            // Foundation starts processes with SIGTERM blocked.
            kill(server.processIdentifier, SIGKILL)
            server.waitUntilExit()
        }
        try await body(port)
    }
}
