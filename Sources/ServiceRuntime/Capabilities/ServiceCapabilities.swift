public import Messaging
internal import Synchronization

/// What a host can do, as its manager said last, and whether the schedulers were told.
///
/// A ``SchedulerDependentManager`` holds one; its service publishes what is in it.
public final class ServiceCapabilities: Sendable {
    private struct State {
        var value: JSONValue?
        /// What operators have decided, which is reported with the value.
        var standing = ServiceStanding()
        /// Counts the changes of the value.
        var revision: UInt64 = 0
        /// The latest revision that all schedulers were sent.
        var published: UInt64 = 0
        /// How many reports were sent.
        var reports = 0
        /// Comes with the next change.
        var change = Eventual<Void>()
        /// The time that the last report was given, since the beginning of 1970.
        var lastTimestamp = Duration.zero
        /// Which life of the host this is; `nil` before the first report.
        var incarnation: Int?
        /// Counts the reports.
        var sequence = 0
    }

    private let state = Mutex(State())
    private let wallClock: @Sendable () -> Duration

    /// Creates the capabilities of a host that has said nothing yet.
    public convenience init() {
        self.init { WireTimestamp.now }
    }

    /// Creates them with another clock than the host's.
    package init(wallClock: @escaping @Sendable () -> Duration) {
        self.wallClock = wallClock
    }

    /// The latest value, or `nil` as long as there is none.
    public var latest: JSONValue? { self.state.withLock(\.value) }

    /// How many reports all schedulers were sent.
    var reports: Int { self.state.withLock(\.reports) }

    /// Remembers a value; one that differs from the last is published at once, `nil` ends the publication.
    func update(_ value: JSONValue?) {
        let change = self.state.withLock { state -> Eventual<Void>? in
            guard value != state.value else { return nil }
            state.value = value
            state.revision += 1
            defer { state.change = Eventual() }
            return state.change
        }
        change?.fulfil()
    }

    /// Has the latest value published once more: schedulers may not have it any more.
    func publishAgain() {
        let change = self.state.withLock { state -> Eventual<Void> in
            state.revision += 1
            defer { state.change = Eventual() }
            return state.change
        }
        change.fulfil()
    }

    /// Remembers what operators have decided about the host, and publishes it at once.
    func update(_ standing: ServiceStanding) {
        let change = self.state.withLock { state -> Eventual<Void>? in
            guard standing != state.standing else { return nil }
            state.standing = standing
            state.revision += 1
            defer { state.change = Eventual() }
            return state.change
        }
        change?.fulfil()
    }

    /// Sends the latest value, if there is one.
    ///
    /// Several may send at the same time: who finds that the value has changed meanwhile sends again, so that the last
    /// report on the wire is never an old one.
    func publish(_ send: (JSONValue) async throws -> Void) async throws {
        while true {
            let (value, revision) = self.state.withLock { ($0.value?.reporting($0.standing), $0.revision) }
            guard let value else { return }
            try await send(value)
            let isCurrent = self.state.withLock { state in
                state.published = max(state.published, revision)
                state.reports += 1
                return state.revision == revision
            }
            if isCurrent { return }
        }
    }

    /// What orders the next report: its time for schedulers of cinder, its place for ours.
    ///
    /// The time never goes back, whatever becomes of the host's clock: a scheduler drops a report that is older than the
    /// last, and would take a host that was set back an hour for dead until the hour is over.
    func nextStamp() -> (timestamp: String, order: ReportOrder) {
        let now = self.wallClock()
        return self.state.withLock { state in
            state.lastTimestamp = max(now, state.lastTimestamp + .microseconds(1))
            let incarnation = state.incarnation ?? Int(clamping: Int64(now / .microseconds(1)))
            state.incarnation = incarnation
            state.sequence += 1
            return (
                WireTimestamp.text(state.lastTimestamp),
                ReportOrder(incarnation: incarnation, sequence: state.sequence)
            )
        }
    }

    /// Waits until there is a value that was not published.
    ///
    /// - Parameter revision: What the caller has tried already; changed to what it is to try now.
    /// - Returns: Whether there is one; `false` when the task was cancelled.
    func waitForChange(after revision: inout UInt64) async -> Bool {
        while !Task.isCancelled {
            let state = self.state.withLock { $0 }
            if state.value != nil, state.revision > max(state.published, revision) {
                revision = state.revision
                return true
            }
            await state.change.wait()
        }
        return false
    }
}

extension JSONValue {
    /// Capabilities with what operators have decided about their host; nothing is added where that is nothing.
    fileprivate func reporting(_ standing: ServiceStanding) -> JSONValue {
        guard case .object(var members) = self else { return self }
        if standing.isDisabled {
            members[ServiceStanding.disabledCapability] = true
            if let reason = standing.disabledReason { members["service_disabled_reason"] = .string(reason) }
        }
        if standing.isFrozen { members[ServiceStanding.frozenCapability] = true }
        return .object(members)
    }
}

extension ServiceStanding {
    /// The capability with which a disabled host reports that it is; not there where it is not.
    package static let disabledCapability = "service_disabled"
    /// The capability with which a frozen host reports that it is; not there where it is not.
    package static let frozenCapability = "service_frozen"
}
