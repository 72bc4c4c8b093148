public import Logging
public import Messaging
public import ServiceLifecycle
public import ServiceRuntime
internal import Synchronization

/// Tells whoever runs a program how it is: probes over HTTP, and systemd.
///
/// ```swift
/// let health = HealthMonitor()
/// let end = await launcher.run { configuration, logger in
///     try health.begin(configuration, logger: logger)
///     return try await openTransport(configuration, logger)
/// } services: { context in
///     let service = ManagerService(VolumeManager(context), in: context)
///     health.watch([service], on: context.transport)
///     return [service]
/// }
/// health.end()
/// ```
///
/// | Path | Answers |
/// | --- | --- |
/// | `/livez` | 200 while the program's threads do something, else 503. The broker has no part in it: a restart would not help. |
/// | `/readyz` | 200 while messages come, else 503; a JSON object with the reasons. |
/// | `/metrics` | What the program has done, in Prometheus' text format. |
///
/// All is answered from what is known, by a thread of its own: neither a broker that is away nor handlers that hold every
/// other thread can hold up an answer. The same thread tells systemd `READY=1`, `STATUS=` and, while the program is live,
/// `WATCHDOG=1`, if the program was started by it.
public final class HealthMonitor: Sendable {
    private struct State {
        var listener: HealthListener?
        var beats: Task<Void, Never>?
        var liveness = Liveness(limit: .seconds(30))
        var services: [any WatchedService] = []
        var transport: (any Transport)?
        var startedAt = ContinuousClock.now
        /// What systemd was told last.
        var isReadyTold = false
        var status = ""
        /// Since systemd last heard that the program is live.
        var ticksSinceWatchdog = 0
    }

    /// The program is heard of once a second at most.
    private static let shortestWatchdog = Duration.seconds(3)

    private let state = Mutex(State())
    private let notifier: ServiceManagerNotifier
    /// What the program itself counts with the API of swift-metrics, which `/metrics` tells, too.
    ///
    /// It has to be set up for that: `MetricsSystem.bootstrap(health.metrics)`, once in a process. The programs' command
    /// does so.
    public let metrics = PrometheusMetrics()

    /// Creates a monitor, which does nothing before ``begin(_:logger:)``.
    public convenience init() {
        self.init(notifier: ServiceManagerNotifier())
    }

    package init(notifier: ServiceManagerNotifier) {
        self.notifier = notifier
    }

    /// The port on which probes are answered; `nil` where there is none.
    public var port: Int? { self.state.withLock { $0.listener?.port } }

    /// Begins to answer, on the port of the option `health_port`: any free one where it is not set, none where it is 0.
    ///
    /// - Parameters:
    ///   - configuration: The program's configuration.
    ///   - logger: Where it is said on which port.
    /// - Throws: `ServiceError`, code `invalidConfiguration`, where the address cannot be listened on.
    public func begin(_ configuration: ServiceConfiguration, logger: Logger) throws(ServiceError) {
        let port = configuration[.healthPort]
        try self.begin(
            on: port == 0 ? nil : (configuration[.healthAddress], port ?? 0),
            livenessLimit: configuration[.livenessLimit],
            logger: logger
        )
    }

    /// Begins to answer; port 0 is any free one.
    package func begin(
        on address: (text: String, port: Int)?,
        livenessLimit: Duration,
        logger: Logger
    ) throws(ServiceError) {
        guard address != nil || self.notifier.isWanted else { return }
        let liveness = Liveness(limit: livenessLimit)
        let listener: HealthListener
        do {
            listener = try HealthListener(
                address: address,
                tick: { [weak self] in self?.tick() },
                answer: { [weak self] request in self?.answer(request) ?? HTTPResponse(.unavailable) }
            )
            try listener.start()
        } catch {
            throw ServiceError(.invalidConfiguration, "option 'health_port': \(error)")
        }
        if let interval = self.notifier.watchdogInterval, interval < Self.shortestWatchdog {
            logger.warning("WatchdogSec is shorter than \(Self.shortestWatchdog); a live program may be ended by it")
        }
        if let port = listener.port {
            logger.info("health is told", metadata: ["address": "\(address?.text ?? "")", "port": "\(port)"])
        }
        // Not a child task: it lives as long as the monitor is wanted, which is longer than the start. end() ends it.
        let beats = Task {
            while !Task.isCancelled {
                liveness.beat("the shared thread pool")
                if await self.beatTransport(liveness) { continue }
                do {
                    try await Task.sleep(for: .seconds(1))
                } catch {
                    break
                }
            }
        }
        self.state.withLock { state in
            state.liveness = liveness
            state.listener = listener
            state.beats = beats
        }
    }

