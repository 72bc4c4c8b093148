import Logging
import Synchronization
import Testing

@testable import Messaging

@Suite struct ReplySenderTests {
    @Test(.timeLimit(.minutes(3)))
    func `a reply queue is not taken for gone because the broker was out of reach`() async throws {
        let transport = FailingTransport(.unreachable)
        let sender = self.sender(over: transport)
        let address = try #require(ReplyAddress(messageID: "1", queue: "reply_1"))
        await sender.insist(on: .result(.null), to: address, deadline: .now + .milliseconds(600))
        transport.fail(with: .noSuchServer)
        #expect(await !sender.offer(.result(.null), to: address, deadline: nil))
    }

    @Test(arguments: [RPCError.Code.rejected, .connectionLost, .unreachable, .blocked])
    func `a reply is offered again where the broker may take it later`(code: RPCError.Code) async throws {
        let sender = self.sender(over: FailingTransport(code))
        let address = try #require(ReplyAddress(messageID: "1", queue: "reply_1"))
        #expect(await !sender.offer(.result(.null), to: address, deadline: nil))
    }

    @Test(.timeLimit(.minutes(3)))
    func `a reply queue that was not there for a caller's whole patience is offered each further reply once`()
        async throws
    {
        let transport = FailingTransport(.noSuchServer)
        let sender = self.sender(over: transport)
        let address = try #require(ReplyAddress(messageID: "1", queue: "reply_1"))
        #expect(await !sender.offer(.result(.null), to: address, deadline: nil))
        await sender.insist(on: .result(.null), to: address, deadline: .now + .milliseconds(600))
        #expect(await sender.offer(.result(.null), to: address, deadline: nil))
    }

    @Test(.timeLimit(.minutes(3)))
    func `calls that name a missing reply queue each do not cost a task each`() async throws {
        let transport = FailingTransport(.noSuchServer)
        let sender = self.sender(over: transport)
        let deadline = ContinuousClock.now + .seconds(4)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                guard let address = ReplyAddress(messageID: "1", queue: "reply_\(number)") else { continue }
                group.addTask { await sender.insist(on: .result(.null), to: address, deadline: deadline) }
            }
        }
        #expect(sender.droppedForOthers == 300 - ReplySender.maximumAsked)
        // Those that have ended make room.
        let address = try #require(ReplyAddress(messageID: "1", queue: "reply_last"))
        await sender.insist(on: .result(.null), to: address, deadline: .now + .milliseconds(300))
        #expect(sender.droppedForOthers == 300 - ReplySender.maximumAsked)
    }

    private func sender(over transport: any Transport) -> ReplySender {
        ReplySender(transport, retryLimit: .seconds(5), stopped: Eventual(), logger: Logger(label: "test"))
    }
}

/// A transport that takes nothing.
private final class FailingTransport: Transport {
    let replies = ReplyRouter()
    private let code: Mutex<RPCError.Code>

    init(_ code: RPCError.Code) {
        self.code = Mutex(code)
    }

    func fail(with code: RPCError.Code) {
        self.code.withLock { $0 = code }
    }

    func openReplyQueue(deadline: ContinuousClock.Instant?) async throws(RPCError) -> String { throw self.error }

    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        throw self.error
    }

    func listen(
        on source: Source,
        prefetch: Int,
        onDeliveries: @escaping @Sendable ([Delivery]) -> Void
    ) async throws(RPCError) -> any Listener {
        throw self.error
    }

    func status(
        of destination: Destination,
        deadline: ContinuousClock.Instant?
    ) async throws(RPCError) -> QueueStatus? {
        throw RPCError(.unreachable, "there is no broker")
    }

    func close() async {}

    private var error: RPCError { RPCError(self.code.withLock(\.self), "nothing is taken") }
}
