public import Messaging
internal import Synchronization

/// A transport on which things go wrong, by rules and always in the same way.
///
/// ```swift
/// let faulty = FaultyTransport(transport, seed: 7)
/// faulty.inject(.unconfirmed(isTaken: true), .nth(2)) { $0.method == "create_volume" }
/// faulty.inject(.heldBack, .probability(0.1)) { $0.reply != nil }
/// ```
///
/// Faults happen to what is sent over it: a caller's requests, or a server's replies. What a broker does to a consumer (a
/// deleted queue, a message that comes a second time, an alarm) a test does to its `InMemoryBroker` itself, or has it
/// done at a certain message with ``Fault/preceded(by:)``.
public final class FaultyTransport: TransportWrapper {
    /// A fault that happened.
    public struct Injection: Sendable {
        /// The fault.
        public let fault: Fault
        /// The message to which it happened.
        public let message: SentMessage
    }

    private struct State {
        var rules: [FaultRule] = []
        /// Counts all rules there ever were, so that each draws its own numbers.
        var nextRule: UInt64 = 0
        var held: [Destination: [SentMessage]] = [:]
    }

    /// The transport that does the work.
    public let wrapped: any Transport
    /// The faults that happened.
    public let injected = EventRecorder<Injection>()

    private let seed: UInt64
    private let state = Mutex(State())

    /// Creates a transport around another, without faults.
    ///
    /// - Parameters:
    ///   - transport: The transport that does the work.
    ///   - seed: What determines rules with a probability.
    public init(_ transport: any Transport, seed: UInt64 = 0) {
        self.wrapped = transport
        self.seed = seed
    }

    /// Adds a rule; of several that hit a message the first counts, and all count the messages that they are about.
    ///
    /// - Parameters:
    ///   - fault: What goes wrong.
    ///   - occurrence: With which of the messages; with all by default.
    ///   - isMeant: The messages that the rule is about; all by default.
    public func inject(
        _ fault: Fault,
        _ occurrence: Fault.Occurrence = .always,
        where isMeant: @escaping @Sendable (SentMessage) -> Bool = { _ in true }
    ) {
        self.state.withLock { state in
            var generator = SplitMix64(state: self.seed &+ state.nextRule)
            state.nextRule += 1
            state.rules.append(FaultRule(fault, occurrence, seed: generator.next(), isMeant: isMeant))
        }
    }

    /// Takes all rules away; what is held back stays so.
    public func removeFaults() {
        self.state.withLock { $0.rules = [] }
    }

    /// Sends what was held back.
    ///
    /// - Throws: What the wrapped transport throws.
    public func releaseHeld() async throws(RPCError) {
        let held = self.state.withLock { state in
            defer { state.held = [:] }
            return state.held.values.flatMap(\.self)
        }
        try await self.forwardHeld(held)
    }

    /// Sends a message, or lets happen to it what a rule says; see `Transport`.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: How it is sent.
    /// - Throws: What the wrapped transport throws, or the fault.
    public func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        let sent = SentMessage(message, to: destination, options: options)
        guard let fault = self.fault(for: sent) else {
            try await self.forward(sent)
            // Whom it has overtaken.
            try await self.forwardHeld(self.state.withLock { $0.held.removeValue(forKey: destination) } ?? [])
            return
        }
        self.injected.record(Injection(fault: fault, message: sent))
        try await self.send(sent, with: fault)
    }

    private func fault(for message: SentMessage) -> Fault? {
        self.state.withLock { state in
            var fault: Fault?
            for index in state.rules.indices where state.rules[index].hits(message) {
                fault = fault ?? state.rules[index].fault
            }
            return fault
        }
    }

    private func send(_ sent: SentMessage, with fault: Fault) async throws(RPCError) {
        switch fault.kind {
        case .lost: break
        case .unconfirmed(let isTaken):
            if isTaken { try await self.forward(sent) }
            throw RPCError(.connectionLost, "the connection was lost before the broker had confirmed the message")
        case .returned:
            guard sent.options.isMandatory else { return }
            throw RPCError(.noSuchServer, "no queue takes what is sent to \(sent.destination)")
        case .refused:
            throw RPCError(.rejected, "the broker refused the message")
        case .blocked:
            try await self.sleep(until: sent.options.deadline)
            throw RPCError(.blocked, "the broker has stopped all publishers and did not resume in time")
        case .duplicated(let copies):
            for _ in 0..<copies { try await self.forward(sent) }
        case .delayed(let duration):
            let arrival = self.clock.now + duration
            if let deadline = sent.options.deadline, deadline < arrival {
                try await self.sleep(until: deadline)
                throw RPCError(.timeout, "the deadline passed before the message was written")
            }
            try await self.sleep(until: arrival)
            try await self.forward(sent)
        case .heldBack:
            self.state.withLock { $0.held[sent.destination, default: []].append(sent) }
        case .malformed:
            var message = sent.message
            message.body.removeLast(message.body.count / 2)
            try await self.wrapped.send(message, to: sent.destination, options: sent.options)
        case .preceded(let action):
            await action()
            try await self.forward(sent)
        }
    }

    private func forward(_ sent: SentMessage) async throws(RPCError) {
        try await self.wrapped.send(sent.message, to: sent.destination, options: sent.options)
    }

    /// Sends what is late; its senders were told that it was taken, and nobody is there to hear of a return.
    private func forwardHeld(_ held: [SentMessage]) async throws(RPCError) {
        for sent in held {
            var options = sent.options
            options.isMandatory = false
            options.deadline = nil
            try await self.wrapped.send(sent.message, to: sent.destination, options: options)
        }
    }

    /// Sleeps until a time, or for ever; ends early only with its task.
    private func sleep(until instant: ContinuousClock.Instant?) async throws(RPCError) {
        do {
            try await self.clock.sleep(until: instant ?? self.clock.now + .seconds(86_400 * 365), tolerance: nil)
        } catch {
            throw RPCError(.closed, "waiting for the broker was cancelled", cause: error)
        }
    }
}
