internal import Messaging
internal import ServiceRuntime
internal import Synchronization

/// Gives each call of a driver a limit, so that one which never returns holds up nothing but itself.
///
/// A call that is over its limit fails, and goes on unseen: nobody can end a system call that hangs. As long as it does,
/// further calls of the same kind, and changes of the same volume, fail at once. So the driver is never asked for two
/// changes of one volume at the same time, and calls that hang do not pile up.
final class LimitedDriver: VolumeDriver {
    private enum Key: Hashable {
        case volume(VolumeID)
        case other(String)

        var id: VolumeID? {
            guard case .volume(let id) = self else { return nil }
            return id
        }
    }

    let information: VolumeDriverInformation
    private let driver: any VolumeDriver
    private let limit: Duration
    private let clock: MonotonicClock
    private let state = Mutex(State())

    private struct State {
        /// Calls that are over their limit and have not returned, by their numbers.
        var hanging: [UInt64: (key: Key, since: Duration)] = [:]
        var nextNumber: UInt64 = 0
    }

    /// Wraps a driver.
    ///
    /// - Parameters:
    ///   - driver: What does the work.
    ///   - limit: How long each call may take.
    ///   - clock: What the limit is measured with.
    init(_ driver: any VolumeDriver, limit: Duration, clock: some Clock<Duration> = ContinuousClock()) {
        self.information = driver.information
        self.driver = driver
        self.limit = limit
        self.clock = MonotonicClock(clock)
    }

    /// For how long the call has run that has hung longest; `nil` where none does.
    var longestHang: Duration? {
        self.state.withLock { $0.hanging.values.map(\.since).min() }.map { self.clock.now() - $0 }
    }

    func removeLeftovers() async throws(VolumeError) -> [String] {
        try await self.limited(.other("removeLeftovers")) { () async throws(VolumeError) in
            try await self.driver.removeLeftovers()
        }
    }

    func create(_ id: VolumeID, size: Int) async throws(VolumeError) {
        try await self.limited(.volume(id)) { () async throws(VolumeError) in
            try await self.driver.create(id, size: size)
        }
    }

    func extend(_ id: VolumeID, to size: Int) async throws(VolumeError) {
        try await self.limited(.volume(id)) { () async throws(VolumeError) in
            try await self.driver.extend(id, to: size)
        }
    }

    func delete(_ id: VolumeID) async throws(VolumeError) {
        try await self.limited(.volume(id)) { () async throws(VolumeError) in try await self.driver.delete(id) }
    }

    func inventory() async throws(VolumeError) -> VolumeInventory {
        try await self.limited(.other("inventory")) { () async throws(VolumeError) in
            try await self.driver.inventory()
        }
    }

    func space() async throws(VolumeError) -> VolumeSpace {
        try await self.limited(.other("space")) { () async throws(VolumeError) in try await self.driver.space() }
    }

    func reconfigure(_ limits: VolumeDriverLimits) async { await self.driver.reconfigure(limits) }

    private func limited<Value: Sendable>(
        _ key: Key,
        _ body: @escaping @Sendable () async throws(VolumeError) -> Value
    ) async throws(VolumeError) -> Value {
        let start = self.clock.now()
        let (number, since) = self.state.withLock { state in
            state.nextNumber += 1
            return (state.nextNumber, state.hanging.values.first { $0.key == key }?.since)
        }
        if let since {
            let seconds = (start - since).components.seconds
            throw .backendFailed("the driver has not come back from an earlier call for \(seconds) s", volumeID: key.id)
        }
        let outcome = Eventual<Result<Value, VolumeError>>()
        // Not a child task: a driver that never returns cannot be waited for. The mark below says that it is on its way.
        _ = Task {
            do throws(VolumeError) {
                outcome.fulfil(.success(try await body()))
            } catch {
                outcome.fulfil(.failure(error))
            }
            self.state.withLock { $0.hanging[number] = nil }
        }
        let (clock, limit) = (self.clock, self.limit)
        // A cancelled caller waits on: what it has begun is to be seen through, within the limit.
        await Task {
            await firstOf([{ await outcome.wait() }, { _ = await clock.sleep(until: start + limit) }])
        }.value
        // Under the lock, so that a call which returns at this moment either counts or takes its mark away afterwards.
        let result = self.state.withLock { state -> Result<Value, VolumeError>? in
            if outcome.current == nil { state.hanging[number] = (key, start) }
            return outcome.current
        }
        guard let result else {
            throw .backendFailed("the driver did not come back within \(self.limit)", volumeID: key.id)
        }
        return try result.get()
    }
}
