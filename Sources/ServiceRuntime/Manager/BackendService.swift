public import Logging
public import Messaging
public import ServiceLifecycle
internal import Synchronization

/// One of several backends of a process: a service that is made and run again where it fails, so that the others and the
/// process go on.
///
/// ```swift
/// let services = configuration[.enabledBackends].map { name in
///     BackendService(name) { try VolumeWorker.backend(name, in: context) }
/// }
/// ```
///
/// A failure is logged once; the same one again is not. After each the wait doubles, from a second up to a minute.
public final class BackendService: Service {
    private struct State {
        var service: ManagerService?
        var failure: String?
    }

    /// The backend's name.
    public let name: String

    private let make: @Sendable () async throws -> ManagerService
    private let clock: MonotonicClock
    private let logger: Logger
    private let stopped = Eventual<Void>()
    private let state = Mutex(State())

    static let firstWait = Duration.seconds(1)
    static let longestWait = Duration.seconds(60)

    /// Creates a backend; it starts with ``run()``.
    ///
    /// - Parameters:
    ///   - name: The backend's name, for the log.
    ///   - clock: What the waits are measured with.
    ///   - logger: Where failures are written.
    ///   - make: Makes the service, anew for each try.
    public init(
        _ name: String,
        clock: some Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.backend"),
        make: @escaping @Sendable () async throws -> ManagerService
    ) {
        self.name = name
        self.make = make
        self.clock = MonotonicClock(clock)
        var logger = logger
        logger[metadataKey: "backend"] = "\(name)"
        self.logger = logger
    }

    /// The service that runs at present; `nil` where it failed and is not tried again yet.
    public var service: ManagerService? { self.state.withLock(\.service) }

    /// Whether the backend can be reached and do its work, and why not.
    public var readiness: Readiness {
        let (service, failure) = self.state.withLock { ($0.service, $0.failure) }
        if let service { return service.readiness }
        if self.stopped.current != nil { return .notReady("backend \(self.name) was stopped") }
        return .notReady("backend \(self.name) \(failure.map { "failed: \($0)" } ?? "is starting")")
    }

    /// Serves until it is stopped, shut down or cancelled; a failure is not the end.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            var wait = Self.firstWait
            while self.stopped.current == nil, !Task.isCancelled {
                let start = self.clock.now()
                do {
                    try await self.serve()
                    guard self.stopped.current == nil, !Task.isCancelled else { return }
                    self.note(failure: "it ended by itself")
                } catch is CancellationError where Task.isCancelled {
                    throw CancellationError()
                } catch {
                    self.note(failure: "\(error)")
                }
                // Who has served for a while does not pay for what was long ago.
                if self.clock.now() - start > Self.longestWait { wait = Self.firstWait }
                let (clock, stopped, time) = (self.clock, self.stopped, wait)
                await firstOf([{ await stopped.wait() }, { _ = await clock.sleep(for: time) }])
                wait = min(wait * 2, Self.longestWait)
            }
        } onGracefulShutdown: {
            self.stop()
        }
    }

    /// Asks the backend to stop gracefully.
    public func stop() {
        self.stopped.fulfil()
        self.service?.stop()
    }

    private func serve() async throws {
        let service = try await self.make()
        self.state.withLock { $0.service = service }
        defer { self.state.withLock { $0.service = nil } }
        // A stop that came while it was made.
        if self.stopped.current != nil { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            group.addTask {
                do {
                    try await service.waitUntilReady()
                } catch {
                    // What ended it is what it throws itself.
                    return
                }
                self.noteRecovery()
            }
            try await group.waitForAll()
        }
    }

    private func note(failure: String) {
        guard self.stopped.current == nil else { return }
        let isNew = self.state.withLock { state in
            defer { state.failure = failure }
            return state.failure != failure
        }
        guard isNew else { return }
        self.logger.error("backend failed and is tried again; the others go on", metadata: ["error": "\(failure)"])
    }

    private func noteRecovery() {
        let hadFailed = self.state.withLock { state in
            defer { state.failure = nil }
            return state.failure != nil
        }
        if hadFailed { self.logger.notice("backend serves again") }
    }
}

/// Several backends of a process as one service: they start, serve and stop at the same time, so that a stop takes no longer
/// than that of the slowest.
public struct BackendGroup: Service {
    /// The backends.
    public let backends: [BackendService]

    /// Creates a group.
    ///
    /// - Parameter backends: The backends.
    public init(_ backends: [BackendService]) { self.backends = backends }

    /// Ready as long as one of them is; those that are not make it no more than degraded.
    public var readiness: Readiness {
        let all = self.backends.map(\.readiness)
        guard all.contains(where: \.isReady) else { return all.reduce(.ready) { $0.and($1) } }
        return all.reduce(.ready) { whole, part in
            part.isReady ? whole.and(part) : part.reasons.reduce(whole) { $0.and(.degraded($1)) }
        }
    }

    /// Runs all of them until they have ended.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for backend in self.backends { group.addTask { try await backend.run() } }
            try await group.waitForAll()
        }
    }
}
