import MessagingTesting
import Testing

@testable import Messaging

@Suite struct RPCServerStopTests {
    @Test(.timeLimit(.minutes(3)))
    func `wire contract 4.5: a server that waits for its broker can be stopped`() async throws {
        let transport = AbsentBroker()
        let server = RPCServer(transport, target: .topic("t", server: "h"), endpoints: [])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { Issue.record("nothing can be served") } }
            try await transport.waiting.first(1)
            server.stop()
            try await group.waitForAll()
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func `an error of a transport that cannot listen is thrown`() async throws {
        let transport = InMemoryTransport(InMemoryBroker())
        await transport.close()
        let server = RPCServer(transport, target: .topic("t", server: "h"), endpoints: [])
        let error = await #expect(throws: RPCError.self) { try await server.run() }
        #expect(error?.code == .closed)
    }

    @Test(.timeLimit(.minutes(3)))
    func `wire contract 4.5: what was acknowledged while the server's task was cancelled is run`() async throws {
        let broker = InMemoryBroker()
        let transport = SlowAcknowledgement(InMemoryTransport(broker))
        let ran = EventRecorder<Void>()
        let endpoint = RPCEndpoint {
            RPCHandler("work") { _, _ in
                ran.record(())
                return .null
            }
        }
        let server = RPCServer(transport, target: .topic("t", server: "h"), endpoints: [endpoint])
        let ready = EventRecorder<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { ready.record(()) } }
            try await ready.first(1)
            try await RPCClient(InMemoryTransport(broker), target: .topic("t")).cast("work")
            try await transport.acknowledging.first(1)
            group.cancelAll()
            transport.goOn.record(())
            try await group.waitForAll()
        }
        #expect(ran.events.count == 1)
        #expect(broker.depth(of: "t") == 0)
    }

    @Test(.timeLimit(.minutes(3)))
    func `the result of a handler that ends well although it is cancelled counts, also under a time limit`()
        async throws
    {
        let broker = InMemoryBroker()
        let started = EventRecorder<Void>()
        let work = RPCMethod<Void, String>("work", since: "1.0", timeLimit: .seconds(30))
        let endpoint = RPCEndpoint {
            work.handled { _ in
                started.record(())
                do {
                    try await Task.sleep(for: .seconds(30))
                    return "slept"
                } catch {
                    // Longer than its neighbour, the time limit, needs to notice the cancellation.
                    try await Task { try await Task.sleep(for: .milliseconds(100)) }.value
                    return "woken"
                }
            }
        }
        var configuration = RPCServer.Configuration()
        configuration.gracePeriod = .milliseconds(50)
        let client = RPCClient(InMemoryTransport(broker), target: .topic("t"))
        let server = RPCServer(
            InMemoryTransport(broker),
            target: .topic("t", server: "h"),
            endpoints: [endpoint],
            configuration: configuration
        )
        let ready = EventRecorder<Void>()
        let reply = EventRecorder<String>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run { ready.record(()) } }
            try await ready.first(1)
            group.addTask { reply.record(try await client.call(work, timeout: .seconds(20))) }
            try await started.first(1)
            server.stop()
            try await group.waitForAll()
        }
        #expect(reply.events == ["woken"])
    }
}

/// A transport whose broker is not there: whoever listens waits until it is cancelled.
private final class AbsentBroker: Transport {
    let replies = ReplyRouter()
    let waiting = EventRecorder<Void>()

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        throw RPCError(.unreachable, "there is no broker")
    }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        throw RPCError(.unreachable, "there is no broker")
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        self.waiting.record(())
        do {
            try await Task.sleep(for: .seconds(3600))
        } catch {
            throw RPCError(.closed, "waiting was cancelled", cause: error)
        }
        throw RPCError(.unreachable, "there is no broker")
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        throw RPCError(.unreachable, "there is no broker")
    }

    func close() async {}
}

/// A transport whose acknowledgements take until a test lets them go on, and are reported as lost to a cancelled task,
/// as by a client that cannot know better.
private final class SlowAcknowledgement: Transport {
    let acknowledging = EventRecorder<Void>()
    let goOn = EventRecorder<Void>()
    private let transport: InMemoryTransport

    init(_ transport: InMemoryTransport) {
        self.transport = transport
    }

    var replies: ReplyRouter { self.transport.replies }

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String {
        try await self.transport.openReplyQueue(deadline: deadline)
    }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        try await self.transport.send(message, to: destination, options: options)
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        let listener = try await self.transport.listen(on: source, prefetch: prefetch, onDeliveries: onDeliveries)
        return SlowListener(listener: listener, transport: self)
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        try await self.transport.status(of: destination, deadline: deadline)
    }

    func close() async { await self.transport.close() }

    private struct SlowListener: Listener {
        let listener: any Listener
        let transport: SlowAcknowledgement

        func acknowledge(_ deliveries: [Delivery]) async -> [Delivery] {
            let written = await self.listener.acknowledge(deliveries)
            self.transport.acknowledging.record(())
            do {
                try await self.transport.goOn.first(1)
            } catch {
                // The server's task was cancelled.
            }
            return Task.isCancelled ? [] : written
        }

        func reject(_ deliveries: [Delivery], requeue: Bool) async {
            await self.listener.reject(deliveries, requeue: requeue)
        }

        func stopConsuming() async { await self.listener.stopConsuming() }

        func close() async { await self.listener.close() }
    }
}
