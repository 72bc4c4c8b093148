public import Messaging

/// Remembers what was sent over a ``RecordingTransport``, in the order in which it was handed over, and lets a test wait
/// for it.
///
/// ```swift
/// let request = try await sent.request("update_service_capabilities")
/// #expect(request.kind == .fanout)
/// #expect(request.arguments["host"] == "node-1")
/// ```
public final class MessageRecorder: Sendable {
    /// A message that the transport did not take.
    public struct Refusal: Sendable {
        /// The message.
        public let message: SentMessage
        /// Why it was not taken.
        public let error: RPCError
    }

    private let sent = EventRecorder<SentMessage>()
    private let refused = EventRecorder<Refusal>()

    /// Creates an empty recorder.
    public init() {}

    /// All messages so far.
    public var messages: [SentMessage] { self.sent.events }

    /// The calls and casts so far.
    public var requests: [SentMessage.Request] { self.messages.compactMap(\.request) }

    /// The replies so far, signs of life included.
    public var replies: [SentMessage.Reply] { self.messages.compactMap(\.reply) }

    /// The messages that were handed over and not taken.
    public var refusals: [Refusal] { self.refused.events }

    /// The first message that fits, if it was sent already.
    ///
    /// - Parameter isMeant: Whether a message is the one.
    /// - Returns: The message, or `nil`.
    public func first(where isMeant: (SentMessage) -> Bool) -> SentMessage? {
        self.messages.first(where: isMeant)
    }

    /// Waits until so many messages that fit were sent.
    ///
    /// - Parameters:
    ///   - count: How many; one by default.
    ///   - limit: How long to wait in real time; 20 s by default.
    ///   - isMeant: Whether a message counts; all do by default.
    /// - Returns: The first so many of them.
    /// - Throws: `EventRecorder.NotEnough` after `limit`; `CancellationError`.
    @discardableResult
    public func wait(
        for count: Int = 1,
        within limit: Duration = .seconds(20),
        where isMeant: @escaping @Sendable (SentMessage) -> Bool = { _ in true }
    ) async throws -> [SentMessage] {
        try await self.sent.first(count, within: limit, where: isMeant)
    }

    /// Waits for a request of a method.
    ///
    /// - Parameters:
    ///   - method: The method's name on the wire.
    ///   - number: The how-manieth request of it; the first by default.
    /// - Returns: The request.
    /// - Throws: `EventRecorder.NotEnough` after 20 s of real time; `CancellationError`.
    @discardableResult
    public func request(_ method: String, number: Int = 1) async throws -> SentMessage.Request {
        let found = try await self.wait(for: number) { $0.method == method }
        guard let request = found.last?.request else {
            throw RPCError(.timeout, "there is no request number \(number) of \(method); numbers begin at 1")
        }
        return request
    }

    func record(_ message: SentMessage) {
        self.sent.record(message)
    }

    func record(_ error: RPCError, for message: SentMessage) {
        self.refused.record(Refusal(message: message, error: error))
    }
}

/// A transport that remembers what is sent over it.
public final class RecordingTransport: TransportWrapper {
    /// What was sent.
    public let sent: MessageRecorder
    /// The transport that does the work.
    public let wrapped: any Transport

    /// Creates a recording transport around another.
    ///
    /// - Parameters:
    ///   - transport: The transport that does the work.
    ///   - recorder: Where to remember; a new one by default.
    public init(_ transport: any Transport, into recorder: MessageRecorder = MessageRecorder()) {
        self.wrapped = transport
        self.sent = recorder
    }

    /// Remembers the message and sends it; see `Transport`.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: How it is sent.
    /// - Throws: What the wrapped transport throws.
    public func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        let sent = SentMessage(message, to: destination, options: options)
        // Before it is on its way: an answer to it may come before the sending has returned.
        self.sent.record(sent)
        do {
            try await self.wrapped.send(message, to: destination, options: options)
        } catch {
            self.sent.record(error, for: sent)
            throw error
        }
    }
}