    /// Watches services from now on.
    ///
    /// - Parameters:
    ///   - services: What has to be ready, none while the program starts; those that are no ``ServiceRuntime/WatchedService`` have no say.
    ///   - transport: What carries their messages.
    public func watch(_ services: [any Service], on transport: any Transport) {
        self.state.withLock { state in
            state.services = services.compactMap { $0 as? any WatchedService }
            state.transport = transport
        }
    }

    /// Answers nothing more, and lets go of the port.
    public func end() {
        let (listener, beats) = self.state.withLock { state in
            defer { (state.listener, state.beats, state.services, state.transport) = (nil, nil, [], nil) }
            return (state.listener, state.beats)
        }
        beats?.cancel()
        listener?.stop()
    }

    // MARK: What is known

    /// Has the transport's threads give a beat, in a task that may stay behind with them.
    private func beatTransport(_ liveness: Liveness) async -> Bool {
        guard let transport = self.state.withLock(\.transport), self.beatIsDue() else { return false }
        let who = "a thread of the transport"
        // Not awaited: a transport that stands still must not keep the pool from its beat. There is one such task at most.
        Task {
            await transport.takeTurn()
            liveness.beat(who)
            self.transportIsBeating.withLock { $0 = false }
        }
        return false
    }

    private let transportIsBeating = Mutex(false)

    private func beatIsDue() -> Bool {
        self.transportIsBeating.withLock { isBeating in
            defer { isBeating = true }
            return !isBeating
        }
    }

    /// Who stands still.
    var complaints: [String] { self.state.withLock(\.liveness).complaints }

    /// What all services make together; not ready before there is one.
    var readiness: Readiness {
        let (services, transport) = self.state.withLock { ($0.services, $0.transport) }
        guard !services.isEmpty else {
            return Readiness.notReady("the program is starting").and(transport?.readiness ?? .ready)
        }
        // What they have in common, such as a broker that is away, is said once.
        return services.map(\.readiness).reduce(.ready) { one, other in
            let new = other.reasons.filter { !one.reasons.contains($0) }
            return one.and(Readiness(level: other.level, reasons: new))
        }
    }

    /// The managers that are served at present.
    private var managers: [ManagerService] { self.state.withLock(\.services).flatMap(\.managerServices) }

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        switch request.path {
        case "/livez":
            let complaints = self.complaints
            return complaints.isEmpty
                ? HTTPResponse(.ok, "ok\n") : HTTPResponse(.unavailable, complaints.joined(separator: "\n") + "\n")
        case "/readyz":
            let readiness = self.readiness
            return HTTPResponse(
                readiness.isReady ? .ok : .unavailable,
                "\(HealthReport.json(readiness, of: self.managers))\n",
                contentType: HTTPResponse.json
            )
        case "/metrics":
            let (startedAt, transport) = self.state.withLock { ($0.startedAt, $0.transport) }
            let text = ServiceMetrics.text(
                of: self.managers,
                transport: transport,
                own: self.metrics,
                readiness: self.readiness,
                isLive: self.complaints.isEmpty,
                uptime: .now - startedAt
            )
            return HTTPResponse(.ok, text, contentType: HTTPResponse.prometheus)
        default: return HTTPResponse(.notFound)
        }
    }

    // MARK: systemd

    /// A second has passed on the listener's thread.
    private func tick() {
        let liveness = self.state.withLock(\.liveness)
        liveness.tick()
        guard self.notifier.isWanted else { return }
        let readiness = self.readiness
        let complaints = liveness.complaints
        let status = (complaints.isEmpty ? [readiness.description] : complaints).joined(separator: "; ")
        let notifier = self.notifier
        // Only this thread sends these, and it never waits. What is not taken is sent again a second later.
        self.state.withLock { state in
            if readiness.isReady, !state.isReadyTold { state.isReadyTold = notifier.sendReady() }
            if status != state.status, notifier.send("STATUS=\(status)") { state.status = status }
            state.ticksSinceWatchdog += 1
            guard let interval = notifier.watchdogInterval, complaints.isEmpty else { return }
            // At a third of the time, in whole seconds of this thread, so that one may be lost.
            let isDue = state.ticksSinceWatchdog >= max(1, Int((interval / 3).components.seconds))
            if isDue, notifier.send("WATCHDOG=1") { state.ticksSinceWatchdog = 0 }
        }
    }
}
