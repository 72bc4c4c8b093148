internal import Messaging

/// The other side of a conversation, message by message: for checks of what a peer may send that our own client or server
/// never would.
struct RawPeer: Sendable {
    /// What arrived at the peer.
    let received: EventRecorder<Delivery>
    /// The queue in which it arrives.
    let queue: String
    private let transport: any Transport
    private let topic: String

    /// Opens the queue `topic.host`.
    init(_ transport: any Transport, topic: String, host: String = "raw") async throws {
        let received = EventRecorder<Delivery>()
        _ = try await transport.listen(on: .server(.topic(topic, server: host)), prefetch: 1_000) {
            received.record($0)
        }
        self.received = received
        self.queue = "\(topic).\(host)"
        self.transport = transport
        self.topic = topic
    }

    // MARK: As a caller

    /// Sends a request to a topic.
    func request(
        _ method: String,
        _ arguments: [String: JSONValue] = [:],
        at topic: String,
        messageID: String? = nil,
        replyQueue: String? = nil,
        uniqueID: String? = makeUniqueID(),
        monitorTimeout: Double? = nil,
        timeToLive: Duration? = nil
    ) async throws {
        let request = RequestPayload(
            method: method,
            args: RawJSON(.object(arguments)),
            messageID: messageID,
            replyQueue: messageID == nil ? nil : replyQueue ?? self.queue,
            monitorTimeout: monitorTimeout,
            uniqueID: uniqueID
        )
        try await self.transport.send(
            Message(body: request.encoded(), timeToLive: timeToLive),
            to: .topic(topic, exchange: nil),
            options: SendOptions(isMandatory: true, deadline: self.transport.clock.now + .seconds(20))
        )
    }

    /// The replies that arrived, in order.
    var replies: [ReplyPayload] {
        get throws { try self.received.events.map { try ReplyPayload($0) } }
    }

    /// Waits for the last reply to a call.
    @discardableResult
    func ending(of messageID: String) async throws -> ReplyPayload {
        let found = try await self.received.first(1) { delivery in
            (Self.reply(delivery)?.messageID).map { $0 == messageID } ?? false && Self.reply(delivery)?.isEnding == true
        }
        return try ReplyPayload(found[0])
    }

    /// Waits for so many signs of life of a call.
    func heartbeats(_ count: Int, of messageID: String) async throws {
        try await self.received.first(count) { delivery in
            Self.reply(delivery).map { $0.messageID == messageID && $0.isHeartbeat } ?? false
        }
    }

    private static func reply(_ delivery: Delivery) -> ReplyPayload? {
        do {
            return try ReplyPayload(delivery)
        } catch {
            return nil  // A check that looks for replies is not about what is none.
        }
    }

    // MARK: As a server

    /// Waits for a request, counted from 1.
    func request(number: Int) async throws -> RequestPayload {
        try RequestPayload(try await self.received.first(number)[number - 1])
    }

    /// Answers a request with a payload of any form, in which `ID` stands for the call's id.
    func answer(_ request: RequestPayload, _ payload: String) async throws {
        let text = payload.split(separator: "ID", omittingEmptySubsequences: false)
            .joined(separator: request.messageID ?? "")
        try await self.transport.send(
            // Without an envelope, which is what the whole is taken for where one of its keys is missing (wire contract 3.1).
            Message(body: Array(text.utf8)),
            to: .queue(request.replyQueue ?? ""),
            options: SendOptions(isMandatory: true, deadline: self.transport.clock.now + .seconds(20))
        )
    }
}

extension ReplyPayload {
    /// What a check compares: the result as text, or the failure.
    var summary: String {
        if let failure = self.failure { return failure.className }
        return self.result?.text ?? "-"
    }
}
