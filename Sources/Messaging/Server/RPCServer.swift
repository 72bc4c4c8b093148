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
        /// What is remembered of at-least-once requests; `nil`, the default, for an ``InMemoryRequestJournal``.
        public var journal: (any RequestJournal)?

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
    private let hasRun = Mutex(false)
    /// Set when all queues are open; what arrives before waits for it.
    private let listener = Mutex<(any Listener)?>(nil)

    /// Creates a server; it starts with ``run(onReady:)``.
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
    /// - Throws: `RPCError` where the target is not one to listen on, or the queues cannot be opened; what `onReady`
    ///   throws.
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
            return try await self.serve(target, onReady: onReady)
        }
        try await self.answeringControl { isAnswering in
            try await self.serve(target) {
                await isAnswering.wait()
                try await onReady()
            }
        }
    }

    private func serve(_ target: Target, onReady: @Sendable () async throws -> Void) async throws {
        guard let listener = try await self.listen(on: target) else { return }
        self.life.listens()
        do {
            try await onReady()
        } catch {
            await self.release(listener)
            throw error
        }
        self.logger.log(level: self.side.logLevel, "serving")
        await withTaskCancellationHandler {
            await self.serveUntilStopped(listener)
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
            group.addTask { [intake] in
                try await self.transport.listen(
                    on: self.side == .control ? .control(self.target) : .server(target),
                    prefetch: self.configuration.prefetch
                ) { deliveries in
                    if intake.offer(deliveries) { self.requestAdmission() }
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
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while let count = await self.intake.workersWanted() {
                    for _ in 0..<count {
                        group.addTask { await self.work(listener) }
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
            case .reject(let malformed): await listener.reject(malformed, requeue: false)
            case .insist(let reply, let address, let deadline):
                await self.replySender.insist(on: reply, to: address, deadline: deadline)
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
    private func requestAdmission() {
        self.listener.withLock(\.self)?.perform { self.admit() }
    }

    /// The repetitions that came while a held message ran; they are settled with it.
    func repetitions(of job: Job) -> [Delivery] {
        self.intake.finish(self.journalKey(of: job))
    }

    // MARK: Admission

    /// A request that will be run.
    final class Job: Sendable {
        let delivery: Delivery
        let request: RequestPayload
        let handler: RPCHandler

        init(delivery: Delivery, request: RequestPayload, handler: RPCHandler) {
            self.delivery = delivery
            self.request = request
            self.handler = handler
        }

        /// Whether the caller understands what oslo's clients do not.
        var isFromOurClient: Bool { self.delivery.headers[MessageHeader.caller] != nil }
    }

    /// A request that will not be run, and whose caller can be told.
    struct Refusal: Sendable {
        let delivery: Delivery
        let failure: RemoteFailure
        let address: ReplyAddress
    }

    /// What workers do.
    enum Work: Sendable {
        case run(Job)
        case refuse(Refusal)
        /// A copy that is refused: it is kept among the dead letters.
        case park(RefusedCopy)
        /// Rejected without being queued again, as oslo does: the broker may dead-letter it. Needs no slot.
        case reject([Delivery])
        /// A reply that was not taken, which is offered again. Needs no slot.
        case insist(ReplyPayload, ReplyAddress, deadline: ContinuousClock.Instant?)
    }

    private enum Verdict {
        case work(Work)
        /// Acknowledged, and that is all.
        case drop
        case malformed
        /// Settled together with the delivery that it repeats.
        case held
    }

    /// Admits what waits, as far as there are slots.
    private func admit() {
        guard let listener = self.listener.withLock(\.self) else { return }
        let batch = self.intake.admissible()
        if !batch.isEmpty { self.admit(batch, listener) }
    }

    /// Decides what becomes of each delivery: run, answered with a refusal, dropped.
    ///
    /// What is to run at most once is acknowledged here, all of a batch in one step, and is run only if the
    /// acknowledgement was written.
    private func admit(_ batch: [Delivery], _ listener: any Listener) {
        var admitted: [Work] = []
        var settled: [Delivery] = []
        var malformed: [Delivery] = []
        for delivery in batch {
            switch self.examine(delivery) {
            case .work(let work):
                admitted.append(work)
                if case .run(let job) = work, job.handler.delivery.isAtLeastOnce { continue }
                if case .park = work { continue }
                settled.append(delivery)
            case .drop: settled.append(delivery)
            case .malformed: malformed.append(delivery)
            case .held: break
            }
        }
        if !malformed.isEmpty { self.intake.add(.reject(malformed)) }
        guard !settled.isEmpty else { return self.start(admitted, outOf: batch.count) }
        let count = settled.count
        listener.acknowledge(settled) { [admitted] acknowledged in
            // Only now, because what was not acknowledged comes again: had it been noted as seen, its repetition would be
            // taken for one of a request that was run.
            let written = acknowledged.count == count ? nil : Set(acknowledged.map(\.token))
            var started = admitted
            started.removeAll { work in
                guard case .run(let job) = work, !job.handler.delivery.isAtLeastOnce else { return false }
                return written?.contains(job.delivery.token) == false || self.isRepeated(job)
            }
            self.start(started, outOf: batch.count)
        }
    }

    private func start(_ works: [Work], outOf count: Int) {
        if self.intake.admitted(works, outOf: count) { self.requestAdmission() }
    }

    private func examine(_ delivery: Delivery) -> Verdict {
        let request: RequestPayload
        do throws(WireError) {
            request = try self.configuration.limits.read(delivery)
        } catch {
            self.logger.info("malformed request", metadata: ["error": "\(error.message)"])
            self.statistics.countRefusal(error.refusalKind)
            if let copy = self.refusedCopy(delivery, nil, error.remoteFailure) { return .work(.park(copy)) }
            guard let address = ReplyAddress(messageID: error.messageID, queue: error.replyQueue) else {
                // oslo acknowledges what it can read, and refuses what is no request (wire contract 3.1, 4.2).
                return error.code == .invalidPayload ? .drop : .malformed
            }
            return .work(.refuse(Refusal(delivery: delivery, failure: error.remoteFailure, address: address)))
        }
        if let deadline = self.deadline(of: delivery), deadline <= self.clock.now {
            self.logger.info("expired request is not started", metadata: ["method": "\(request.method)"])
            self.statistics.countExpired(request.method, namespace: request.namespace)
            return .drop
        }
        if let id = request.messageID, self.inFlight.isWithdrawn(id) {
            self.logger.info("cancelled request is not started", metadata: ["method": "\(request.method)"])
            return .drop
        }
        do {
            let handler = try self.dispatcher.handler(for: request, userID: self.sender(of: delivery))
            let job = Job(delivery: delivery, request: request, handler: handler)
            let isHeld = handler.delivery.isAtLeastOnce && self.intake.hold(self.journalKey(of: job), delivery)
            return isHeld ? .held : .work(.run(job))
        } catch {
            let failure = error.remoteFailure
            self.statistics.countRefusal(error.kind, of: request.method, namespace: request.namespace)
            self.logger.log(
                level: error.logLevel,
                "refused request",
                metadata: [
                    "method": "\(request.method)", "user": "\(self.sender(of: delivery) ?? "-")", "error": "\(failure)",
                ]
            )
            if let copy = self.refusedCopy(delivery, request, failure) { return .work(.park(copy)) }
            guard let address = ReplyAddress(messageID: request.messageID, queue: request.replyQueue) else {
                return .drop
            }
            return .work(.refuse(Refusal(delivery: delivery, failure: failure, address: address)))
        }
    }

    /// Notes that a request is about to be run, and says whether it was before.
    private func isRepeated(_ job: Job) -> Bool {
        guard self.intake.isRepeated(job.request.uniqueID) else { return false }
        self.logger.info("repeated request is dropped", metadata: ["method": "\(job.request.method)"])
        self.statistics.countDuplicate(job.handler.name, namespace: job.handler.namespace)
        return true
    }

    /// When the caller gives up: the message's time to live, counted from its arrival, is an upper bound.
    func deadline(of delivery: Delivery) -> ContinuousClock.Instant? {
        delivery.timeToLive.map { delivery.receivedAt + $0 }
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
