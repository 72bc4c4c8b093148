import Messaging
import MessagingTesting

@testable import Messaging

/// A broker, a clock that stands still, and a peer that reads and writes raw messages.
struct VirtualBench {
    let clock = VirtualClock()
    let broker: InMemoryBroker
    let transport: InMemoryTransport
    /// What arrived in the queue `peer.raw`.
    let replies = EventRecorder<ReplyPayload>()

    init() async throws {
        self.broker = InMemoryBroker(clock: self.clock)
        self.transport = InMemoryTransport(self.broker)
        try await self.openReplyQueue("peer")
    }

    /// Opens the queue `topic.raw`, whose replies are recorded.
    @discardableResult
    func openReplyQueue(_ topic: String) async throws -> any Listener {
        try await self.transport.listen(on: .server(.topic(topic, server: "raw")), prefetch: 100_000) { deliveries in
            for delivery in deliveries {
                do {
                    self.replies.record(try ReplyPayload(delivery))
                } catch {
                    preconditionFailure("a server sent what is no reply: \(error)")
                }
            }
        }
    }

    /// Sends a request to topic `t`.
    func request(
        _ method: String,
        id: String? = nil,
        replyQueue: String = "peer.raw",
        monitor: Double? = nil,
        timeToLive: Duration? = nil
    ) async throws {
        let request = RequestPayload(
            method: method,
            messageID: id,
            replyQueue: id == nil ? nil : replyQueue,
            monitorTimeout: monitor
        )
        try await self.transport.send(
            Message(body: request.encoded(), timeToLive: timeToLive),
            to: .topic("t", exchange: nil),
            options: SendOptions(isMandatory: true)
        )
    }

    /// Runs a server of topic `t`.
    func withServer(
        _ endpoint: RPCEndpoint,
        _ configuration: RPCServer.Configuration = RPCServer.Configuration(),
        _ body: @Sendable (RPCServer) async throws -> Void
    ) async throws {
        try await self.clock.run {
            try await withRPCServer(
                on: InMemoryTransport(self.broker),
                target: .topic("t", server: "h"),
                endpoints: [endpoint],
                configuration: configuration,
                body
            )
        }
    }

    func heartbeats(of id: String) -> Int { self.replies.events.count { $0.messageID == id && $0.isHeartbeat } }

    func ending(of id: String) async throws -> ReplyPayload {
        try await self.replies.first(1) { $0.messageID == id && $0.isEnding }[0]
    }
}
