public import Logging
internal import Synchronization

/// Serves a target's topic, host and fanout with a list of endpoints.
///
/// ```swift
/// let server = RPCServer(transport, target: .topic("cinder-volume", server: "node-1"), endpoints: [endpoint])
/// try await server.run()
/// ```
///
/// ``run(onReady:)`` serves until ``stop()`` is called or its task is cancelled. A stop is graceful: the server takes
/// no more, gives back what it had not started, lets running handlers finish and reply, and then releases its queues.
public final class RPCServer: Sendable {
    /// How a server works.
    public struct Configuration: Sendable {
        /// How many handlers run at the same time; 64 by default, as oslo's `executor_thread_pool_size`.
        public var concurrency = 64
        /// How many messages each of the three queues hands out ahead of their start; 64 by default.
        ///
        /// With less than 16 throughput falls to a third; without a bound a whole queue would be drawn into memory.
        public var prefetch = 64
        /// How long running handlers may take after a stop before they are cancelled; 60 s by default.
        public var gracePeriod: Duration = .seconds(60)
        /// How many message ids are remembered to recognise a repeated delivery; 4096 by default (oslo: 16).
        public var duplicatesWindow = 4096
        /// How long a reply is offered to a reply queue that is not there, where the request says nothing of its
        /// caller's patience; 60 s by default, as oslo.
        ///
        /// A transport that is configured otherwise has the last word.
        public var replyRetryLimit: Duration = .seconds(60)
        /// Whether the server answers questions about itself; it does by default.
        ///
        /// What it answers says ``ControlRPC``.
        public var answersControl = true
        /// Who may ask those questions and withdraw calls; anyone by default.
        ///
        /// Clients withdraw their cancelled calls as whom they are logged in; one that may not is ignored.
        public var controlAccess = AccessPolicy.anyone
        /// The version of the software, for those who ask; `nil`, the default, for none.
        public var serviceVersion: String?
        /// The host that the service manages, for those who ask, where it is not the target's server; `nil` by default.
        public var managedHost: String?
        /// What the server does where another process serves the same topic under the same host name; shares the work
        /// with it by default, as oslo.
        ///
        /// It is asked who else there is when the queues are open, before anything is taken; a process that does not
        /// answer control questions, such as one of oslo's, is not noticed.
        public var namesakes = NamesakePolicy.share
        /// What is remembered of at-least-once requests; `nil`, the default, for an ``InMemoryRequestJournal``.
        ///
        /// That one is gone with the process: a request that had been run, and whose acknowledgement did not reach the
        /// broker before the process died, then is run again. `SQLiteRequestJournal` of `ServiceDatabase` remembers.
        public var journal: (any RequestJournal)?
        /// How often a cast that runs at least once may be delivered again, where the ``journal`` does not know whether
        /// its worker died of it; 20 by default.
        ///
        /// Then it is put among the dead letters. It counts only where the journal does not outlast the process: the
        /// others count the starts, and the method says how many there may be.
        public var redeliveryLimit = 20

        /// How often the server sends itself a message through its host queue and its fanout queue, to see whether it can
        /// be reached; `nil`, the default, for never.
        ///
        /// Where they do not come back for two intervals and 2 s, the server is not ready (``RPCServer/readiness``).
        public var selfProbeInterval: Duration?

        /// How large a request may be; what is above is refused.
        public var limits = RPCLimits()
        /// Whether `oslo_rpc_server_ping` is answered with `pong`, as oslo's `rpc_ping_enabled`; not by default.
        public var answersOsloPing = false

        /// Creates the defaults.
        public init() {}
    }

    /// The server's topic and host.
    public let target: Target

    let transport: any Transport
    var clock: any MessagingClock { self.transport.clock }
    let dispatcher: RPCDispatcher
    let configuration: Configuration
    let logger: Logger
    let replySender: ReplySender
    let inFlight: InFlight
    let intake: Intake<Work>
    let statistics: RPCStatistics
    let life = ServerLife()
    let side: Side
    let journal: any RequestJournal
    let journalHealth: JournalHealth
    let copyFailures = CopyFailures()
    let suspects = Turnstile()
    let selfProbe: SelfProbe?
    /// The program's tracer, if it had one when the server was made.
    let tracer: ProgramTracer?
    private let hasRun = Mutex(false)
    /// Set when all queues are open; what arrives before waits for it.
    let listener = Mutex<(any Listener)?>(nil)

