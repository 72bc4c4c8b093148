public import Logging
internal import Messaging
internal import Synchronization

/// Watches a registry for one that gives work to services: who is there, who lives, who is not to get any.
///
/// While the database is away it says what it last knew, and logs once; whoever uses it has the services' own reports as
/// well.
public final class ServiceDirectory: Sendable {
    /// A service and whether it lives.
    public struct Entry: Sendable, Hashable {
        /// What the registry says.
        public let record: ServiceRecord
        /// What the reader has seen.
        public let liveness: ServiceLiveness
    }

    private struct State {
        var table: ServiceLivenessTable
        var records: [ServiceKey: ServiceRecord] = [:]
        var lastTry: Duration?
        var hasFailed = false
        var reading: Eventual<Void>?
    }

    /// How long somebody who needs a young answer waits for it.
    private static let patience = Duration.milliseconds(250)

    /// How often the registry is read.
    public let interval: Duration
    private let registry: any ServiceRegistry
    private let now: @Sendable () -> Duration
    private let logger: Logger
    private let state: Mutex<State>

    /// Creates a directory that knows nobody yet.
    ///
    /// - Parameters:
    ///   - registry: What is watched.
    ///   - downTime: After how long without a report a service is down.
    ///   - clock: What is measured with.
    ///   - logger: Where the beginning and the end of an outage are written.
    public init(
        _ registry: any ServiceRegistry,
        downTime: Duration,
        clock: some Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "steward.services")
    ) {
        let interval = min(max(downTime / 6, .milliseconds(100)), .seconds(10))
        self.interval = interval
        self.registry = registry
        self.now = MonotonicClock(clock).now
        self.logger = logger
        self.state = Mutex(State(table: ServiceLivenessTable(downTime: downTime, lookingEvery: interval)))
    }

    /// Reads the registry every ``interval``: a task for the manager that uses the directory.
    public var watching: PeriodicTask {
        PeriodicTask("watch_services", every: self.interval, runImmediately: true, timeLimit: .seconds(30)) { _ in
            await self.refresh()
        }
    }

    /// Changes after how long without a report a service is down.
    public func setDownTime(_ downTime: Duration) {
        self.state.withLock { $0.table.downTime = downTime }
    }

    /// Reads the registry now; where that fails, what was known stays.
    public func refresh() async {
        self.state.withLock { $0.lastTry = self.now() }
        do {
            let records = try await self.registry.services()
            let now = self.now()
            let hadFailed = self.state.withLock { state in
                state.table.look(at: records, now: now)
                state.records = Dictionary(records.map { ($0.key, $0) }) { _, last in last }
                defer { state.hasFailed = false }
                return state.hasFailed
            }
            if hadFailed { self.logger.notice("the registry of services can be read again") }
        } catch {
            guard !Task.isCancelled else { return }
            let hadFailed = self.state.withLock { state in
                defer { state.hasFailed = true }
                return state.hasFailed
            }
            if !hadFailed {
                self.logger.warning(
                    "the registry of services cannot be read; what was known last goes on to count",
                    metadata: ["error": "\(error)"]
                )
            }
        }
    }

    /// Reads the registry unless it was tried within `limit`: so that who is disabled there gets nothing any more after
    /// that time, whatever the interval is.
    ///
    /// A registry that does not answer holds nobody up: after 250 ms what was known counts, and at once where the last
    /// reading failed.
    public func refresh(unlessTriedWithin limit: Duration) async {
        let (reading, isNew) = self.state.withLock { state -> (Eventual<Void>?, Bool) in
            if let reading = state.reading { return (reading, false) }
            guard !state.hasFailed, state.lastTry.map({ self.now() - $0 >= limit }) ?? true else { return (nil, false) }
            state.reading = Eventual()
            return (state.reading, true)
        }
        guard let reading else { return }
        if isNew {
            // Not a child: whoever waits gives up, while the reading goes on, for it ends by the registry's own limits.
            Task {
                await self.refresh()
                self.state.withLock { $0.reading = nil }
                reading.fulfil(())
            }
        }
        await firstOf([
            { _ = await reading.wait() },
            // Cancelled: then nobody waits any more.
            { try? await Task.sleep(for: Self.patience) },
        ])
    }

    /// What is known of a service; `nil` where it is not recorded.
    public subscript(key: ServiceKey) -> Entry? {
        self.state.withLock { state in
            state.records[key].map { Entry(record: $0, liveness: state.table.liveness(of: key)) }
        }
    }
}
