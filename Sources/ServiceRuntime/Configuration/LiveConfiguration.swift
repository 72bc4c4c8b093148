internal import Messaging
internal import Synchronization

/// The configuration of a running program, which can be read again: after SIGHUP the ``ServiceLauncher`` does so.
///
/// A reading is taken over as a whole or not at all. It is refused where anything in it is wrong, also an option that
/// could not change, or where a manager objects (``Manager/checkConfiguration(_:)``). Of one that is taken over, the options
/// that are marked mutable get their new values; the others keep theirs until the program starts again. After that every
/// manager is told to begin afresh (``Manager/reset()``), whether anything has changed or not.
///
/// A manager of a backend sees the configuration of its backend, and the changes that concern it.
public final class LiveConfiguration: Sendable {
    private struct State {
        var configuration: ServiceConfiguration
        /// By the numbers of their registrations, which are in the order of their coming.
        var managers: [(number: UInt64, manager: any Manager, backend: String?)] = []
        var nextNumber: UInt64 = 0
        /// Comes when the reading that is going on is through.
        var reading: Eventual<Void>?
    }

    private let state: Mutex<State>
    /// What is logged at present, by the configuration and by what operators have asked for since.
    let logLevels: LogLevels

    /// Begins with a configuration.
    ///
    /// - Parameter configuration: What was read when the program started.
    public convenience init(_ configuration: ServiceConfiguration) {
        self.init(configuration, logLevels: LogLevels(configuration.logLevel))
    }

    init(_ configuration: ServiceConfiguration, logLevels: LogLevels) {
        self.logLevels = logLevels
        self.state = Mutex(State(configuration: configuration.view(ofBackend: nil)))
    }

    /// What is in force.
    public var current: ServiceConfiguration { self.state.withLock(\.configuration) }

    /// Asks a manager from now on, before and after a change.
    ///
    /// - Returns: What ``remove(_:)`` takes.
    @discardableResult
    func add(_ manager: any Manager, backend: String? = nil) -> UInt64 {
        self.state.withLock { state in
            state.nextNumber += 1
            state.managers.append((state.nextNumber, manager, backend))
            return state.nextNumber
        }
    }

    /// Asks a manager no more; may be repeated.
    func remove(_ number: UInt64) {
        self.state.withLock { $0.managers.removeAll { $0.number == number } }
    }

    /// Reads the configuration again and takes it over, or leaves everything as it is.
    ///
    /// One reading at a time: a second caller waits for the first.
    ///
    /// - Returns: In what the new reading differs, the options that wait for a restart among it; empty where it does not.
    /// - Throws: `ServiceError`, code `invalidConfiguration`, with what is wrong or what a manager objects.
    @discardableResult
    public func readAgain() async throws(ServiceError) -> [ServiceOptionChange] {
        let done = await self.begin()
        defer {
            self.state.withLock { $0.reading = nil }
            done.fulfil()
        }
        let present = self.current
        let (configuration, changes) = try present.taking(try present.readAgain())
        let taken = changes.filter(\.isTakenOver)
        let managers = self.state.withLock(\.managers).map { _, manager, backend in
            (
                manager: manager, configuration: configuration.view(ofBackend: backend),
                changes: configuration.concerning(backend, taken)
            )
        }
        for (manager, configuration, changes) in managers where !changes.isEmpty {
            do {
                try await manager.checkConfiguration(configuration)
            } catch let error as ServiceError {
                throw error
            } catch {
                throw ServiceError(
                    .invalidConfiguration,
                    "\(type(of: manager)) at \(manager.host) does not take the configuration",
                    cause: error
                )
            }
        }
        self.state.withLock { $0.configuration = configuration }
        for (manager, configuration, changes) in managers where !changes.isEmpty {
            await manager.configurationDidChange(configuration, changes: changes)
        }
        for (manager, _, _) in managers { await manager.reset() }
        return changes
    }

    private func begin() async -> Eventual<Void> {
        let mine = Eventual<Void>()
        while true {
            let other = self.state.withLock { state -> Eventual<Void>? in
                if state.reading == nil { state.reading = mine }
                return state.reading === mine ? nil : state.reading
            }
            guard let other else { return mine }
            // In a task of its own: a cancelled one would not wait here, and spin.
            await Task { await other.wait() }.value
        }
    }
}
