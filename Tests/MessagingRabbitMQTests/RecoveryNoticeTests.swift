import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Testing

/// Who is told when a transport works again.
@Suite(.timeLimit(.minutes(3))) struct RecoveryNoticeTests {
    @Test func `a recovery is told of after a fault, and not when the connections are made`() async throws {
        try await Place.with { place in
            try await place.withTransport { transport in
                let recoveries = EventRecorder<Int>()
                let notices = (transport as any Transport).recoveries()
                let watcher = Task { for await _ in notices { recoveries.record(1) } }
                defer { watcher.cancel() }
                let endpoint = RPCEndpoint { RPCHandler("echo") { _, _ in nil } }
                try await withRPCServer(
                    on: transport,
                    target: .topic("recovery", server: "a"),
                    endpoints: [endpoint]
                ) { _ in
                    _ = try await RPCClient(transport, target: .topic("recovery")).call("echo")
                    #expect(recoveries.events.isEmpty)
                    try await place.cutConnections(2)
                    _ = try await recoveries.first(1, within: .seconds(30))
                    _ = try await RPCClient(transport, target: .topic("recovery")).call("echo")
                }
            }
        }
    }
}
