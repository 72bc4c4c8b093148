import Messaging

/// A call and a cast as a program makes them, over a transport that answers at once.
let callingBenchmarks = [
    calling("client-call") { use(try await $0.call("update_volumes")) },
    calling("client-cast") { use(try await $0.cast("update_volumes")) },
]

private func calling(_ name: String, _ body: @escaping @Sendable (RPCClient) async throws -> Void) -> Microbenchmark {
    Microbenchmark(name: name, iterations: 400) {
        let client = RPCClient(EchoTransport(), target: .topic("cinder-volume", server: "node-1"))
        return { try await body(client) }
    }
}

private final class EchoTransport: Transport {
    private final class Sent: PendingSend {
        let isConfirmed = true

        func withdraw() {}
    }

    let replies: ReplyRouter
    let clock: any MessagingClock
    private let sent = Sent()

    init() {
        let clock = StillClock()
        self.clock = clock
        self.replies = ReplyRouter(clock: clock)
    }

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String { "reply" }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {}

    func post(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void
    ) -> any PendingSend {
        do {
            let request = try RequestPayload(decoding: message.body, contentType: Sample.contentType)
            let body = ReplyPayload.result(.null).encoded(messageID: request.messageID ?? "")
            self.replies.receive([Delivery(body: body, token: Delivery.Token(tag: 1))])
        } catch {
            completion(RPCError(.invalidArguments, "the request cannot be read: \(error)"))
        }
        return self.sent
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        throw RPCError(.invalidTarget, "nobody listens here")
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? { nil }

    func close() async {}
}
