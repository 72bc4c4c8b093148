public import Logging

/// A connection to an AMQP 0-9-1 broker that comes back by itself.
///
/// Everything that is declared through its channels is remembered and restored after the connection was lost:
/// exchanges, queues, bindings, prefetch, publisher confirms, consumers. What was in flight ends with a typed error.
///
/// The connection is an actor whose executor is a thread of its own, waiting for the socket and for calls at the same
/// time; nothing it does blocks the shared thread pool. `init` starts nothing: ``open(timeout:)`` does, and from then
/// on the connection lives until ``close()``.
public actor AMQPConnection {
    enum Phase {
        case idle, opening, running, closing, closed
    }

    nonisolated let configuration: AMQPConfiguration
    nonisolated let loop: AMQPEventLoop
    nonisolated let stateBox = StateBox()
    nonisolated let counters = FigureCounters()
    let logger: Logger

    var phase = Phase.idle
    /// The connection that exists, from the open socket on.
    var transport: Transport?
    /// What stands between the present state and ``AMQPConnectionState/open``.
    var trouble: AMQPError?
    var blockedReason: String?

    var topology = Topology()
    var repairs: RepairQueue
    /// What the supervisor is waiting for.
    var batch: Set<RepairItem> = []
    var audit: Audit
    /// Carries everything about exchanges and queues, so that an error there closes no channel of the program.
    let operations = ChannelState(id: 0)
    var channels: [Int: ChannelState] = [:]
    /// Queues that the program is deleting: their consumers do not come back.
    var queuesBeingDeleted: Set<String> = []
    /// Queues of which the broker has a record and no process; they are deleted before they are declared.
    var remnants: Set<String> = []
    /// Channels that are to have another channel on the wire, because the broker refused a message.
    var renewals: Set<Int> = []
    /// Channels with messages that could not be sent yet.
    var congested: Set<Int> = []
    /// Channels with acknowledgements to be written at the end of the batch.
    var acknowledging: [WireChannel] = []
    /// Consumers that got messages in the present read.
    var dirtyConsumers: [ConsumerState] = []

    var lastChannelID = 0
    var lastEpoch: UInt64 = 0
    var lastConsumer = 0
    /// The host that is tried first: the one that worked last.
    var hostIndex = 0
    var connectAttempt = 0
    /// When the last round over the hosts began.
    var attemptBegan = ContinuousClock.now
    /// While it waits for the next round: cleared when another connection has got in.
    var isBackedOff = false
    /// Rounds over all hosts in which none let us in, since one did.
    var failedRounds = 0
    /// Whether an established connection was lost since the last attempt.
    var isFreshLoss = false

    var controlWait: Wait<InboundMethod>?
    var controlInbox = Queue<InboundMethod>()
    var connectWait: Wait<Void>?
    var closeWait: Wait<Void>?
    var endWaits: [Wait<Void>] = []
    var supervisorWait: Wait<Void>?
    var supervisorIsSignalled = false
    /// The connection's own task; ended and awaited by ``close()``.
    var supervisor: Task<Void, Never>?
    var heartbeatTimer: ActionTimer?
    /// While something was asked on the operations' channel: due when it is looked whether that hangs.
    var hangingTimer: ActionTimer?
    /// Due at the earliest deadline of a message that is not confirmed.
    var publishTimer: ActionTimer?
    /// While it runs, confirms may be left in the socket, so that many are read at once.
    var quietTimer: ActionTimer?
    /// What the present read has brought.
    var input = InputKinds()

    /// The thread that is this actor's executor.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe self.loop.asUnownedSerialExecutor()
    }

    /// Describes a connection.
    ///
    /// Nothing is started.
    public init(_ configuration: AMQPConfiguration, logger: Logger) {
        var configuration = configuration
        if configuration.hostOrder != .asGiven {
            configuration.hosts.shuffle()
        }
        self.configuration = configuration
        self.loop = AMQPEventLoop(name: "amqp")
        var logger = logger
        if !configuration.connectionName.isEmpty {
            logger[metadataKey: "amqp.connection"] = "\(configuration.connectionName)"
        }
        self.logger = logger
        self.repairs = RepairQueue(configuration.backoff)
        self.audit = Audit(every: configuration.auditInterval)
    }

    /// Where the connection stands at this moment.
    public nonisolated var state: AMQPConnectionState { self.stateBox.state }

    /// Why the last attempt to connect failed; nil where none did, or a later one succeeded.
    public nonisolated var lastConnectError: AMQPError? { self.stateBox.connectError }

    /// The version that the broker gave at the last log-in, such as `4.0.5`; nil before, and where it gave none.
    public nonisolated var brokerVersion: String? { self.stateBox.brokerVersion }

    /// Has a closure called on the connection's thread whenever ``state`` changes.
    ///
    /// It must not block. It is called for as long as the connection lives, unless the observation is ended before.
    @discardableResult
    public nonisolated func onStateChange(
        _ body: @escaping @Sendable (AMQPConnectionState) -> Void
    ) -> AMQPStateObservation {
        self.stateBox.observe(body)
    }

    /// Makes the first connection: tries every host in turn.
    ///
    /// - Parameter timeout: How long to go on trying, with pauses, while no host can be reached. Nil: every host is
    ///   tried once.
    /// - Throws: ``AMQPError``. ``AMQPError/Code/authenticationRefused`` and other answers that no repetition changes
    ///   end it at once. After an error the connection may be opened again.
    public func open(timeout: Duration? = nil) async throws(AMQPError) {
        switch self.phase {
        case .idle: break
        case .running: return
        case .opening:
            throw AMQPError(.invalidArgument, operation: "open", message: "the connection is already being opened")
        case .closing, .closed: throw self.closedError("open")
        }
        try self.configuration.validate()
        self.phase = .opening
        self.loop.attach(self)
        self.refreshState()
        do {
            try await self.connectFirst(until: timeout.map { .now + $0 })
        } catch {
            if self.phase == .opening {
                self.phase = .idle
                self.loop.attach(nil)
                self.refreshState()
            } else {
                self.ended()
            }
            throw error
        }
        guard self.phase == .opening else {
            // Closed in the moment of success, when nothing was waiting that close() could have ended.
            self.ended()
            throw self.closedError("open")
        }
        self.phase = .running
        self.requestEverything()
        // Not a task group: it lives as long as the connection, and close() ends and awaits it.
        self.supervisor = Task { await self.supervise() }
        self.refreshState()
    }

    /// Opens a channel: a lane of its own for publishing or consuming, which survives reconnections.
    ///
    /// - Throws: ``AMQPError``; ``AMQPError/Code/timeout`` when the connection is lost for longer than
    ///   ``AMQPConfiguration/operationTimeout``.
    public func openChannel() async throws(AMQPError) -> AMQPChannel {
        self.lastChannelID += 1
        let channel = ChannelState(id: self.lastChannelID)
        self.channels[channel.id] = channel
        self.repairs.add(.channel(channel.id))
        self.signalSupervisor()
        do {
            _ = try await self.wire(of: channel, until: self.operationDeadline, for: "channel.open")
        } catch {
            self.forget(channel)
            throw error
        }
        return AMQPChannel(id: channel.id, of: self)
    }

    /// Closes the connection in order, within ``AMQPConfiguration/closeTimeout``, and ends its thread.
    ///
    /// What still waits ends with ``AMQPError/Code/closed``. A second call changes nothing.
    ///
    /// The close is completed even if the calling task is cancelled.
    public func close() async {
        await Task { await self.closeInOrder() }.value
    }

    private func closeInOrder() async {
        switch self.phase {
        case .closed: return
        case .idle:
            self.phase = .closed
            self.refreshState()
            return
        case .closing: return await self.waitForEnd()
        case .opening:
            self.phase = .closing
            self.connectWait?.fail(self.closedError("open"))
            self.controlWait?.fail(self.closedError("open"))
            self.signalSupervisor()
            return await self.waitForEnd()
        case .running: self.phase = .closing
        }
        self.failEverythingThatWaits()
        self.connectWait?.fail(self.closedError("connect"))
        await self.sayGoodbye()
        self.connectionLost(self.closedError("close"))
        self.signalSupervisor()
        await self.supervisor?.value
        self.ended()
    }

    private func waitForEnd() async {
        let wait = Wait<Void>("close", on: self.loop)
        self.endWaits.append(wait)
        // It has no deadline and its task is never cancelled, so it cannot fail; whoever closes finishes it.
        _ = try? await self.suspend(on: wait, until: nil) {}
    }

    /// Sends `connection.close` and waits for the answer, as long as the configuration allows.
    private func sayGoodbye() async {
        guard let transport, transport.isEstablished else {
            self.controlWait?.fail(self.closedError("connect"))
            return
        }
        let wait = Wait<Void>("connection.close", on: self.loop)
        self.closeWait = wait
        do {
            try self.writeAcknowledgements()
            try await self.suspend(on: wait, until: .now + self.configuration.closeTimeout) {
                () throws(AMQPError) in
                let reply = CloseReply(code: 200, text: "closed by the client", methodID: 0)
                try transport.append(.closeConnection(reply), on: 0)
            }
        } catch {
            self.logger.info("AMQP connection closed without the broker's answer", metadata: ["error": "\(error)"])
        }
        self.closeWait = nil
    }

    private func ended() {
        // One that came in the moment of the close.
        self.connectionLost(self.closedError("close"))
        self.phase = .closed
        self.supervisor = nil
        if let publishTimer { self.loop.remove(publishTimer) }
        self.publishTimer = nil
        self.loop.attach(nil)
        self.refreshState()
        for wait in self.endWaits {
            wait.finish(.success(()))
        }
        self.endWaits = []
    }
}