    /// Creates a server; it starts with ``run(onReady:)``.
    ///
    /// Where the program has set up a tracer, what it serves are spans: that has to be done before.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - target: Topic and server.
    ///   - endpoints: What is served, asked in this order.
    ///   - configuration: Concurrency, prefetch and limits.
    ///   - logger: Where the server writes what it sees: methods and ids, never bodies.
    public convenience init(
        _ transport: any Transport,
        target: Target,
        endpoints: [RPCEndpoint],
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "steward.rpc.server")
    ) {
        self.init(
            transport,
            target: target,
            side: .work,
            endpoints: endpoints,
            configuration: configuration,
            logger: logger
        )
    }

    init(
        _ transport: any Transport,
        target: Target,
        side: Side,
        endpoints: [RPCEndpoint],
        configuration: Configuration,
        logger: Logger
    ) {
        var logger = logger
        logger[metadataKey: "server"] = "\(target)"
        self.transport = transport
        self.target = target
        self.side = side
        self.statistics = RPCStatistics(endpoints)
        self.dispatcher = RPCDispatcher(endpoints: endpoints + (configuration.answersOsloPing ? [.osloPing] : []))
        self.configuration = configuration
        self.selfProbe = side == .work ? configuration.selfProbeInterval.map { SelfProbe(every: $0) } : nil
        self.tracer = side == .work ? .current : nil
        self.logger = logger
        self.journal = configuration.journal ?? InMemoryRequestJournal(clock: transport.clock)
        self.journalHealth = JournalHealth(logger: logger)
        let intake = Intake<Work>(slots: configuration.concurrency, duplicatesWindow: configuration.duplicatesWindow)
        self.intake = intake
        let replySender = ReplySender(
            transport,
            lane: side.lane,
            retryLimit: transport.replyRetryLimit ?? configuration.replyRetryLimit,
            stopped: intake.stopped,
            logger: logger
        )
        self.replySender = replySender
        let clock = transport.clock
        self.inFlight = InFlight(clock: clock) { address in
            _ = await replySender.offer(
                .heartbeat(from: target.server),
                to: address,
                deadline: clock.now + .seconds(1)
            )
        }
    }

    /// Cancels the handler of a call whose caller does not wait any more; no reply is sent then.
    ///
    /// - Parameter messageID: The call's message id.
    /// - Returns: Whether it was running here; if not, it is not started should it still come.
    package func cancelCall(_ messageID: String) -> Bool {
        self.inFlight.cancel(messageID)
    }

    /// How many handlers are running.
    public var runningHandlers: Int { self.intake.running }

    /// Whether the server was asked to stop.
    var isStopping: Bool { self.intake.stopped.isResolved }

    /// Serves until ``stop()`` is called or the task is cancelled.
    ///
    /// A cancelled task cancels its running handlers as well, without the grace period. Where the server is stopped
    /// before it serves, `onReady` is not called.
    ///
    /// - Parameter onReady: Called once when the broker has confirmed all consumers.
    /// - Throws: `RPCError` where the target is not one to listen on, or the queues cannot be opened; `nameTaken` where
    ///   another process has the name and ``Configuration/namesakes`` does not share it; what `onReady` throws.
    public func run(onReady: @Sendable () async throws -> Void = {}) async throws {
        let isFirst = self.hasRun.withLock { hasRun in
            defer { hasRun = true }
            return !hasRun
        }
        guard isFirst else {
            throw RPCError(.closed, "a server runs once; make another one for \(self.target)")
        }
        guard self.target.server != nil, !self.target.isFanout else {
            throw RPCError(
                .invalidTarget,
                "a server needs both a topic and a server name to listen on, not \(self.target)"
            )
        }
        let target = try self.target.validated()
        self.life.begin(at: self.clock.now)
        guard self.side == .work, self.configuration.answersControl else {
            return try await self.serve(target) {
                self.life.listens()
                try await onReady()
            }
        }
        try await self.answeringControl { isAnswering in
            let mayRefuse = self.configuration.namesakes == .refuse
            if mayRefuse {
                // Before anything is taken: what a server takes and gives back counts as begun there.
                await isAnswering.wait()
                try await self.checkNamesakes()
            }
            try await self.serve(target) {
                if !mayRefuse {
                    await isAnswering.wait()
                    try await self.checkNamesakes()
                }
                self.life.listens()
                try await onReady()
            }
        }
    }

    private func serve(_ target: Target, onReady: @Sendable () async throws -> Void) async throws {
        self.warnOfLongMethods()
        guard let listener = try await self.listen(on: target) else { return }
        do {
            try await onReady()
        } catch {
            await self.release(listener)
            throw error
        }
        self.logger.log(level: self.side.logLevel, "serving")
        await withTaskCancellationHandler {
            await self.whileProbing(listener) { await self.serveUntilStopped(listener) }
        } onCancel: {
            self.intake.stop()
        }
        self.inFlight.close()
        await self.release(listener)
        self.listener.withLock { $0 = nil }
        self.logger.log(level: self.side.logLevel, "stopped serving")
    }

    /// Asks the server to stop: it finishes what runs, and ``run(onReady:)`` returns.
    ///
    /// Returns at once; may be repeated.
    public func stop() {
        self.intake.stop()
    }

    /// Opens the queues; answers `nil` where the server was stopped before they were open: a broker that is away must
    /// not hold up a shutdown.
    private func listen(on target: Target) async throws -> (any Listener)? {
        try await withThrowingTaskGroup(of: (any Listener)?.self) { group in
            group.addTask {
                try await self.transport.listen(
                    on: self.side == .control ? .control(self.target) : .server(target),
                    prefetch: self.configuration.prefetch
                ) { deliveries in
                    self.receive(deliveries)
                }
            }
            group.addTask {
                await self.intake.stopped.wait()
                return nil
            }
            defer { group.cancelAll() }
            do {
                if let listener = try await group.next() ?? nil { return listener }
                group.cancelAll()
                if let late = try await group.next() ?? nil { await self.release(late) }
            } catch {
                // What was called off has no say any more.
                guard Task.isCancelled || self.intake.stopped.isResolved else { throw error }
            }
            return nil
        }
    }

    /// Runs what arrives until the stop.
    ///
    /// Handlers run in workers: tasks that are made when they are needed and then kept, since making one for each request
    /// would cost as much as many a handler. After the stop waits for the running handlers, for the grace period at most.
    private func serveUntilStopped(_ listener: any Listener) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.handleDeliveries(from: listener) }
            // Or until the server's task is cancelled, which is a stop as well.
            await self.intake.stopped.wait()
            await self.settle(listener)
            group.addTask {
                do {
                    try await self.clock.sleep(self.configuration.gracePeriod)
                    self.logger.info("the grace period is over; running handlers are cancelled")
                } catch {
                    // All handlers ended in time.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func handleDeliveries(from listener: any Listener) async {
        self.listener.withLock { $0 = listener }
        self.requestAdmission()
        // Who has chosen a place for the server's task has chosen it for the handlers.
        let executor = preferredTaskExecutor ?? self.transport.taskExecutor
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while let count = await self.intake.workersWanted() {
                    for _ in 0..<count {
                        group.addTask(executorPreference: executor) { await self.work(listener) }
                    }
                }
            }
        } onCancel: {
            self.intake.abandon()
        }
    }

    private func work(_ listener: any Listener) async {
        while let work = await self.intake.next() {
            switch work {
            case .run(let job): await self.serve(job, listener: listener)
            case .refuse(let refusal): await self.answer(refusal)
            case .park(let copy): await self.park(copy, listener: listener)
            case .answerProbe(let address):
                let limit = self.clock.now + .seconds(10)
                await self.reply(.result(RawJSON(.string("pong"))), to: address, deadline: limit)
            case .reject(let malformed): await listener.reject(malformed, requeue: false)
            case .insist(let answer):
                await self.replySender.insist(on: answer.reply, to: answer.address, deadline: answer.deadline)
                self.intake.endReply()
            }
            // A handler was cancelled, and its task with it: that is not for the next one.
            if Task.isCancelled { return }
        }
    }

    /// Stops the flow and gives back what was not started.
    private func settle(_ listener: any Listener) async {
        await self.outlivingCancellation { [intake] in
            await listener.stopConsuming()
            await listener.reject(intake.drain(), requeue: true)
        }
    }

    /// Releases the queues.
    private func release(_ listener: any Listener) async {
        await self.outlivingCancellation { await listener.close() }
    }

    /// Does in a task of its own, awaited on the spot, what must be done to its end although the server's task may be
    /// cancelled.
    func outlivingCancellation<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
        await Task(executorPreference: preferredTaskExecutor) { await body() }.value
    }

    /// Gives a handler's slot back.
    func freeSlot() {
        if self.intake.release() { self.requestAdmission() }
    }

    /// Has what waits admitted on the transport's thread, where many are acknowledged at once.
    func requestAdmission() {
        self.listener.withLock(\.self)?.perform { self.admit() }
    }

    /// The repetitions that came while a held message ran; they are settled with it.
    func repetitions(of job: Job) -> [Delivery] {
        self.intake.finish(self.journalKey(of: job))
    }
}

/// Serves for the time of `body`: the server is listening when it starts, and has stopped gracefully when it ends.
///
/// - Parameters:
///   - transport: What carries the messages.
///   - target: Topic and server.
///   - endpoints: What is served.
///   - configuration: Concurrency, prefetch and limits.
///   - body: What is done while the server runs.
/// - Returns: What `body` returns.
/// - Throws: What `body` throws, or `RPCError` where the server cannot start.
@discardableResult
public func withRPCServer<Value: Sendable>(
    on transport: any Transport,
    target: Target,
    endpoints: [RPCEndpoint],
    configuration: RPCServer.Configuration = RPCServer.Configuration(),
    _ body: @Sendable (RPCServer) async throws -> Value
) async throws -> Value {
    let server = RPCServer(transport, target: target, endpoints: endpoints, configuration: configuration)
    let ready = Eventual<Void>()
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            do {
                try await server.run { ready.fulfil() }
                ready.fulfil()
            } catch {
                ready.resolve(.failure(error))
            }
        }
        try await ready.value()
        do {
            let value = try await body(server)
            server.stop()
            try await group.waitForAll()
            return value
        } catch {
            server.stop()
            try await group.waitForAll()
            throw error
        }
    }
}
