import AMQPClient
import Logging
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct ConnectionTests {
    private func connection(_ url: String, _ configure: (inout AMQPConfiguration) -> Void = { _ in }) throws
        -> AMQPConnection
    {
        var configuration = try AMQPConfiguration(url: url)
        configure(&configuration)
        return AMQPConnection(configuration, logger: Logger(label: "test"))
    }

    // Fault 13.
    @Test func `a wrong password is refused at once and said so`() async throws {
        let broker = try TestBroker()
        let connection = try self.connection("amqp://guest:wrong-secret@\(broker.host):\(broker.port)/")
        let started = ContinuousClock.now
        let error = try await failure { try await connection.open(timeout: .seconds(30)) }
        #expect(error.code == .authenticationRefused && error.replyCode == 403 && !error.isRetriable)
        #expect(!error.description.contains("wrong-secret"))
        #expect(.now - started < .seconds(10))
        guard case .idle = connection.state else { throw error }
        await connection.close()
    }

    @Test func `a virtual host that does not exist is refused at once`() async throws {
        let broker = try TestBroker()
        let connection = try self.connection(broker.url(virtualHost: "no-such-host"))
        let error = try await failure { try await connection.open(timeout: .seconds(30)) }
        #expect(error.code == .notAllowed && error.replyCode == 530)
        await connection.close()
    }

    @Test func `a broker that is not there fails the first attempt with the reason`() async throws {
        let connection = try self.connection("amqp://127.0.0.1:1")
        let error = try await failure { try await connection.open() }
        #expect(error.code == .connectFailed && error.isRetriable)
        #expect(error.message.contains("refused"))
        let unknown = try self.connection("amqp://no-such-host.invalid")
        #expect(try await failure { try await unknown.open() }.code == .connectFailed)
        await connection.close()
        await unknown.close()
    }

    // Fault 12.
    @Test func `the next host is taken when the first one is dead`() async throws {
        let broker = try TestBroker()
        let connection = try self.connection("amqp://127.0.0.1:1,127.0.0.1:2,\(broker.host):\(broker.port)/")
        try await connection.open()
        _ = try await connection.openChannel()
        await connection.close()
    }

    @Test func `states are told in order`() async throws {
        try await withVirtualHost { url, name in
            let connection = try self.connection(url)
            let states = Collector<String>()
            connection.onStateChange { states.add(String($0.description.prefix { $0 != ":" })) }
            guard case .idle = connection.state else { throw TestBroker.Unavailable(description: "not idle") }
            try await connection.open()
            try await connection.open()
            try await closeConnections(virtualHost: name)
            try await states.wait { $0.count == 4 }
            await connection.close()
            #expect(states.all == ["connecting", "open", "recovering", "open", "closed"])
        }
    }

    @Test func `closing is final, may be done by several, and ends what waits`() async throws {
        try await withVirtualHost { url, _ in
            let connection = try self.connection(url)
            try await connection.open()
            let channel = try await connection.openChannel()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<5 { group.addTask { await connection.close() } }
            }
            await connection.close()
            for operation in [
                { try await connection.open() }, { _ = try await connection.openChannel() },
                { try await channel.declareQueue("q") },
                { try await channel.publish(AMQPMessage(""), exchange: "", routingKey: "q") },
                { try await channel.confirmPublishes() },
            ] as [() async throws -> Void] {
                #expect(try await failure(operation).code == .closed)
            }
            await channel.close()
            let never = try self.connection(url)
            await never.close()
        }
    }

    @Test func `closing is completed although the calling task is cancelled`() async throws {
        try await withVirtualHost { url, _ in
            let connection = try self.connection(url)
            try await connection.open()
            let task = Task { await connection.close() }
            task.cancel()
            await task.value
            guard case .closed = connection.state else { throw TestBroker.Unavailable(description: "not closed") }
        }
    }

    @Test func `many channels live side by side and their numbers are used again`() async throws {
        try await withConnection(configureTo: 50) { connection in
            for _ in 0..<3 {
                var channels: [AMQPChannel] = []
                // One is the connection's own.
                for _ in 0..<49 { channels.append(try await connection.openChannel()) }
                try await channels[48].declareQueue("q")
                for channel in channels { await channel.close() }
            }
        }
    }

    @Test func `a channel too many is refused at once`() async throws {
        try await withConnection(configureTo: 2) { connection in
            let channel = try await connection.openChannel()
            let started = ContinuousClock.now
            #expect(try await failure { _ = try await connection.openChannel() }.code == .channelsExhausted)
            #expect(.now - started < .seconds(5))
            try await channel.declareQueue("q")
        }
    }

    @Test func `a refusal tells more than a host that is down, and the other hosts are tried all the same`()
        async throws
    {
        let broker = try TestBroker()
        let wrong = "guest:wrong@\(broker.host):\(broker.port)"
        let refused = try self.connection("amqp://127.0.0.1:1,\(wrong),127.0.0.1:2/")
        #expect(try await failure { try await refused.open() }.code == .authenticationRefused)
        let right = try self.connection("amqp://\(wrong),\(broker.host):\(broker.port)/")
        try await right.open()
        await right.close()
        await refused.close()
    }

    private func withConnection(
        configureTo channelMax: Int,
        _ body: (AMQPConnection) async throws -> Void
    ) async throws {
        try await AMQPClientTests.withConnection({ $0.channelMax = channelMax }, body)
    }

    @Test func `a cancelled task stops waiting at once`() async throws {
        try await AMQPClientTests.withConnection { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            let cancelled = Task { () async -> AMQPError.Code? in
                withUnsafeCurrentTask { $0?.cancel() }
                do throws(AMQPError) {
                    try await channel.publish(AMQPMessage(""), exchange: "", routingKey: "q")
                    return nil
                } catch {
                    return error.code
                }
            }
            #expect(await cancelled.value == .cancelled)
            let late = try await failure {
                try await channel.publish(AMQPMessage(""), exchange: "", routingKey: "q", deadline: .now)
            }
            #expect(late.code == .timeout && !late.outcomeIsUnknown)
        }
    }
}
